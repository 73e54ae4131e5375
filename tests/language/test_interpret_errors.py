"""Every mistake is refused with the site, its line, what was expected and found, and an edit."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import Gamma, HalfCauchy, MultivariateNormal, Normal, Poisson
from ppl.errors import DataError, ParameterError, PplError, StructureError
from ppl.language.gfi import generate, log_density, project, regenerate, simulate, update
from ppl.language.reparam import NonCentered


def refused(run, kind, *texts, site=None, line=None) -> None:
    """`run()` raises `kind`, says `texts`, and points to the site and to the line with `line`."""
    with pytest.raises(kind) as caught:
        run()
    error, text = caught.value, str(caught.value)
    for expected in texts:
        assert expected in text, text
    assert error.edit, text
    if site is not None:
        assert error.site == site, text
    if line is not None:
        rows = Path(__file__).read_text("utf-8").splitlines()
        assert error.where is not None and line in rows[error.where.line - 1], text


@ppl.model
def schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfCauchy(5.0))
    for j in ppl.plate("school", sigma.shape[0]):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))  # the data


SIGMA, Y = np.ones(3), np.zeros(3)
GIVEN = {"mu": 0.0, "tau": 1.0, "theta": np.zeros(3)}


def test_duplicate_site() -> None:
    @ppl.model
    def twice():
        ppl.sample("x", Normal(0.0, 1.0))  # first
        ppl.sample("x", Normal(0.0, 1.0))  # second

    @ppl.model
    def outside_and_inside():
        ppl.sample("x", Normal(0.0, 1.0))
        for _ in ppl.plate("i", 2):
            ppl.deterministic("x", 1.0)  # second, inside

    refused(
        lambda: simulate(twice()),
        StructureError,
        "duplicate site name 'x'",
        "test_interpret_errors.py",
        site="x",
        line="# second",
    )
    refused(
        lambda: simulate(outside_and_inside()), StructureError, "duplicate", site="x", line="# second, inside"
    )


def test_unknown_name_in_the_data() -> None:
    refused(
        lambda: simulate(schools(SIGMA).condition(yy=Y)), DataError, "'yy' is not a site", "rename it to 'y'"
    )


@pytest.mark.parametrize("use", [log_density, generate])
def test_unknown_choice(use) -> None:
    bound = schools(SIGMA).condition(y=Y)
    refused(
        lambda: use(bound, {**GIVEN, "thet": 1.0}),
        DataError,
        "no site is named 'thet'",
        "rename it to 'theta'",
    )


def test_choice_that_is_not_random() -> None:
    bound = schools(SIGMA).condition(y=Y)
    refused(lambda: generate(bound.do(tau=1.0), {"tau": 2.0}), DataError, "not a random choice")
    refused(
        lambda: generate(bound.reparam(theta=NonCentered()), {"theta": Y}), DataError, "not a random choice"
    )
    refused(
        lambda: log_density(bound, {**GIVEN, "y": Y + 1}),
        DataError,
        "is observed",
        site="y",
        line="# the data",
    )
    assert math.isfinite(log_density(bound, {**GIVEN, "y": Y}))


def test_missing_choice() -> None:
    bound = schools(SIGMA).condition(y=Y)
    refused(
        lambda: log_density(bound, {"mu": 0.0, "tau": 1.0}),
        DataError,
        "no value is given for 'theta' at [0]",
        site="theta",
    )
    theta = np.array([0.0, np.nan, 0.0])
    refused(lambda: log_density(bound, {**GIVEN, "theta": theta}), DataError, "'theta' at [1]")


@pytest.mark.parametrize("value", [np.zeros(4), 0.0, np.zeros((3, 1))])
def test_data_of_the_wrong_length(value) -> None:
    refused(
        lambda: simulate(schools(SIGMA).condition(y=value)),
        DataError,
        "shape [school=3]",
        site="y",
        line="# the data",
    )
    refused(
        lambda: log_density(schools(SIGMA).condition(y=Y), {**GIVEN, "theta": value}),
        DataError,
        "[school=3]",
        site="theta",
    )


@pytest.mark.parametrize("scale", [-1.0, 0.0, math.nan])
def test_impossible_scale(scale) -> None:
    bound = schools(SIGMA).condition(y=Y)
    refused(
        lambda: (
            log_density(bound, {**GIVEN, "tau": scale})
            if scale == scale
            else simulate(schools(SIGMA * scale))
        ),
        ParameterError,
        "scale > 0",
        site="theta" if scale == scale else "y",
    )


def test_plates() -> None:
    @ppl.model
    def two_sizes():
        for _ in ppl.plate("i", 2):
            pass
        for _ in ppl.plate("i", 3):  # three
            pass

    @ppl.model
    def nested():
        for _ in ppl.plate("i", 2):
            for _ in ppl.plate("i", 2):  # again
                pass

    @ppl.model
    def fraction():
        for _ in ppl.plate("i", 2.5):
            pass

    refused(lambda: simulate(two_sizes()), StructureError, "size 2", "size 3", line="# three")
    refused(lambda: simulate(nested()), StructureError, "inside itself", line="# again")
    with pytest.raises(StructureError, match="whole number"):
        simulate(fraction())


def test_scans() -> None:
    @ppl.model
    def lengths():
        ppl.scan("t", lambda c, x: c, 0.0, (torch.zeros(2), torch.zeros(3)))

    @ppl.model
    def no_length():
        ppl.scan("t", lambda c, x: c, 0.0)

    @ppl.model
    def other():
        ppl.scan("t", lambda c, x: (c, c, c), 0.0, length=2)

    refused(lambda: simulate(lengths()), StructureError, "disagree", line="torch.zeros(2)")
    refused(lambda: simulate(no_length()), StructureError, "no length")
    refused(lambda: simulate(other()), StructureError, "something else than its carry")


def test_branches() -> None:
    @ppl.model
    def vector():
        ppl.switch(torch.zeros(2), [lambda: 0, lambda: 1])  # which?

    @ppl.model
    def shapes():
        for j in ppl.plate("j", 2):
            ppl.switch(
                j,
                [
                    lambda: ppl.sample("x", Normal(0.0, 1.0)),
                    lambda: ppl.sample("x", Normal(torch.zeros(2), 1.0)),
                ],
            )

    refused(lambda: simulate(vector()), StructureError, "one value", line="# which?")
    refused(lambda: simulate(shapes()), StructureError, "differ in shape", site="x")


def test_handlers() -> None:
    @ppl.model
    def rate():
        ppl.sample("r", Gamma(1.0, 1.0))

    b = schools(SIGMA)
    refused(
        lambda: simulate(b.do(y=Y).condition(y=Y)), DataError, "do() has fixed", site="y", line="# the data"
    )
    refused(lambda: simulate(b.condition(y=Y).do(y=Y)), DataError, "observed", site="y")
    refused(lambda: simulate(b.condition(y=Y).condition(y=Y)), DataError, "observed already", site="y")
    refused(lambda: simulate(b.block("y").condition(y=Y)), DataError, "block() hides", site="y")
    refused(
        lambda: simulate(b.mask(y=np.ones(4, bool))), DataError, "mask for 'y' has the wrong shape", site="y"
    )
    refused(
        lambda: simulate(rate().reparam(r=NonCentered())), StructureError, "no non-centred form", site="r"
    )
    refused(lambda: simulate(b.block("taus")), DataError, "rename it to 'tau'")


def test_params() -> None:
    @ppl.model
    def two():
        ppl.param("w", torch.zeros(2))
        ppl.param("w", torch.zeros(3))  # other shape

    @ppl.model
    def one():
        ppl.param("w", 1.0, constraint="positive")  # w

    refused(lambda: simulate(two()), StructureError, "two shapes", line="# other shape")
    refused(lambda: simulate(one(), params={"v": 1.0}), DataError, "no param is named 'v'")
    refused(lambda: simulate(one(), params={"w": -1.0}), ParameterError, "> 0", line="# w")
    refused(lambda: simulate(one(), params={"w": [1.0]}), ParameterError, "wrong shape", line="# w")


def test_sites() -> None:
    @ppl.model
    def number():
        ppl.sample("x", 3.0)  # no distribution

    @ppl.model
    def counts():
        ppl.sample("n", Poisson(torch.ones(2)))  # counts

    @ppl.model
    def vector():
        ppl.sample("v", MultivariateNormal(torch.zeros(2), torch.eye(2)))

    @ppl.model
    def integers():
        for j in ppl.plate("j", 2):
            ppl.sample("x", Normal(j, 1.0))  # whole numbers

    refused(
        lambda: simulate(integers()), PplError, "floating-point parameters", site="x", line="# whole numbers"
    )
    refused(
        lambda: simulate(number()), StructureError, "needs a distribution", site="x", line="# no distribution"
    )
    refused(
        lambda: simulate(counts().condition(n=[1.0, math.nan])),
        DataError,
        "can't be imputed",
        site="n",
        line="# counts",
    )
    refused(lambda: simulate(vector().condition(v=[1.0, math.nan])), DataError, "known in part", site="v")
    refused(lambda: simulate(counts().condition(n=["a", "b"])), DataError, "not numeric")


def test_statements_outside_a_program() -> None:
    refused(lambda: ppl.sample("x", Normal(0.0, 1.0)), StructureError, "outside a program")
    refused(lambda: simulate(schools), ppl.PplError, "schools(sigma)")


def test_selections_and_arguments() -> None:
    trace = simulate(schools(SIGMA).condition(y=Y))
    refused(lambda: regenerate(trace, "thta"), DataError, "rename it to 'theta'")
    refused(lambda: regenerate(trace, "y"), DataError, "not in the trace")
    refused(lambda: project(trace, ["mu", "nu"]), DataError, "'nu'")
    refused(lambda: update(trace, arguments={"sgma": SIGMA}), DataError, "rename it to 'sigma'")
    refused(lambda: trace["thet"], ppl.PplError, 'trace["theta"]')


def test_a_failed_run_leaves_nothing_behind() -> None:
    for _ in range(2):
        with pytest.raises(ParameterError):
            log_density(schools(SIGMA).condition(y=Y), {**GIVEN, "tau": -1.0})
    assert torch.get_default_dtype() == torch.float32
    assert math.isfinite(log_density(schools(SIGMA).condition(y=Y), GIVEN))
