"""Errors that name what there is: all of a few names, of many those most like the wrong one."""

from __future__ import annotations

import numpy as np
import pytest

import ppl
from ppl.distributions import Normal
from ppl.errors import PplError
from ppl.results import Posterior

MANY = [f"beta{i}" for i in range(40)]
NEAR = "beta7, beta37, beta27, beta17, beta9, beta8, … and 34 more"
"""What of `MANY` is like "bta7"; …"""
FIRST = "beta0, beta1, beta2, beta3, beta4, beta5, … and 34 more"
"""… and what is listed where there is nothing to be like."""
VALUES = dict.fromkeys(MANY, 0.0)
ALL_BUT_ONE = {name: 0.0 for name in MANY if name != "beta7"}


@ppl.model
def many():
    for name in MANY:
        ppl.sample(name, Normal(0.0, 1.0))


@ppl.model
def summed():
    for name in MANY:
        ppl.sample(name, Normal(0.0, 1.0))
    ppl.deterministic("total", 1.0)


@ppl.model
def fitted():
    for name in MANY:
        ppl.param(name, 0.0)
    ppl.sample("x", Normal(0.0, 1.0))


@ppl.model
def over_plates():
    for name in MANY:
        for _ in ppl.plate(name, 2):
            ppl.sample(f"x_{name}", Normal(0.0, 1.0))


@ppl.model
def of_nine(beta1, beta2, beta3, beta4, beta5, beta6, beta7, beta8, beta9):
    ppl.sample("x", Normal(beta1, 1.0))


def infer(bound, **options):
    return ppl.infer(bound, draws=2, warmup=2, chains=1, progress=False, **options)


def drawn():
    return ppl.simulate(many(), seed=0)


def results():
    vector = {"x": np.zeros((1, 2, 40))}
    return Posterior(vector | {name: np.zeros((1, 2)) for name in MANY}, {"x": ["b"]}, {"b": MANY})


EXPECTED = {
    "data": (lambda: infer(many(), data={"bta7": 1.0}), NEAR),
    "do": (lambda: infer(many().do(bta7=1.0)), NEAR),
    "keep": (lambda: infer(many(), keep=["bta7"]), NEAR),
    "coords": (lambda: infer(over_plates(), coords={"bta7": [1, 2]}), NEAR),
    "values": (lambda: ppl.compile(many()).unconstrain(ALL_BUT_ONE), NEAR),
    "choices": (lambda: ppl.generate(many(), {"bta7": 1.0}), NEAR),
    "param": (lambda: ppl.log_density(fitted(), {"x": 0.0}, params={"bta7": 1.0}), NEAR),
    "trace": (lambda: drawn()["bta7"], NEAR),
    "selection": (lambda: ppl.regenerate(drawn(), ppl.select("bta7")), NEAR),
    "arguments": (
        lambda: ppl.update(ppl.simulate(of_nine(*range(9)), seed=0), {}, {"bta7": 1.0}),
        "beta7, beta9, beta8, beta6, beta5, beta4, … and 3 more",
    ),
    "draws": (lambda: results().draws["bta7"], "beta7, beta37, beta27, beta17, beta9, beta8, … and 35 more"),
    "labels": (lambda: results().sel(b="bta7"), NEAR),
}
FOUND = {
    "data": (
        lambda: infer(many(), data=ALL_BUT_ONE | {"bta7": 0.0}),
        "condition(bta7, beta37, beta27, beta17, beta9, beta8, … and 34 more)",
    ),
    "of a deterministic": (lambda: infer(summed(), data=VALUES | {"total": 1.0}), "condition(total, "),
    "hidden": (lambda: infer(many().block("beta7").condition(VALUES)), "condition(beta7, "),
    "all observed": (lambda: infer(many(), data=VALUES), f"observed sites: {FIRST}"),
    "params": (lambda: infer(fitted()), f"params {FIRST}"),
    "choices": (
        lambda: ppl.log_density(many(), ALL_BUT_ONE),
        "beta37, beta27, beta17, beta9, beta8, beta6, … and 33 more",
    ),
}


@pytest.mark.parametrize("case", EXPECTED)
def test_of_what_there_is_the_closest_are_listed(case):
    use, text = EXPECTED[case]
    assert text in refused(use).expected


@pytest.mark.parametrize("case", FOUND)
def test_of_what_was_given_the_closest_are_listed(case):
    use, text = FOUND[case]
    assert text in refused(use).found


def refused(use):
    with pytest.raises(PplError) as caught:
        use()
    assert " more" in str(caught.value) and max(map(len, str(caught.value).splitlines())) <= 130
    return caught.value


def test_the_edit_for_a_label_is_the_closest():
    assert refused(lambda: results().sel(b="bta7")).edit == "posterior.sel(b='beta7')"
    assert refused(lambda: results().sel(b="nothing alike")).edit == "posterior.sel(b='beta0')"
