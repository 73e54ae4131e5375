"""Flows: log-determinants are those of the Jacobian, and guides made of flows have the density of the image."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

import ppl
from ppl.compiler.passes.layouts import layouts
from ppl.guides import flows
from ppl.language.record import record

KINDS = ("planar", "affine", "autoregressive", "iaf", "maf", "spline")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check(f: Callable[[Tensor], tuple[Tensor, Tensor]], z: Tensor) -> None:
    """f(z) gives its log-determinant, and its Jacobian has a positive determinant."""
    sign, log_det = torch.linalg.slogdet(torch.autograd.functional.jacobian(lambda v: f(v)[0], z))
    assert sign == 1
    torch.testing.assert_close(f(z)[1], log_det)


@pytest.mark.parametrize("seed", range(5))
def test_a_planar_map_can_be_undone_whatever_its_parameters(seed: int) -> None:
    u, w, z = 3.0 * noise(3, 4, seed=seed)
    check(lambda v: flows.planar(v, u, w, torch.tensor(0.3)), z)


def test_a_spline_is_monotone_smooth_and_the_identity_outside() -> None:
    shape = noise(5, 11)
    check(lambda v: flows.spline(v, shape), torch.tensor([-4.0, -0.3, 0.0, 2.2, 9.0], dtype=torch.float64))
    x = torch.linspace(-6.0, 6.0, 20001, dtype=torch.float64)
    y, _ = flows.spline(x, shape[:1].expand(20001, 11))
    assert bool((y.diff() > 0).all())
    torch.testing.assert_close(y[x.abs() >= 5], x[x.abs() >= 5])
    slope = torch.autograd.functional.jacobian(
        lambda v: flows.spline(v, shape[:1].expand(20001, 11))[0].sum(), x
    )
    # Continuous at the knots: between neighbours it changes by about the grid's step (6e-4) times its curvature.
    assert float(slope.diff().abs().max()) < 0.2 < float(slope.max() - slope.min())
    zero, log_det = flows.spline(x, torch.zeros(20001, 11, dtype=torch.float64))
    torch.testing.assert_close(zero, x)
    torch.testing.assert_close(log_det, torch.zeros((), dtype=torch.float64), atol=1e-9, rtol=0)


def numerical(f: Callable[[Tensor], Tensor], z: Tensor, step: float = 1e-6) -> Tensor:
    """The Jacobian by central differences (draws have no gradient), right to about step²."""
    rows = [(f(z + e) - f(z - e)) / (2 * step) for e in step * torch.eye(len(z), dtype=z.dtype)]
    return torch.stack(rows, 1)


@ppl.model
def plane():
    ppl.sample("x", ppl.distributions.Normal(torch.zeros(5), 1.0))


@pytest.mark.parametrize("kind", KINDS)
def test_the_guide_s_density_is_that_of_the_image(kind: str) -> None:
    """log q(x, z) = log N(z) − log |det dx/dz| with the Jacobian of the guide's own map, at moved params."""
    guide = ppl.guides.flow(plane(), kind, layers=3, hidden=6, bins=4)
    start = record(guide).params
    params = {
        k: p.init.abs() + 0.2 if p.constraint else p.init + 0.4 * noise(*p.init.shape, seed=i)
        for i, (k, p) in enumerate(start.items())
    }

    def image(z: Tensor) -> Tensor:
        return ppl.generate(guide, {"_joint": z}, params=params)[0]["x"]

    z = 1.5 * noise(5, seed=7)
    log_det = torch.linalg.slogdet(numerical(image, z)).logabsdet
    density = ppl.log_density(guide, {"_joint": z, "x": image(z)}, params=params)
    expected = Normal(0.0, 1.0).log_prob(z).sum() - log_det
    torch.testing.assert_close(density, expected, atol=1e-7, rtol=1e-7)
    assert float((image(z) - image(1.1 * z)).abs().max()) > 1e-3


@pytest.mark.parametrize("kind", ("affine", "autoregressive", "maf", "spline"))
def test_a_flow_starts_as_independent_normals(kind: str) -> None:
    guide = ppl.guides.flow(plane(), kind, scale=0.5)
    choices = ppl.simulate(guide, seed=3).choices
    expected = Normal(0.0, 0.5).log_prob(choices["x"]).sum()
    torch.testing.assert_close(ppl.log_density(guide, choices), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_flow_can_be_recorded(kind: str) -> None:
    recorded = record(ppl.guides.flow(plane(), kind, layers=2))
    assert [lay.name for lay in layouts(recorded.graph)] == ["_joint", "x"]
    assert any(name.startswith("flow.1.") for name in recorded.params)


@pytest.mark.parametrize("kind", ("autoregressive", "maf"))
def test_masks_keep_later_coordinates_out(kind: str) -> None:
    guide = ppl.guides.flow(plane(), kind, layers=1, hidden=7)
    params = {k: p.init + noise(*p.init.shape, seed=2) for k, p in record(guide).params.items()}
    params["joint.scale"] = torch.ones(5, dtype=torch.float64)

    def image(z: Tensor) -> Tensor:
        return ppl.generate(guide, {"_joint": z}, params=params)[0]["x"].flip(0)

    jacobian = numerical(image, noise(5))
    assert bool((jacobian.triu(1) == 0).all()) and bool((jacobian.tril() != 0).sum() == 15)


def test_a_masked_autoregressive_flow_conditions_on_what_it_has_made() -> None:
    """x_i is an affine function of z_i whose shift and scale are those of an autoregressive layer at x, not at z."""

    def recorded(layer):
        @ppl.guide
        def q(at):
            out, log_det = layer("f", at, 6)
            ppl.sample("x", ppl.distributions.Delta(out, event_dim=1))
            ppl.deterministic("log_det", log_det)

        return q

    z = noise(4, seed=3)
    params = {
        k: p.init + noise(*p.init.shape, seed=i)
        for i, (k, p) in enumerate(record(recorded(flows.masked_autoregressive)(z)).params.items())
    }
    made = ppl.simulate(recorded(flows.masked_autoregressive)(z), params=params)
    # The inverse layer at x = m(x) + exp(s(x)) z: an autoregressive layer at x gives m(x) + exp(s(x)) x.
    x = made["x"]
    there = ppl.simulate(recorded(flows.autoregressive)(x), params=params)
    torch.testing.assert_close(there.deterministics["log_det"], made.deterministics["log_det"])
    scales = (there["x"] - x) / (x - z)  # exp(s_i(x))
    torch.testing.assert_close(scales.log().sum(), made.deterministics["log_det"])


@ppl.model
def funnel():
    v = ppl.sample("v", ppl.distributions.Normal(0.0, 3.0))
    ppl.sample("x", ppl.distributions.Normal(torch.zeros(9), (0.5 * v).exp()))


def test_a_centred_funnel_does_not_make_training_diverge() -> None:
    """At the rate of other guides, with scales without bounds, couplings diverge here at step 450."""
    fit = ppl.infer(funnel(), {}, ppl.VI(guide="flow", steps=700), draws=200, progress=False)
    assert len(fit.losses) == 700 and bool(torch.isfinite(torch.as_tensor(fit.losses)).all())
    assert fit.losses[-100:].mean() < fit.losses[:100].mean() + 1.0


def test_the_rate_of_flows_is_the_one_asked_for_where_it_is() -> None:
    from ppl.inference.vi.train import FLOW_RATE, RATE, learning_rate

    assert learning_rate(ppl.VI(), ["joint.loc", "flow.0.weight_1"]) == FLOW_RATE < RATE
    assert learning_rate(ppl.VI(), ["joint.loc"]) == RATE
    assert learning_rate(ppl.VI(learning_rate=0.1), ["flow.0.u"]) == 0.1
