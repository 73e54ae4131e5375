"""`ppl.tune_gradients`: variances are those of the estimators, the choice is the smallest, and it is applied."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from inference.vi.subjects import near

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError
from ppl.inference.vi.compiled import CompiledObjective


def normals(n: int, grad: Any) -> Any:
    @ppl.guide
    def q():
        return sum(
            ppl.sample(f"x{k}", Normal(ppl.param(f"m{k}", 1.0), 1.0), grad=grad) ** 2 for k in range(n)
        )

    return q()


@ppl.objective
def value(q):
    return ppl.simulate(q).value


def trials(tuned: Any, site: str) -> dict[str, Any]:
    return {t.strategy: t for t in tuned.trials if t.site == site}


def test_variances_are_those_of_the_estimators():
    """x² with x ~ N(m, 1), m = 1: 2x has the variance 4; x² (x − m) that of E x⁴ ε² − 4 = 78 − 4."""
    draws = 20_000
    tuned = ppl.tune_gradients(value)(normals(1, "score"), draws=draws, time=False)
    found = trials(tuned, "x0")
    assert set(found) == {"score", "reparam", "icdf", "mvd"}
    spread = math.sqrt(2 / draws)  # of the variance of normal numbers, relative
    assert abs(found["reparam"].variance / 4.0 - 1) < 4 * spread
    e = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    density = torch.exp(-e * e / 2) / math.sqrt(2 * math.pi) * float(e[1] - e[0])
    score = (1 + e) ** 2 * e
    second, fourth = ((density * score**k).sum() for k in (2, 4))
    exact = float(second) - 4.0
    assert abs(found["score"].variance - exact) < 4 * math.sqrt(float(fourth) / draws)
    (chosen,) = (t for t in found.values() if t.chosen)
    assert chosen.variance == min(t.variance for t in found.values())
    assert tuned["x0"].name == chosen.strategy


def test_time_counts_where_it_is_asked_for():
    tuned = ppl.tune_gradients(value)(normals(1, "score"), draws=200)
    found = trials(tuned, "x0")
    (chosen,) = (t for t in found.values() if t.chosen)
    assert all(t.seconds > 0 for t in found.values())
    product = {n: t.variance * t.seconds for n, t in found.items()}
    assert product[chosen.strategy] <= min(product.values()) / 0.9


def test_what_has_no_variance_stays():
    @ppl.guide
    def q():
        return 2.0 * ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)))

    tuned = ppl.tune_gradients(value)(q(), time=False)
    assert trials(tuned, "k")["enum"].variance == pytest.approx(0.0, abs=1e-20)
    assert tuned["k"].name == "enum"


def test_many_sites_are_tried_one_after_the_other():
    tuned = ppl.tune_gradients(value)(normals(3, "score"), draws=500, time=False)
    assert tuned.combinations < 4**3
    assert {s.name for s in tuned.values()} <= {"reparam", "icdf", "mvd"} and len(tuned) == 3


def test_the_choice_is_applied_by_a_handler_and_by_vi():
    guide = normals(2, "score")
    tuned = ppl.tune_gradients(value)(guide, draws=500, time=False)
    _, grads = ppl.value_and_grad(value)(guide.grad(tuned), draws=10_000)
    near(grads["m0"], torch.tensor(2.0, dtype=torch.float64))
    assert float(grads["m0"].var()) < 10.0

    @ppl.model
    def p():
        x = ppl.sample("x", Normal(0.0, 1.0))
        ppl.observe("y", Normal(x, 1.0), 2.0)

    @ppl.guide
    def q():
        ppl.sample("x", Normal(ppl.param("m", 0.0), 0.7071), grad="score")

    how = {"method": "vi", "guide": q(), "steps": 400, "learning_rate": 0.05, "progress": False}
    fit = ppl.infer(p(), {}, gradients={"x": "reparam"}, **how)
    assert fit.attrs["engine"] == "native"  # scored choices are torch's
    assert fit.params["m"] == pytest.approx(1.0, abs=0.02)
    with pytest.raises(PplError, match="gradients= names 'z', which is no random choice"):
        ppl.infer(p(), {}, gradients={"z": "reparam"}, **how)


def test_steps_of_a_scan_are_one_site():
    @ppl.guide
    def q():
        def step(c, _):
            return c + ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3) - c), grad="score")

        return ppl.scan("s", step, torch.zeros(()), length=3)

    tuned = ppl.tune_gradients(value)(q(), draws=200, time=False)
    assert set(trials(tuned, "k")) >= {"score", "enum", "mvd"} and list(tuned) == ["k"]
    with_enum = CompiledObjective(value(q()), gradients={"k": "enum"})
    assert {d.strategy.name for d in with_enum.estimator.decisions.values()} == {"enum"}
    _, grads = ppl.value_and_grad(value)(q().grad(tuned), draws=3)
    assert with_enum.choices == {"k"} and grads["a"].shape == (3,)


def test_params_of_baselines_do_not_count():
    @ppl.guide
    def q(start):
        grad = ppl.Score(baseline=1000.0 * ppl.param("b", start))
        return ppl.sample("x", Normal(ppl.param("m", 1.0), 1.0), grad=grad) ** 2

    tuned = ppl.tune_gradients(value)(q(0.0), draws=4000, time=False)
    found = trials(tuned, "x")
    own, plain = found["Score(baseline=…)"], found["score"]
    assert own.variance == pytest.approx(plain.variance)  # the baseline is 0, its own gradient enormous


def test_strategies_that_do_not_go_together_are_shown():
    @ppl.guide
    def q():
        k = ppl.sample("k", Bernoulli(logits=ppl.param("a", 0.3)), grad="score")
        return (1.0 + k) * ppl.sample("z", Normal(ppl.param("m", 0.2) + k, 1.0), grad="score")

    tuned = ppl.tune_gradients(value)(q(), draws=300, time=False)
    assert tuned["k"].name in ("enum", "mvd")
    text = str(tuned)
    assert text.splitlines()[0].split() == ["site", "strategy", "variance", "µs", "variance", "×", "µs"]
    assert sum(line.endswith("chosen") for line in text.splitlines()) == 2


def test_a_site_that_keeps_what_it_asks_for_is_left_out():
    """The mirrored steps of measures have less variance than 2x has: 8 (1 − π/4) / π against 4."""
    tuned = ppl.tune_gradients(value)(normals(1, "mvd"), draws=500, time=False)
    assert trials(tuned, "x0")["mvd"].chosen and len(tuned) == 0
    tuned = ppl.tune_gradients(value)(normals(1, "auto"), draws=500, time=False)
    asked = CompiledObjective(value(normals(1, "auto").grad(tuned))).estimator.decisions["x0"]
    assert asked.strategy.name == tuned["x0"].name == "mvd"


def test_draws_that_have_no_variance_are_refused():
    with pytest.raises(PplError, match="several draws"):
        ppl.tune_gradients(value)(normals(1, "auto"), draws=1)
    with pytest.raises(PplError, match="not an objective"):
        ppl.tune_gradients(lambda q: q)
