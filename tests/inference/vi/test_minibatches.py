"""`ppl.plate(…, subsample=)`: estimates from some elements have the expectation of those from all; what is told of the
posterior is of all.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import Bernoulli, Delta, Normal
from ppl.errors import PplError
from ppl.inference.vi import minibatch
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.minibatch import parts_of, subsample
from ppl.inference.vi.run import elbo
from ppl.language.interpret import interpret
from ppl.language.program import Program

F64 = torch.float64
Y = torch.tensor([1.2, -0.3, 0.8, 2.1, -1.4, 0.5, 3.0], dtype=F64)
N = len(Y)
BOUND = Program(elbo, "objective")


@ppl.model
def shared(n, drawn):
    """One mean for all: its posterior is N(Σ y / (n + 1), 1 / (n + 1))."""
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for _ in ppl.plate("i", n, subsample=drawn):
        ppl.sample("y", Normal(mu, 1.0))


@ppl.guide
def about(at, spread):
    ppl.sample("mu", Normal(ppl.param("loc", at), ppl.param("scale", spread, constraint="positive")))


@ppl.model
def local(n, drawn):
    for _ in ppl.plate("i", n, subsample=drawn):
        z = ppl.sample("z", Normal(0.0, 1.0))
        ppl.sample("y", Normal(z, 1.0))


def fit(bound, data, **options):
    infer = {k: options.pop(k) for k in ("draws", "seed", "engine", "save_to", "resume") if k in options}
    return ppl.infer(bound, data, method=ppl.VI(**options), progress=False, **infer)


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=tolerance, atol=tolerance)


def refused(call):
    with pytest.raises(PplError) as caught:
        call()
    return str(caught.value)


# ---------------------------------------------------------------- which elements are drawn


def test_subsets_are_equally_likely() -> None:
    rows = subsample(5, [40_000, 2], seed=3)
    counts = torch.zeros(5, 5)
    for i, j in rows.tolist():
        counts[min(i, j), max(i, j)] += 1
    found = counts[counts > 0]
    assert len(found) == 10  # 5 over 2, without replacement
    assert float(((found - 4000) ** 2 / 4000).sum()) < 27.9  # χ² with 9 degrees of freedom, p = 0.001
    assert not torch.equal(subsample(1000, [20], 1), subsample(1000, [20], 2))


def subsets(n, drawn):
    return [torch.tensor(s) for s in itertools.combinations(range(n), drawn)]


def over_all(compiled, plates, seed=1):
    """The mean of value and gradient over all subsets of the plates, the noise being the same."""
    found = []
    for chosen in itertools.product(*(subsets(n, b) for n, b in plates.values())):
        value, grads, _ = compiled.run(
            compiled.values(), seed, subsamples=dict(zip(plates, chosen, strict=True))
        )
        found.append((value, grads))
    grads = {name: torch.stack([g[name] for _, g in found]).mean(0) for name in found[0][1]}
    return torch.stack([v for v, _ in found]).mean(), grads


def test_the_mean_over_all_subsets_is_the_estimate_from_all_elements() -> None:
    programs = shared(N, 3).condition(y=Y), about(0.4, 0.7)
    value, grads = over_all(CompiledObjective(BOUND(*programs)), {"i": (N, 3)})
    whole = CompiledObjective(BOUND(*programs), whole=True)
    expected, exact, _ = whole.run(whole.values(), 1)
    close(value, expected)
    for name in exact:
        close(grads[name], exact[name])


def test_params_of_all_elements_are_indexed_by_those_drawn() -> None:
    """Coins of the elements, summed out, so that there is no noise: the ELBO is a function of the subset."""

    @ppl.model
    def m():
        for _ in ppl.plate("i", 4, subsample=2):
            heads = ppl.sample("heads", Bernoulli(0.3))
            ppl.sample("y", Normal(2.0 * heads, 1.0))

    @ppl.guide
    def q():
        p = ppl.param("p", torch.tensor([0.1, 0.4, 0.6, 0.9]), constraint="unit")
        for i in ppl.plate("i", 4, subsample=2):
            ppl.sample("heads", Bernoulli(p[i]), grad="enum")

    objective = BOUND(m().condition(y=Y[:4]), q())
    value, grads = over_all(CompiledObjective(objective), {"i": (4, 2)})
    whole = CompiledObjective(objective, whole=True)
    expected, exact, _ = whole.run(whole.values(), 1)
    close(value, expected)
    close(grads["p"], exact["p"])
    p = torch.tensor([0.1, 0.4, 0.6, 0.9], dtype=F64)
    ones, zeros = (Normal(c, 1.0).log_prob(Y[:4]) + math.log(w) for c, w in ((2.0, 0.3), (0.0, 0.7)))
    close(expected, (p * (ones - p.log()) + (1 - p) * (zeros - (1 - p).log())).sum())


def test_nested_and_neighbouring_plates_each_draw_their_own() -> None:
    y, z = torch.randn(3, 4, dtype=F64), torch.randn(5, dtype=F64)
    a, b = torch.randn(3, dtype=F64), torch.randn(4, dtype=F64)

    @ppl.model
    def m(a, b):
        mu = ppl.sample("mu", Normal(0.0, 1.0))
        for i in ppl.plate("i", 3, subsample=2):
            for j in ppl.plate("j", 4, subsample=2):
                ppl.sample("y", Normal(mu * a[i] + b[j], 1.0))
        for _ in ppl.plate("k", 5, subsample=1):
            ppl.sample("z", Normal(mu, 2.0))

    programs = m(a, b).condition(y=y, z=z), about(0.4, 0.7)
    plates = {"i": (3, 2), "j": (4, 2), "k": (5, 1)}
    value, grads = over_all(CompiledObjective(BOUND(*programs)), plates)
    whole = CompiledObjective(BOUND(*programs), whole=True)
    expected, exact, _ = whole.run(whole.values(), 1)
    close(value, expected)
    close(grads["loc"], exact["loc"])


def test_the_gradient_is_unbiased() -> None:
    """100,000 estimates against the closed form: ∂/∂loc = −loc + Σ (y − loc), ∂/∂scale = −(n + 1) scale + 1 / scale."""
    at, spread, k = 0.4, 0.7, 100_000
    _, grads = ppl.value_and_grad(BOUND)(shared(N, 3).condition(y=Y), about(at, spread), draws=k, seed=5)
    exact = {"loc": -at + float((Y - at).sum()), "scale": -(N + 1) * spread + 1 / spread}
    for name, value in exact.items():
        error = float(grads[name].std()) / math.sqrt(k)
        assert abs(float(grads[name].mean()) - value) < 4 * error


def test_the_gradient_of_local_params_is_unbiased() -> None:
    bound = local(N, 3).condition(y=Y)
    guide = ppl.guides.mean_field(bound)
    k = 100_000
    _, grads = ppl.value_and_grad(BOUND)(bound, guide, draws=k, seed=6)
    compiled = CompiledObjective(BOUND(bound, guide))
    loc = compiled.values()["z.loc"]
    error = grads["z.loc"].std(0) / math.sqrt(k)
    assert bool(((grads["z.loc"].mean(0) - (Y - 2 * loc)).abs() < 4 * error).all())
    assert bool((grads["z.loc"] == 0.0).any(1).all())  # an estimate moves the drawn elements only


def test_model_and_guide_see_the_same_elements() -> None:
    @ppl.model
    def m(x):
        for i in ppl.plate("i", 100, subsample=5):
            z = ppl.sample("z", Normal(0.0, 1.0))
            ppl.factor("same", -((z - x[i]) ** 2))

    @ppl.guide
    def q(x):
        ppl.param("unused", 0.0)
        for i in ppl.plate("i", 100, subsample=5):
            ppl.sample("z", Delta(x[i]))

    x = torch.arange(100, dtype=F64)
    prior = m(x).mask(same=False)
    for seed in range(5):
        with_factor = CompiledObjective(BOUND(m(x), q(x)))
        without = CompiledObjective(BOUND(prior, q(x)))
        close(with_factor.run(with_factor.values(), seed)[0], without.run(without.values(), seed)[0])


# ---------------------------------------------------------------- one meaning


def test_interpreter_and_compiled_agree_given_the_elements() -> None:
    @ppl.model
    def m(x):
        mu = ppl.sample("mu", Normal(0.0, 1.0))
        for i in ppl.plate("i", N, subsample=3):
            z = ppl.sample("z", Normal(mu, 1.0))
            ppl.sample("y", Normal(z + x[i], torch.exp(x[i])))

    @ppl.objective
    def density(p, q):
        return ppl.log_density(p, ppl.simulate(q))

    @ppl.guide
    def at(z):
        ppl.sample("mu", Delta(ppl.param("mu_at", 0.3)))
        for i in ppl.plate("i", N, subsample=3):
            ppl.sample("z", Delta(z[i]))

    x, z, chosen = torch.linspace(-1, 1, N, dtype=F64), torch.randn(N, dtype=F64), torch.tensor([5, 0, 2])
    weights = torch.linspace(0.5, 2.0, N, dtype=F64)
    bound = m(x).condition(y=Y).scale(y=weights).mask(z=torch.arange(N) != 2)
    trace = interpret(bound, {"mu": 0.3, "z": z[chosen]}, subsamples={"i": chosen}, draw=False)
    compiled = CompiledObjective(density(bound, at(z)))
    close(compiled.run(compiled.values(), 0, subsamples={"i": chosen})[0], trace.log_density)
    close(interpret(bound, {"mu": 0.3, "z": z}, subsamples={"i": chosen}).log_density, trace.log_density)


def test_a_compiled_density_has_all_elements() -> None:
    values = {"mu": torch.tensor(0.3)}
    found = [ppl.compile(shared(N, b).condition(y=Y)).log_density(torch.tensor([0.3])) for b in (3, None)]
    close(*found)
    close(found[0], ppl.log_density(shared(N, None).condition(y=Y), values))


# ---------------------------------------------------------------- fits


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_fit_is_that_of_all_data(engine) -> None:
    """Σ y / (n + 1) and 1 / (n + 1); the tail of the iterates is averaged, so what is left is far below the sd."""
    y = torch.randn(200, generator=torch.Generator().manual_seed(1), dtype=F64) + 2.0
    steps = 4000 if engine == "native" else 600
    found = fit(shared(200, 40), {"y": y}, steps=steps, engine=engine, learning_rate=0.05, draws=1000)
    assert found.attrs["engine"] == engine
    mean, sd = float(y.sum()) / 201, math.sqrt(1 / 201)
    assert abs(found.params["mu.loc"] - mean) < 0.3 * sd
    assert found.khat < 0.7
    covariance = np.eye(200) + 1.0
    quadratic = float(y.numpy() @ np.linalg.solve(covariance, y.numpy()))
    evidence = -0.5 * (quadratic + np.linalg.slogdet(covariance)[1] + 200 * math.log(2 * math.pi))
    assert abs(found.log_evidence - evidence) < 0.1


def test_natural_gradients_of_a_subsample() -> None:
    """The guide's params move to those of all elements, which one natural step of size 1 would find with them all."""
    y = torch.linspace(-1.0, 3.0, 200, dtype=F64)
    optimizer = ppl.NaturalGradient(step_size=0.2)
    found = fit(shared(200, 50), {"y": y}, steps=300, optimizer=optimizer, average=0.3, draws=100)
    assert abs(found.params["mu.loc"] - float(y.sum()) / 201) < math.sqrt(1 / 201)
    assert abs(found.params["mu.scale"] - math.sqrt(1 / 201)) < 0.2 * math.sqrt(1 / 201)


def test_machine_code_goes_on_to_the_same_bits(tmp_path) -> None:
    bound, options = shared(N, 3), {"schedule": "constant", "engine": "native", "draws": 100}
    whole = fit(bound, {"y": Y}, steps=60, **options)
    fit(bound, {"y": Y}, steps=25, save_to=tmp_path / "fit.npz", **options)
    rest = fit(bound, {"y": Y}, steps=60, resume=tmp_path / "fit.npz", **options)
    assert (rest.losses[-35:] == whole.losses[-35:]).all()


def test_local_latents_have_draws_of_all_elements() -> None:
    found = fit(local(N, 3), {"y": Y}, steps=6000, learning_rate=0.05, draws=2000)
    assert found.draws["z"].shape == (1, 2000, N) and found.dims["z"] == ("i",)
    np.testing.assert_allclose(found.params["z.loc"], Y / 2, atol=0.05)
    assert found.log_likelihood["y"].shape == (1, 2000, N)
    assert found.predict(seed=1)["y"].shape == (1, 2000, N)


@pytest.mark.parametrize("together", [1 << 17, 3 * N])
def test_log_weights_are_of_all_elements(monkeypatch, together) -> None:
    """log p(mu, y) − log q(mu) at each draw, also where the draws are made a few at a time."""
    monkeypatch.setattr(minibatch, "_ELEMENTS", together)
    assert (len(parts_of(100, {"i": (3, N)})) > 1) == (together == 3 * N)
    found = fit(shared(N, 3), {"y": Y}, steps=50, draws=100)
    mu = torch.as_tensor(found.draws["mu"][0])
    assert len(set(mu.tolist())) == 100
    joint = Normal(0.0, 1.0).log_prob(mu) + Normal(mu[:, None], 1.0).log_prob(Y).sum(1)
    q = Normal(*(torch.as_tensor(found.params[f"mu.{n}"]) for n in ("loc", "scale")))
    close(found.log_weights[0], joint - q.log_prob(mu))


def test_weights_that_would_take_too_long_are_left_out(monkeypatch) -> None:
    monkeypatch.setattr(minibatch, "_AFFORDABLE", 100 * N - 1)
    found = fit(shared(N, 3), {"y": Y}, steps=5, draws=100)
    assert found.khat is None and found.draws["mu"].shape == (1, 100)
    assert "700 log densities" in found.attrs["weights"]


def test_predictions_for_fewer_elements_than_are_drawn() -> None:
    found = fit(shared(N, 3), {"y": Y}, steps=5, draws=20)
    assert found.predict(shared(2, 3), seed=1)["y"].shape == (1, 20, 2)


# ---------------------------------------------------------------- mistakes


def test_data_are_those_of_all_elements() -> None:
    said = refused(lambda: fit(shared(N, 3), {"y": Y[:3]}, steps=5))
    assert "has 3 elements, as many as plate 'i' draws in a step" in said
    assert "values for all 7 elements" in said and "give all 7 values" in said
    assert "has 3 elements" in refused(lambda: ppl.simulate(shared(N, 3).condition(y=Y[:3])))
    assert "wrong shape" in refused(lambda: fit(shared(N, 3), {"y": Y[:5]}, steps=5))


def test_arguments_are_those_of_all_elements() -> None:
    @ppl.model
    def m(x):
        mu = ppl.sample("mu", Normal(0.0, 1.0))
        for i in ppl.plate("i", N, subsample=3):
            ppl.sample("y", Normal(mu, x[i]))

    assert "an array of 3 elements is indexed by plate 'i' of size 7" in refused(
        lambda: fit(m(torch.ones(3)), {"y": Y}, steps=5)
    )
    said = refused(lambda: fit(m(torch.tensor([1.0] * 6 + [-1.0])), {"y": Y}, steps=5))
    assert (
        "scale of Normal is outside its domain" in said and "[6]" in said
    )  # though most steps wouldn't meet it


@pytest.mark.parametrize("drawn", [0, 8, -1, 2.5, "3"])
def test_sizes_of_a_subsample_that_make_no_sense(drawn) -> None:
    said = refused(lambda: fit(shared(N, drawn), {"y": Y}, steps=5))
    assert f"plate 'i' can't draw {drawn!r} of 7 elements" in said and "1 ≤ subsample ≤ 7" in said


@pytest.mark.parametrize("drawn", [2, None])
def test_a_guide_that_draws_other_elements(drawn) -> None:
    @ppl.guide
    def q():
        loc = ppl.param("loc", torch.zeros(N))
        for i in ppl.plate("i", N, subsample=drawn):
            ppl.sample("z", Normal(loc[i], 1.0))

    said = refused(lambda: fit(local(N, 3), {"y": Y}, steps=5, guide=q()))
    assert "plate 'i' draws other elements here than where it was opened before" in said
    assert ("2 of 7" if drawn else "all 7 elements") in said and "3 of 7 elements" in said


def test_missing_elements_of_a_subsampled_plate() -> None:
    said = refused(lambda: fit(shared(N, 3), {"y": torch.where(Y > 2.5, torch.nan, Y)}, steps=5))
    assert "missing elements in the subsampled plate 'i'" in said


def test_observed_values_outside_the_support_are_found_before_the_first_step() -> None:
    @ppl.model
    def m(y):
        p = ppl.sample("p", Normal(0.0, 1.0))
        for i in ppl.plate("i", N, subsample=3):
            ppl.observe("y", Bernoulli(logits=p), y[i])

    y = torch.tensor([0, 1, 0, 1, 0, 1, 3])
    assert "outside the support of Bernoulli" in refused(lambda: fit(m(y), {}, steps=5))


def test_samplers_say_what_to_do() -> None:
    said = refused(lambda: ppl.infer(shared(N, 3), {"y": Y}, method="nuts", progress=False))
    assert 'ppl.plate("i", 7), which uses all elements, or method=ppl.VI()' in said
