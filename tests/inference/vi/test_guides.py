"""Automatic guides sample what the model leaves open, with the density they ought to have, and their text is them."""

import functools
import importlib.util
import inspect
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from inference.vi import zoo
from inference.vi.test_amortised import amortised_nested
from inference.vi.test_structured import MODELS as DEPENDENT
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal, Normal

import ppl
from ppl.compiler.engines import TORCH
from ppl.compiler.passes.layouts import layouts
from ppl.distributions import biject_to, constraints
from ppl.language.program import Bound
from ppl.language.record import record
from ppl.language.sampling import Sampler

MODELS = zoo.continuous()
GUIDES = ("mean_field", "full_rank", "low_rank", "flow", "mixture", "structured", "delta")
PAIRS = [(guide, model) for guide in GUIDES for model in MODELS]
each_pair = pytest.mark.parametrize(("kind", "name"), PAIRS)
each_model = pytest.mark.parametrize("name", MODELS)


@functools.cache
def make(kind: str, name: str) -> Bound:
    return getattr(ppl.guides, kind)(MODELS[name])


recorded = functools.cache(record)
compiled_for = functools.cache(lambda name: ppl.compile(MODELS[name], engine="torch"))


def moved(guide: Bound, seed: int = 0, by: float = 0.3) -> dict[str, torch.Tensor]:
    """Values for all params, some way from where they start."""
    generator = torch.Generator().manual_seed(seed)
    values = {}
    for name, p in recorded(guide).params.items():
        onto = biject_to(p.constraint or constraints.real)
        at = onto.inv(p.init)
        values[name] = onto(at + by * torch.randn(at.shape, generator=generator, dtype=at.dtype))
    return values


def own(choices: Any) -> dict[str, torch.Tensor]:
    """The choices that are the model's."""
    return {k: v for k, v in choices.items() if not k.startswith("_")}


def coordinates(name: str, choices: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The unconstrained coordinates of a draw, and log |dx/du|: by the model, without the guide."""
    compiled = compiled_for(name)
    u = compiled.unconstrain(own(choices))
    return u, compiled.log_density(u) - ppl.log_density(MODELS[name], own(choices))


def by_site(name: str, params: dict[str, torch.Tensor], part: str) -> torch.Tensor:
    """A mean-field param of all sites as one vector, in the model's order."""
    sites = [lay.name for lay in layouts(recorded(MODELS[name]).graph)]
    return torch.cat([params[f"{site}.{part}"].reshape(-1) for site in sites])


# ---------------------------------------------------------------- sites


@each_pair
def test_a_guide_has_the_model_s_sites_where_the_model_has_them(kind: str, name: str) -> None:
    guide = make(kind, name)
    assert guide.program.kind == "guide"
    mine = {
        lay.name: (lay.loops, lay.shape, lay.dims[: len(lay.loops)]) for lay in layouts(recorded(guide).graph)
    }
    theirs = {
        lay.name: (lay.loops, lay.shape, lay.dims[: len(lay.loops)])
        for lay in layouts(recorded(MODELS[name]).graph)
    }
    assert own(mine) == theirs


@each_pair
def test_draws_lie_in_the_model_s_support_and_have_a_density(kind: str, name: str) -> None:
    guide = make(kind, name)
    trace = ppl.simulate(guide, seed=1, params=moved(guide))
    assert torch.isfinite(ppl.log_density(MODELS[name], own(trace.choices)))
    density = ppl.log_density(guide, trace.choices, params=moved(guide))
    assert torch.isfinite(density)
    torch.testing.assert_close(density, trace.log_density)


@each_pair
def test_draws_of_the_compiled_sampler_have_their_density_in_the_interpreter(kind: str, name: str) -> None:
    guide = make(kind, name)
    draws = Sampler(recorded(guide), TORCH)(seed=3, n=2)
    for row in range(2):
        assert torch.isfinite(ppl.log_density(guide, {k: v[row] for k, v in draws.items()}))


def test_names_of_axes_are_handed_on() -> None:
    assert "feature" in next(
        lay.dims for lay in layouts(record(make("mean_field", "nested")).graph) if lay.name == "a"
    )


# ---------------------------------------------------------------- densities by hand


@each_model
def test_mean_field_is_an_independent_normal_for_every_coordinate(name: str) -> None:
    guide = make("mean_field", name)
    params = moved(guide)
    choices = ppl.simulate(guide, seed=2, params=params).choices
    u, log_jacobian = coordinates(name, choices)
    q = Normal(by_site(name, params, "loc"), by_site(name, params, "scale"))
    torch.testing.assert_close(
        ppl.log_density(guide, choices, params=params), q.log_prob(u).sum() - log_jacobian
    )


@each_model
def test_full_rank_is_one_normal_over_all_coordinates(name: str) -> None:
    guide = make("full_rank", name)
    params = moved(guide, by=0.03)  # more would make the factor ill-conditioned
    choices = ppl.simulate(guide, seed=2, params=params).choices
    u, log_jacobian = coordinates(name, choices)
    torch.testing.assert_close(u, choices["_joint"])
    q = MultivariateNormal(params["joint.loc"], scale_tril=params["joint.scale_tril"])
    torch.testing.assert_close(ppl.log_density(guide, choices, params=params), q.log_prob(u) - log_jacobian)


def test_low_rank_is_one_normal_of_that_rank() -> None:
    guide = ppl.guides.low_rank(MODELS["supports"], rank=2)
    params = moved(guide)
    choices = ppl.simulate(guide, seed=2, params=params).choices
    u, log_jacobian = coordinates("supports", choices)
    q = LowRankMultivariateNormal(
        params["joint.loc"], params["joint.factor"], params["joint.diagonal"], validate_args=False
    )
    torch.testing.assert_close(ppl.log_density(guide, choices, params=params), q.log_prob(u) - log_jacobian)
    assert torch.linalg.matrix_rank(record(guide).params["joint.factor"].init) == 2


def test_a_joint_guide_knows_a_value_that_is_not_the_image_of_its_coordinates() -> None:
    guide = make("full_rank", "eight_schools")
    choices = dict(ppl.simulate(guide, seed=0).choices)
    assert ppl.log_density(guide, {**choices, "tau": choices["tau"] + 1e-6}) == -torch.inf


def test_delta_is_where_its_params_are() -> None:
    guide = make("delta", "nested")
    params = moved(guide)
    choices = ppl.simulate(guide, params=params).choices
    for name, value in choices.items():
        torch.testing.assert_close(value, params[name])
    assert ppl.log_density(guide, choices, params=params) == 0.0


def test_discrete_sites_have_a_probability_for_each_value() -> None:
    model = zoo.mixed().condition(y=torch.zeros(4))
    log_2, log_3 = torch.tensor([2.0, 3.0], dtype=torch.float64).log()
    for kind in ("mean_field", "full_rank"):
        guide = getattr(ppl.guides, kind)(model)
        trace = ppl.simulate(guide, seed=0)
        shares = trace.log_densities
        torch.testing.assert_close(shares["z"], -log_2)
        torch.testing.assert_close(shares["k"], -4 * log_3)
        torch.testing.assert_close(shares["hot"], -4 * log_2)
        assert trace["k"].dtype == torch.int64
        assert torch.isfinite(ppl.log_density(model, own(trace.choices)))


def test_a_subsampled_plate_has_params_for_all_elements() -> None:
    @ppl.model
    def model(y):
        for i in ppl.plate("i", 100, subsample=10):
            z = ppl.sample("z", zoo.Normal(0.0, 1.0))
            ppl.observe("y", zoo.Normal(z, 1.0), y[i])

    for kind in ("mean_field", "full_rank"):
        trace = ppl.simulate(getattr(ppl.guides, kind)(model(torch.zeros(100))))
        assert trace["z"].shape == (10,)
        assert {len(v) for v in trace.params.values()} == {100}


# ---------------------------------------------------------------- starting values


def test_guides_start_at_the_values_given() -> None:
    shares = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], dtype=torch.float64)
    init = {"shares": shares, "b": torch.tensor([4.0, 5.0])}
    for guide in (
        ppl.guides.mean_field(MODELS["nested"], init=init, scale=1e-9),
        ppl.guides.full_rank(MODELS["nested"], init=init, scale=1e-9),
        ppl.guides.flow(MODELS["nested"], init=init, scale=1e-9),
        ppl.guides.mixture(MODELS["nested"], init=init, scale=1e-9, spread=1e-9),
        ppl.guides.delta(MODELS["nested"], init=init),
    ):
        trace = ppl.simulate(guide)
        torch.testing.assert_close(trace["shares"], shares, atol=1e-7, rtol=0)
        torch.testing.assert_close(trace["b"], init["b"].double(), atol=1e-6, rtol=0)


def test_without_them_coordinates_start_at_zero_with_a_scale_of_a_tenth() -> None:
    params = ppl.simulate(make("mean_field", "eight_schools")).params
    assert all(bool((v == (0.0 if k.endswith("loc") else 0.1)).all()) for k, v in params.items())


# ---------------------------------------------------------------- text


@each_pair
def test_the_text_saved_as_a_file_is_the_same_guide(kind: str, name: str, tmp_path: Path) -> None:
    guide = make(kind, name)
    path = tmp_path / "my_guide.py"
    path.write_text(ppl.guides.source(guide), "utf-8")
    spec = importlib.util.spec_from_file_location("my_guide", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    again = getattr(module, guide.name)(**guide.arguments)
    first, second = (ppl.simulate(g, seed=5) for g in (guide, again))
    assert list(first.choices) == list(second.choices)
    assert all(torch.equal(first[k], second[k]) for k in first.choices)
    assert ppl.log_density(again, first.choices) == first.log_density


def test_the_text_is_formatted_and_imports_what_it_uses(tmp_path: Path) -> None:
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    guides = {f"{kind}_{name}": make(kind, name) for kind, name in PAIRS}
    guides["mixed"] = ppl.guides.mean_field(zoo.mixed())
    guides |= {f"flow_{k}": ppl.guides.flow(zoo.mixed(), k) for k in ("planar", "autoregressive")}
    guides |= {f"structured_{k}": ppl.guides.structured(m) for k, (m, _) in DEPENDENT.items()}
    guides["mixture_full_rank"] = ppl.guides.mixture(zoo.mixed(), 3, base="full_rank")
    guides["amortised"] = amortised_nested()
    guides["flow_spline"] = ppl.guides.flow(MODELS["supports"], "spline")
    for name, guide in guides.items():
        (tmp_path / f"{name}.py").write_text(ppl.guides.source(guide), "utf-8")
    for command in (["format", "--diff"], ["check", "--select=F"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_guide_reads_as_one_would_write_it() -> None:
    assert (
        ppl.guides.source(make("mean_field", "eight_schools"))
        == '''\
import torch

import ppl
from ppl.distributions import LogNormal, Normal


@ppl.guide
def mean_field():
    """Every latent site of eight_schools independent of the others."""
    mu_loc = ppl.param("mu.loc", 0.0)
    mu_scale = ppl.param("mu.scale", 0.1, constraint="positive")
    tau_loc = ppl.param("tau.loc", 0.0)
    tau_scale = ppl.param("tau.scale", 0.1, constraint="positive")
    theta_loc = ppl.param("theta.loc", torch.zeros(8))
    theta_scale = ppl.param("theta.scale", torch.full((8,), 0.1), constraint="positive")

    ppl.sample("mu", Normal(mu_loc, mu_scale))
    ppl.sample("tau", LogNormal(tau_loc, tau_scale))
    for school in ppl.plate("school", 8):
        ppl.sample("theta", Normal(theta_loc[school], theta_scale[school]))
'''
    )


def test_sites_of_a_scan_stand_in_its_step() -> None:
    text = ppl.guides.source(make("full_rank", "chain"))
    assert (
        """\
    for series in ppl.plate("series", 2):

        def time_step(carry, time):
            ppl.sample("x", Placed(x[series, time], "real"))
            ppl.sample("gate", Placed(gate[series, time], "unit"))
            return carry

        ppl.scan("time", time_step, 0.0, length=5)
"""
        in text
    )


def test_python_finds_the_lines_of_a_guide() -> None:
    guide = make("mean_field", "eight_schools")
    function = guide.program.function
    assert inspect.getsource(function) in ppl.guides.source(guide)
    with pytest.raises(ppl.PplError) as caught:
        ppl.simulate(guide, params={"tau.scale": torch.tensor(-1.0)})
    assert "tau_scale = ppl.param(" in str(caught.value)
    try:
        function()
    except ppl.PplError as error:
        assert 'mu_loc = ppl.param("mu.loc", 0.0)' in "".join(traceback.format_exception(error))


def test_the_source_of_a_guide_written_by_hand_is_its_function() -> None:
    @ppl.guide
    def mine():
        ppl.sample("x", zoo.Normal(0.0, 1.0))

    assert ppl.guides.source(mine()).strip().startswith("@ppl.guide\n    def mine():")


def test_names_that_python_or_the_guide_needs_are_changed() -> None:
    @ppl.model
    def model():
        ppl.sample("lambda", zoo.Normal(0.0, 1.0))
        ppl.sample("torch", zoo.Normal(torch.zeros(40), 1.0))
        ppl.sample("a b", zoo.Normal(0.0, 1.0))
        ppl.sample("a_b", zoo.Normal(0.0, 1.0))
        for _ in ppl.plate("Normal", 2):
            ppl.sample('quoted "x"', zoo.Normal(0.0, 1.0))

    for kind in GUIDES:
        trace = ppl.simulate(getattr(ppl.guides, kind)(model()))
        assert set(own(trace.choices)) == {"lambda", "torch", "a b", "a_b", 'quoted "x"'}
