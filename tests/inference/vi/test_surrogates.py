"""Derivatives that the user gives: the gradient is what the vector–Jacobian product says, over every jump."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from inference.vi.subjects import near
from torch import Tensor

import ppl
from ppl.distributions import Normal
from ppl.errors import PplError

DRAWS = 100_000
REGIONS: dict[str, tuple[int, ...]] = {"none": (), "plate": (3,), "nested": (2, 2)}
CODEBOOK = torch.tensor([[1.0, 0.2, -0.3], [-0.4, 1.1, 0.5], [0.3, -0.8, 0.9]], dtype=torch.float64)


def each(region: tuple[int, ...], site: Any) -> Any:
    """A guide that runs `site(at)` for each element and returns the values."""

    @ppl.guide
    def q():
        if not region:
            return site(())
        if len(region) == 1:
            for i in (outer := ppl.plate("i", region[0])):
                y = site(i)
            return outer.gather(y)
        for i in (outer := ppl.plate("i", region[0])):
            for j in (inner := ppl.plate("j", region[1])):
                y = site((i, j))
            row = inner.gather(y)
        return outer.gather(row)

    return q()


@ppl.objective
def total(q, w):
    return (w * ppl.simulate(q).value).sum()


def weights(region: tuple[int, ...]) -> Tensor:
    return 0.5 + torch.arange(math.prod(region), dtype=torch.float64).reshape(region)


# ---------------------------------------------------------------- vector quantisation, by rotation


def rotated(g: Tensor, q: Tensor, e: Tensor) -> Tensor:
    """λ Rᵀ g, R the rotation in the plane of e and q that takes e to q's direction, λ = |q| / |e|."""
    a, b = e / e.norm(), q / q.norm()
    r = (a + b) / (a + b).norm()
    return q.norm() / e.norm() * (g - 2.0 * (r @ g) * r + 2.0 * (b @ g) * a)


@ppl.surrogate(rotated)
def nearest(e: Tensor) -> Tensor:
    """The nearest word of the codebook."""
    return CODEBOOK[((CODEBOOK - e) ** 2).sum(-1).argmin()]


def rotation(e: Tensor, q: Tensor) -> Tensor:
    """λR by its definition: in an orthonormal basis whose first vectors span the plane, a turn by the angle."""
    a, b = e / e.norm(), q / q.norm()
    second = b - (a @ b) * a
    second = second / second.norm()
    c, s = a @ b, second @ b
    plane = torch.stack([a, second], 1)
    turn = torch.stack([torch.stack([c, -s]), torch.stack([s, c])])
    return q.norm() / e.norm() * (torch.eye(3, dtype=torch.float64) + plane @ (turn - torch.eye(2)) @ plane.T)


def test_the_rotation_takes_the_encoding_to_the_word():
    e = torch.tensor([0.9, 0.5, 0.1], dtype=torch.float64)
    torch.testing.assert_close(rotation(e, CODEBOOK[0]) @ e, CODEBOOK[0])


@pytest.mark.parametrize("region", REGIONS)
def test_the_rotation_trick(region):
    """e ~ N(m, s²) is quantised; ∂/∂m of f(q) is Σ λRᵀ ∇f(q), and the derivative of the value is none of its own."""
    region = REGIONS[region]
    at = torch.tensor([0.6, 0.3, -0.1], dtype=torch.float64) + torch.zeros((*region, 3), dtype=torch.float64)
    target = torch.tensor([0.2, -1.0, 0.5], dtype=torch.float64)

    def site(i: Any) -> Any:
        m = ppl.param("m", at)
        e = ppl.sample("e", Normal(m[i] if region else m, 0.6), grad="reparam")
        return (nearest(e) * target).sum() ** 2

    w = weights(region)
    _, grads = ppl.value_and_grad(total)(each(region, site), w, draws=DRAWS)
    e = at.reshape(-1, 3)[0] + 0.6 * torch.randn(2000, 3, generator=torch.Generator().manual_seed(1)).double()
    q = CODEBOOK[((CODEBOOK - e[:, None]) ** 2).sum(-1).argmin(-1)]
    slope = 2.0 * (q @ target)[:, None] * target
    pulled = torch.stack([rotation(x, y).T @ g for x, y, g in zip(e, q, slope, strict=True)])
    mean, error = pulled.mean(0), pulled.std(0) / math.sqrt(len(pulled))
    found = grads["m"].mean(0)
    own = grads["m"].std(0) / math.sqrt(DRAWS)
    gap = (found - w.reshape((*region, 1)) * mean).abs()
    assert bool((gap <= 4 * (own + w.reshape((*region, 1)) * error)).all())


def test_without_it_the_path_is_refused():
    @ppl.guide
    def q():
        e = ppl.sample("e", Normal(ppl.param("m", torch.zeros(3)), 0.6), grad="reparam")
        return nearest.__wrapped__(e).sum()

    with pytest.raises(PplError, match="jumps"):
        ppl.value_and_grad(total)(q(), torch.ones(()))


# ---------------------------------------------------------------- any function


@ppl.surrogate(lambda g, value, x, y: (g * torch.cos(x) * y, g * torch.sin(x)))
def wave(x: Tensor, y: Tensor) -> Tensor:
    return torch.sin(x) * y


@pytest.mark.parametrize("region", REGIONS)
def test_the_functions_own_jacobian_gives_the_gradient(region):
    """E sin(x) y with x ~ N(m, s²): sin m exp(−s²/2) y."""
    region = REGIONS[region]
    at = 0.3 + 0.2 * weights(region)

    def site(i: Any) -> Any:
        m, y = ppl.param("m", at), ppl.param("y", 1.0 + at)
        m, y = (m[i], y[i]) if region else (m, y)
        return wave(ppl.sample("x", Normal(m, 0.7), grad="reparam"), y)

    w, damp = weights(region), math.exp(-0.5 * 0.7**2)
    _, grads = ppl.value_and_grad(total)(each(region, site), w, draws=DRAWS)
    near(grads["m"], w * torch.cos(at) * damp * (1.0 + at))
    near(grads["y"], w * torch.sin(at) * damp)


def test_steps_of_a_scan():
    """x ← round(x) with the derivative 2: three steps multiply it by 8."""

    @ppl.surrogate(lambda g, value, x: 2.0 * g)
    def rounded(x):
        return torch.round(x)

    @ppl.objective
    def last():
        return ppl.scan("s", lambda c, _: rounded(c + 0.6), ppl.param("x", 0.0), length=3)

    value, grads = ppl.value_and_grad(last)()
    assert (float(value), float(grads["x"])) == (3.0, 8.0)


def test_scores_go_through_it():
    """∂/∂x log N(y; g(x), 1) is (y − g(x)) g'(x) with the user's g'."""

    @ppl.surrogate(lambda g, value, x: 5.0 * g)
    def cut(x):
        return torch.where(x > 0.0, 1.0, 0.0)

    @ppl.model
    def p():
        x = ppl.sample("x", Normal(0.0, 1e6))
        ppl.observe("y", Normal(cut(x), 1.0), 3.0)

    @ppl.objective
    def slope():
        return ppl.score(p(), {"x": ppl.param("at", 0.5)})["x"]

    value, _ = ppl.value_and_grad(slope)()
    assert float(value) == pytest.approx(10.0, abs=1e-6)
    assert float(ppl.estimate(slope)(draws=2)) == pytest.approx(10.0, abs=1e-6)


def test_no_cotangent_stops_the_derivative():
    @ppl.surrogate(lambda g, value, x, y: (g, None))
    def both(x, y):
        return x * y

    @ppl.objective
    def product():
        return both(ppl.param("x", 2.0), ppl.param("y", 3.0))

    value, grads = ppl.value_and_grad(product)()
    assert (float(value), float(grads["x"]), float(grads["y"])) == (6.0, 1.0, 0.0)


def test_it_is_called_biased_and_is_no_change_outside_objectives():
    @ppl.objective
    def waves():
        return wave(ppl.param("x", 2.0), ppl.param("y", 3.0))

    assert "the derivative of 'wave' is the user's (biased)" in str(ppl.explain(waves()))
    x = torch.tensor(0.3, requires_grad=True)
    assert float(torch.autograd.grad(wave(x, torch.tensor(2.0)), x)[0]) == pytest.approx(2 * math.cos(0.3))


@pytest.mark.parametrize(
    ("function", "vjp", "text"),
    (
        (lambda x: x.round(), lambda g, v, x: g.expand(2), "does not fit its arguments"),
        (lambda x: x.round(), lambda g, v, x: (g, g), "does not fit its arguments"),
        (lambda x: x.long(), lambda g, v, x: g, "returns no real numbers"),
        (lambda x: x * ppl.param("other", 1.0), lambda g, v, x: g, "reads 'other', which is not among"),
    ),
)
def test_refusals(function, vjp, text):
    @ppl.objective
    def f():
        return ppl.surrogate(vjp)(function)(ppl.param("x", 2.3)) * 1.0

    with pytest.raises(PplError, match=text):
        ppl.value_and_grad(f)()
