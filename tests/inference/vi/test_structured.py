"""The structured guide keeps the model's dependence: where it trusts the prior wholly, its sites are the model's."""

import pytest
import torch
from inference.vi import zoo

import ppl
from ppl.distributions import Gamma, HalfNormal, Laplace, LogNormal, Normal
from ppl.language.program import Bound
from ppl.language.record import record


@ppl.model
def regression(x, group, sizes):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    w = ppl.sample("w", Normal(torch.zeros(2), 1.0))
    s = ppl.sample("s", LogNormal(mu - 1.0, 0.5))
    for g in ppl.plate("group", 3):
        a = ppl.sample("a", Laplace(-mu * sizes[g] ** 2 + torch.exp(w[1] / 3.0), 2.0 * s))
        for _ in ppl.plate("inside", 2):
            ppl.sample("b", Normal(a - (mu - w.sum()), 1.0 + s * 0.5))
    for i in ppl.plate("row", x.shape[0]):
        ppl.sample("z", Normal(x[i] @ w + 1.0 * group[i], s))


@ppl.model
def paths(inputs):
    s = ppl.sample("s", HalfNormal(1.0))

    def step(carry, u):
        level, trend = carry
        trend = ppl.sample("trend", Normal(0.5 * trend, s))
        level = ppl.sample("level", Normal(level + trend * u, 0.1))
        ppl.sample("y", Normal(level, 1.0))
        return level, trend

    ppl.scan("time", step, (torch.tensor(1.0), s), inputs)


@ppl.model
def grid():
    def row(up, i):
        def column(left, j):
            x = ppl.sample("x", Normal(0.5 * left + 0.25 * up, 1.0))
            return x

        ppl.scan("column", column, up, length=3)
        m = ppl.sample("m", Normal(up, 2.0))
        return m

    ppl.scan("row", row, torch.tensor(0.0), length=2)


MODELS: dict[str, tuple[Bound, set[str]]] = {
    "eight_schools": (zoo.continuous()["eight_schools"], {"theta"}),
    "chain": (zoo.continuous()["chain"], {"x"}),
    "nested": (zoo.continuous()["nested"], {"e"}),
    "regression": (
        regression(
            torch.linspace(-1.0, 1.0, 8).reshape(4, 2), torch.tensor([0, 2, 1, 1]), torch.tensor([0.3, 1, 2])
        ),
        {"s", "b", "z"},
    ),
    "paths": (paths(torch.tensor([0.5, -1.0, 2.0])).condition(y=torch.zeros(3)), {"trend", "level"}),
    "grid": (grid(), {"x", "m"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_with_full_trust_a_site_is_drawn_as_in_the_model(name: str) -> None:
    model, sites = MODELS[name]
    guide = ppl.guides.structured(model)
    params = record(guide).params
    assert {k.removesuffix(".loc_trust") for k in params if k.endswith(".loc_trust")} == sites | (
        {"a"} if name == "regression" else set()
    )
    trust = {k: torch.ones_like(p.init) for k, p in params.items() if k.endswith("_trust")}
    trace = ppl.simulate(guide, seed=4, params=trust)
    there, _ = ppl.generate(model, trace.choices)
    for site in sites:
        torch.testing.assert_close(trace.log_densities[site], there.log_densities[site])


@pytest.mark.parametrize("name", MODELS)
def test_without_trust_it_is_mean_field(name: str) -> None:
    model, _ = MODELS[name]
    guide, plain = ppl.guides.structured(model), ppl.guides.mean_field(model)
    trust = {k: torch.zeros_like(p.init) for k, p in record(guide).params.items() if k.endswith("_trust")}
    choices = ppl.simulate(plain, seed=4).choices
    torch.testing.assert_close(ppl.log_density(guide, choices, params=trust), ppl.log_density(plain, choices))


@pytest.mark.parametrize("name", MODELS)
def test_between_the_two_location_and_scale_are_mixed(name: str) -> None:
    guide = ppl.guides.structured(MODELS[name][0])
    recorded = ppl.simulate(guide, seed=1)
    torch.testing.assert_close(ppl.log_density(guide, recorded.choices), recorded.log_density)


def test_the_mixture_of_one_site_by_hand() -> None:
    guide = ppl.guides.structured(MODELS["eight_schools"][0])
    params = {"theta.loc_trust": torch.full((8,), 0.3), "theta.scale_trust": torch.full((8,), 0.8)}
    trace = ppl.simulate(guide, seed=1, params=params)
    q = torch.distributions.Normal(0.3 * trace["mu"] + 0.7 * 0.0, 0.8 * trace["tau"] + 0.2 * 0.1)
    torch.testing.assert_close(
        trace.log_densities["theta"], q.log_prob(trace["theta"]).sum(), rtol=1e-6, atol=1e-6
    )


def test_carries_and_data_appear_in_the_text() -> None:
    text = ppl.guides.source(ppl.guides.structured(MODELS["paths"][0]))
    assert "mix(carry[1] * 0.5, trend_loc[time], trend_loc_trust[time])" in text
    assert "carry[0] + trend * inputs[time]" in text
    assert "return (level, trend)" in text
    assert 'ppl.scan("time", time_step, (1.0, s), length=3)' in text


def test_what_can_not_be_written_is_independent() -> None:
    @ppl.model
    def model(y):
        s = ppl.sample("s", Gamma(2.0, 1.0))
        for _ in (p := ppl.plate("i", 3)):
            x = ppl.sample("x", Normal(0.0, s))
        ppl.sample("total", Normal(p.gather(x).sum(), 1.0))
        ppl.sample("far", Normal(torch.linalg.det(s * torch.eye(2)) + y, 1.0))

    guide = ppl.guides.structured(model(torch.tensor([1.0, 2.0, 3.0]).mean()))
    text = ppl.guides.source(guide)
    assert "Normal(total_loc, total_scale)" in text and "Normal(far_loc, far_scale)" in text
    assert "mix(s, x_scale[i], x_scale_trust[i])" in text
    assert guide.arguments == {}
