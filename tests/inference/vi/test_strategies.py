"""Every gradient strategy at every family it admits, alone, in a plate, in nested plates, in a scan and in a branch: 1e5
estimates within four standard errors of the derivative by enumeration or quadrature. What a strategy does not admit is
refused.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from inference.vi.subjects import SUBJECTS, Subject, exact, function_of, near
from torch import Tensor

import ppl
from ppl.compiler.estimators.plan import REGISTRY
from ppl.distributions import Bernoulli, families
from ppl.errors import MethodError

DRAWS = 100_000
REGIONS: dict[str, tuple[int, ...]] = {"none": (), "plate": (3,), "nested": (2, 2), "scan": (3,), "cond": ()}
COIN = 0.3
"""The probability of the branch in which the site stands."""

FACTS = {f.name: f for f in families()}
BY_GAMMAS = {"Beta", "Chi2", "Dirichlet", "Gamma", "InverseGamma"}
ONE_BY_ONE = {"Bernoulli", "Categorical", "Exponential", "Geometric", "Normal", "OneHotCategorical"}
"""Families with measure-valued derivatives in all their parameters, with the ordinal ones and Poisson."""


def admitted(strategy: str, s: Subject) -> bool:
    family = FACTS[s.family]
    if strategy == "score":
        return "score" in family.strategies
    if strategy in ("reparam", "implicit"):
        return bool({"reparam", "implicit", "icdf"} & set(family.strategies))
    if strategy == "icdf":
        return family.has_icdf and not family.discrete
    if strategy == "enum":
        return family.finite
    if strategy == "mvd":
        return (
            s.family in ONE_BY_ONE | {"OrderedLogistic", "OrderedProbit", "Poisson"} or " in its " in s.name
        )
    if strategy == "rejection":
        return s.family in BY_GAMMAS
    if strategy in ("gumbel_softmax", "straight_through", "rebar"):
        return s.family in ("Bernoulli", "OneHotCategorical")
    return strategy == "quadrature" and s.family == "Normal"


def weights(place: str) -> Tensor:
    """What the elements count for in the objective."""
    region = REGIONS[place]
    return 0.5 + torch.arange(math.prod(region), dtype=torch.float64).reshape(region)


def program(s: Subject, grad: Any, place: str) -> tuple[Any, Any]:
    """A guide with one site, each element with params of its own, and a weighted sum of f over the elements."""
    f, w, region = function_of(s), weights(place), REGIONS[place]

    def site(at: Any) -> Any:
        return f(ppl.sample("x", s.make(*[p[at] if region else p for p in declared()]), grad=grad))

    def declared() -> list[Any]:
        return [ppl.param(f"p{k}", v.expand((*region, *v.shape)).clone()) for k, v in enumerate(s.values)]

    @ppl.guide
    def q():
        if place == "cond":
            coin = ppl.sample("coin", Bernoulli(COIN), grad="score")
            return ppl.cond(coin == 1, lambda: site(()), lambda: torch.tensor(0.5, dtype=torch.float64))
        if place == "scan":
            zero = torch.zeros((), dtype=torch.float64)
            return ppl.scan("time", lambda _, t: (zero, site(t)), zero, length=3)[1]
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

    @ppl.objective
    def total(q):
        return (w * ppl.simulate(q).value).sum()

    return total, q()


def check(strategy: str, s: Subject, place: str, slack: float = 1e-5) -> None:
    """Unbiased where admitted, else refused."""
    objective, guide = program(s, strategy, place)
    if not admitted(strategy, s):
        with pytest.raises(MethodError, match="not sound"):
            ppl.value_and_grad(objective)(guide)
        return
    value, grads = ppl.value_and_grad(objective)(guide, draws=DRAWS, seed=len(s.name))
    if REGISTRY[strategy]().biased and strategy != "quadrature":
        return  # how far off they are stands in tests of their own
    mean, slopes = exact(s)
    w = weights(place)
    if place == "cond":
        mean, w = COIN * mean + (1 - COIN) * 0.5, w * COIN
        near(value, torch.as_tensor(mean * 0.5, dtype=torch.float64), slack)
    else:
        near(value, torch.as_tensor(mean * float(w.sum()), dtype=torch.float64), slack)
    for k, slope in enumerate(slopes):
        near(grads[f"p{k}"], w.reshape(REGIONS[place] + (1,) * slope.dim()) * slope, slack)


CASES = [(strategy, name, place) for strategy in REGISTRY for name in SUBJECTS for place in REGIONS]
SLACK = {"quadrature": 2e-3}
QUICK = {
    ("mvd", "Normal", "nested"),
    ("mvd", "Gamma in its rate", "plate"),
    ("mvd", "Weibull in its scale", "none"),
    ("mvd", "Exponential", "none"),
    ("mvd", "Poisson", "plate"),
    ("mvd", "Geometric", "none"),
    ("mvd", "OneHotCategorical", "plate"),
    ("mvd", "Gamma", "none"),
    ("enum", "Binomial", "nested"),
    ("icdf", "Normal", "nested"),
    ("icdf", "Weibull", "plate"),
    ("icdf", "Gamma", "none"),
    ("quadrature", "Normal", "nested"),
    ("rejection", "Gamma", "plate"),
    ("rejection", "Dirichlet", "nested"),
    ("rejection", "Beta", "none"),
    ("rejection", "Normal", "none"),
    ("rebar", "Bernoulli", "plate"),
    ("rebar", "OneHotCategorical", "none"),
    ("score", "Bernoulli by logits", "nested"),
    ("gumbel_softmax", "Categorical", "none"),
    ("straight_through", "Poisson", "none"),
    ("quadrature", "Gamma", "none"),
    ("reparam", "Gamma", "cond"),
    ("score", "Poisson", "cond"),
    ("score", "Categorical", "scan"),
    ("enum", "OrderedLogistic", "scan"),
    ("enum", "Categorical", "cond"),
    ("mvd", "Normal", "scan"),
    ("mvd", "Exponential", "cond"),
    ("rejection", "Dirichlet", "scan"),
    ("rejection", "Gamma", "cond"),
    ("rebar", "Bernoulli", "scan"),
    ("rebar", "OneHotCategorical", "cond"),
    ("quadrature", "Normal", "scan"),
    ("quadrature", "Normal", "cond"),
    ("enum", "Normal", "scan"),
    ("mvd", "Gamma", "cond"),
}


@pytest.mark.parametrize(("strategy", "name", "place"), sorted(QUICK))
def test_some_of_the_matrix(strategy, name, place):
    check(strategy, SUBJECTS[name], place, slack=SLACK.get(strategy, 1e-5))


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "name", "place"), CASES)
def test_the_whole_matrix(strategy, name, place):
    check(strategy, SUBJECTS[name], place, slack=SLACK.get(strategy, 1e-5))
