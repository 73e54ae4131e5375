"""What loops, first elements, names and numbers mean: log densities of `.ppl` programs against formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from closed_form import Values, agrees, real
from torch.distributions import Normal, Poisson

import ppl
from ppl.errors import DataError, MethodError, StructureError
from ppl.syntax.load import loads

X = real([1.0, 2.0, 4.0])
Y = real([0.5, -1.0, 2.0])
W = real([[1.0, 2.0], [0.5, -1.0], [2.0, 0.3]])


def normal(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> torch.Tensor:
    return Normal(real(loc), real(scale)).log_prob(x).sum()


def program(text: str, *arguments: Any) -> Any:
    return loads(text).programs["m"](*arguments)


UPDATES = [
    ("from a branch", "flag: bool = true", "    if flag:\n        s = 0.0\n    else:\n        s = 1.0\n"),
    ("from an argument", "s: real = 0", ""),
]


@pytest.mark.parametrize(("what", "argument", "above"), UPDATES, ids=[u[0] for u in UPDATES])
def test_a_loop_carries_on_what_has_a_value_above_it(what: str, argument: str, above: str) -> None:
    text = f"""
model m(x: real[N], y: real[N], {argument}):
    mu ~ Normal(0, 1)
{above}    for t in N:
        s += x[t] * mu
        y[t] ~ Normal(s, 1)
    factor f = s
"""
    agrees(program(text, X, Y), lambda v: normal(v["mu"]) + normal(Y, v["mu"] * X.cumsum(0)) + 7 * v["mu"])


def test_an_array_that_a_loop_built_changes_in_one_branch_only() -> None:
    text = """
model m(x: real[N], flag: bool = true):
    mu ~ Normal(0, 1)
    for i in N:
        a[i] = x[i] * mu
    if flag:
        a = 2 * a
    factor f = sum(a)
"""
    agrees(program(text, X), lambda v: normal(v["mu"]) + 14 * v["mu"])
    agrees(program(text, X, False), lambda v: normal(v["mu"]) + 7 * v["mu"])


def test_nested_loops_over_one_dim_go_through_its_pairs() -> None:
    text = """
def gram(x: real[N], rho: real) -> real[N, N]:
    for i in N:
        for j in N:
            k[i, j] = exp(-rho * (x[i] - x[j]) ** 2)
    return k


model m(x: real[N], y: real[N]):
    rho ~ Exponential(1)
    for i in N:
        for j in N:
            a[i, j] = x[i] * rho - (x[j] if i < j else 2 * y[j])
    for i in N:
        for j in N:
            for k in N:
                b[i, j, k] = a[j, i] * y[k] if i == k else 0
    factor of_pairs = sum(a * gram(x, rho))
    factor of_triples = sum(b[0, 1]) + 3 * b[2, 1, 2]
    for i in N:
        z[i] ~ Normal(sum(a[i]), 1)
"""

    def density(v: Values) -> torch.Tensor:
        rho = v["rho"]
        above = torch.ones(3, 3).triu(1).bool()
        a = X[:, None] * rho - torch.where(above, X[None, :], 2 * Y[None, :])
        gram = torch.exp(-rho * (X[:, None] - X) ** 2)
        triples = a.T[0, 1] * Y[0] + 3 * a.T[2, 1] * Y[2]
        return -rho + (a * gram).sum() + triples + normal(v["z"], a.sum(1))

    agrees(program(text, X, Y), density)


def walk(v: Values, first: float = 0.0) -> torch.Tensor:
    return normal(v["z"][0], first) + normal(v["z"][1:], v["z"][:-1])


def test_what_stands_beside_a_first_element_begins_with_the_loop() -> None:
    text = """
model m(x: real[T], w: real[T, D]):
    total = 0
    z[0] ~ Normal(0, 1)
    for t in range(1, T):
        z[t] ~ Normal(z[t-1], 1)
        factor simple[t] = z[t]
        total += 10 * z[t]
        observe seen[t] = x[t] ~ Normal(z[t], 1)
        for d in D:
            observe of_each[t, d] = w[t, d] ~ Normal(z[t], 2)
        if x[t] > 3:
            factor late[t] = 100 * z[t]
        before = z[t-1] * x[t-1]
        factor local[t] = before
    factor of_all = total
"""

    def formula(v: Values) -> torch.Tensor:
        z = v["z"]
        seen = normal(X[1:], z[1:]) + normal(W[1:], z[1:, None], 2.0)
        return walk(v) + 11 * z[1:].sum() + seen + 100 * z[2] + (z * X)[:-1].sum()

    agrees(program(text, X, W), formula)


def test_distributions_in_distributions_have_first_elements() -> None:
    text = """
model m(T: int = 3):
    z[0] ~ Truncated(Normal(0, 1), low=0)
    for t in range(1, T):
        z[t] ~ Truncated(Normal(z[t-1], 1), low=0)
"""

    def formula(v: Values) -> torch.Tensor:
        return walk(v) + math.log(2) - Normal(0.0, 1.0).cdf(v["z"][:-1]).log().sum()

    agrees(program(text), formula)


def test_a_value_before_the_first_is_computed_where_it_stands() -> None:
    text = """
model m(T: int = 3):
    a = 1.0
    z[-1] = a
    a = 5.0
    for t in T:
        z[t] ~ Normal(z[t-1], a)
"""
    agrees(program(text), lambda v: normal(v["z"][0], 1.0, 5.0) + normal(v["z"][1:], v["z"][:-1], 5.0))


def test_two_loops_carry_on_one_name_each_in_its_direction() -> None:
    text = """
model m(T: int = 3, K: int = 2):
    for t in T:
        for k in K:
            z[t, k] ~ Normal((z[t-1, k] if t > 0 else 0) + (z[t, k-1] if k > 0 else 1), 1)
"""

    def formula(v: Values) -> torch.Tensor:
        z, total = v["z"], torch.zeros(())
        for t in range(3):
            for k in range(2):
                above, before = z[t - 1, k] if t else real(0.0), z[t, k - 1] if k else real(1.0)
                total = total + normal(z[t, k], above + before)
        return total

    agrees(program(text), formula)


def test_whole_and_real_numbers_together() -> None:
    text = """
model m(k: int[N], A: int[N, D]):
    w ~ Normal(0, 1)
    b: real[D] ~ Normal(0, 1)
    factor extremes = max(0, w) + min(1, w) + max(w, 0, 0.3)
    factor products = sum(A @ b) + sum(2 ** -k) * w + sum(k ** -1) * w
"""
    k, a = torch.tensor([1, 2, 4]), torch.tensor([[1, 2], [3, 4], [5, 6]])

    def formula(v: Values) -> torch.Tensor:
        w = v["w"]
        extremes = w.clamp(min=0) + w.clamp(max=1) + w.clamp(min=0.3)
        products = (a.double() @ v["b"]).sum() + (2.0 ** -k.double()).sum() * w + (1 / k).double().sum() * w
        return normal(w) + normal(v["b"]) + extremes + products

    agrees(program(text, k.tolist(), a.tolist()), formula)


def test_names_that_the_language_has_too() -> None:
    text = """
model m(x: real[N]):
    mu ~ Normal(0, 1)
    a = mean(x)
    for i in N:
        mean = mu + x[i]
        z[i] ~ Normal(mean, 1)
    max = mean(z) + max(x)
    factor f = a + max
"""
    agrees(
        program(text, X),
        lambda v: normal(v["mu"]) + normal(v["z"], v["mu"] + X) + 7 / 3 + v["z"].mean() + 4,
    )


def test_functions_with_loops_run_in_loops_with_any_sizes() -> None:
    text = """
def total(x: real[N], b: real) -> real:
    s = 0
    for n in N:
        s += b * x[n]
    return s


model m(x: real[N], w: real[N, D]):
    mu ~ Normal(0, 1)
    for n in N:
        z[n] ~ Normal(total(w[n], mu) + total(x, mu), 1)
    factor f = total([mu], 2)
"""

    def formula(v: Values) -> torch.Tensor:
        return normal(v["mu"]) + normal(v["z"], v["mu"] * (W.sum(1) + 7)) + 2 * v["mu"]

    agrees(program(text, X, W), formula)


def test_ranges_of_one_index_may_differ_and_may_be_empty() -> None:
    text = """
model m(x: real[N], P: int):
    w ~ Normal(0, 1)
    t = 0
    for i in N:
        t += x[i]
    for i in range(1, N):
        t += 10 * x[i]
    for i in range(P, N):
        t += 100 * x[i]
        observe seen[i] = x[i] ~ Normal(w, 1)
    factor f = t * w
"""
    agrees(program(text, X, 2), lambda v: normal(v["w"]) + normal(X[2:], v["w"]) + 467 * v["w"])
    agrees(program(text, X, 5), lambda v: normal(v["w"]) + 67 * v["w"])


def test_reductions_along_an_axis() -> None:
    text = """
model m(w: real[N, D]):
    b ~ Normal(0, 1)
    factor f = b * (dot(max(w, axis=0), [1, 2]) + dot(min(w, axis=1), [1, 2, 3]) + dot(sum(w, axis=-1), [1, 2, 3]))
"""
    one, two = real([1.0, 2.0]), real([1.0, 2.0, 3.0])
    factor = W.amax(0) @ one + W.amin(1) @ two + W.sum(-1) @ two
    agrees(program(text, W), lambda v: normal(v["b"]) + v["b"] * factor)


def test_components_are_a_list() -> None:
    text = """
model m(y: real[N]):
    mu ~ Normal(0, 1)
    for n in N:
        y[n] ~ Mixture([0.25, 0.75], [Normal(mu, 1), Normal(0, 2)])
"""

    def formula(v: Values) -> torch.Tensor:
        parts = [
            Normal(v["mu"], 1.0).log_prob(Y) + math.log(0.25),
            Normal(0.0, 2.0).log_prob(Y) + math.log(0.75),
        ]
        return normal(v["mu"]) + torch.stack(parts).logsumexp(0).sum()

    agrees(program(text, Y), formula)


def test_sizes_are_bound_whatever_their_order() -> None:
    text = """
model m(gap: real[year - 1], height: real[year]):
    mu ~ Normal(sum(gap), 1)
    factor f = mu * sum(height)
"""
    agrees(program(text, [0.5, 1.0], X), lambda v: normal(v["mu"], 1.5) + 7 * v["mu"])
    with pytest.raises(DataError, match="axis 0 of gap has 1 elements"):
        ppl.simulate(program(text, [0.5], X), seed=0)


def test_whole_numbers_within_bounds() -> None:
    text = """
model m():
    w ~ Normal(0, 1)
    k: int(1, 4) ~ Poisson(2)
    z ~ Normal(k + w, 1)
"""
    every = Poisson(real(2.0)).log_prob(real([1.0, 2.0, 3.0, 4.0]))
    bound = program(text).condition({"k": real(3.0)})
    agrees(bound, lambda v: normal(v["w"]) + every[2] - every.logsumexp(0) + normal(v["z"], 3 + v["w"]))


REFUSED: list[tuple[str, type[Exception], str, tuple[Any, ...]]] = [
    ("model m(g, a: real[K]):\n    w ~ Normal(a[g], 1)\n", DataError, "an index is a whole number", (real([1.7, 0.2]), X)),
    ("model m(b: bool[N]):\n    w ~ Normal(sum(b), 1)\n", DataError, "true and false", ([0.5, 2, 0],)),
    ("model m(x: real[N]):\n    a: real[2] ~ Normal(x, 1)\n", StructureError, r"shape \[3\], and its type says \[2\]", (X,)),
    ("model m(x: real[N]):\n    u: unit_vector[3] ~ Normal(x, 1)\n", MethodError, r"UnitSphere\(K\)", (X,)),
    ("model m():\n    L: cholesky[3] ~ Normal(0, 1)\n", MethodError, "LKJCholesky", ()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "error", "words", "arguments"), REFUSED, ids=[r[2] for r in REFUSED])
def test_what_shows_in_a_run_only_has_its_place(
    text: str, error: type[Exception], words: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(error, match=words) as raised:
        ppl.simulate(program(text, *arguments), seed=0)
    assert "<text>:" in str(raised.value)


def test_whole_numbers_as_parameters() -> None:
    text = """
model m(k: int[N]):
    for n in N:
        a[n] ~ Uniform(0, k[n])
        b[n] ~ StudentT(k[n], k[n], k[n])
    S ~ Wishart(k[2], eye(2))
    r ~ LogitRelaxedBernoulli(1, logits=k)
    t ~ MultivariateStudentT(3, k, eye(3))
"""
    drawn = ppl.simulate(program(text, torch.tensor([1, 2, 4])), seed=0)
    assert bool((drawn["a"] < X).all())
    assert drawn["S"].shape == (2, 2)
    assert drawn["t"].is_floating_point()
