"""What the optimisation loop is given: an objective with its noise, and options that are checked."""

import numpy as np
import pytest
import torch
from inference.vi.estimators import Gaussian

from ppl.errors import MethodError, PplError
from ppl.inference.vi.native import SGD, Adam, Objective, Optimisation, Schedule, optimise

GAUSSIAN = Gaussian()
START = np.random.default_rng(5).normal(size=2 * GAUSSIAN.dim)


def test_noise_belongs_to_an_environment():
    """Two objectives of one program share no noise, and what was given for it is not written to."""
    given = torch.zeros(GAUSSIAN.dim, dtype=torch.float64)
    _, first = GAUSSIAN.program.environment([given, *GAUSSIAN.data])
    second = first.copy()
    first.array("e")[:] = 1.0
    assert (second.array("e") == 0).all() and (given == 0).all()
    assert first.array("p") is second.array("p")  # other data are shared
    assert len(first.array("e")) == len(second.array("e")) == GAUSSIAN.dim + 15


def test_a_program_called_with_other_noise_reads_it():
    u, e = torch.tensor(START), torch.ones(GAUSSIAN.dim, dtype=torch.float64)
    for factor in (1.0, 2.0):
        e *= factor  # the same tensor, with other numbers
        value = GAUSSIAN.program(u, e, *GAUSSIAN.data)[0]
        assert float(value) == pytest.approx(float(GAUSSIAN.elbo(u, e)), rel=1e-13)


def test_what_is_written_to_data_is_read():
    code, env = GAUSSIAN.program.environment([torch.zeros(GAUSSIAN.dim), *GAUSSIAN.data])
    u, out, found = START, np.zeros(1 + 2 * GAUSSIAN.dim), []
    for e in (np.zeros(3), np.ones(3)):
        env.array("e")[:3] = e
        code.library["density"](u, out, env.words)
        found.append(out[0])
    expected = [
        float(GAUSSIAN.elbo(torch.tensor(u), torch.full((3,), e, dtype=torch.float64))) for e in (0.0, 1.0)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("make_it", "edit"),
    [
        (lambda: Adam(rate=-1.0), "rate=0.01"),
        (lambda: Adam(beta2=1.0), "beta2=0.999"),
        (lambda: SGD(momentum=float("nan")), "momentum=0.9"),
        (lambda: Schedule("cosin", steps=5), 'Schedule("cosine")'),
        (lambda: Schedule("cosine"), "steps=1000"),
        (lambda: Schedule("exponential", steps=5), "final=0.01"),
        (lambda: Schedule("table"), "factors=[1.0, 0.5]"),
        (lambda: Schedule(factors=[1.0]), "factors=()"),
        (lambda: Optimisation(particles=0), "particles=1"),
        (lambda: Optimisation(clip=0.0), "clip=10.0"),
        (lambda: Optimisation(average_form=3), "average_from=…"),
        (lambda: optimise(GAUSSIAN.objective, np.zeros(6), -1), "steps=1000"),
    ],
)
def test_options_out_of_range_are_refused(make_it, edit):
    with pytest.raises(MethodError) as caught:
        make_it()
    assert caught.value.edit == edit


@pytest.mark.parametrize(
    ("attempt", "headline"),
    [
        (lambda: optimise(GAUSSIAN.objective, np.zeros(5), 1), "the start doesn't fit the objective"),
        (lambda: optimise(GAUSSIAN.objective, [np.nan] * 6, 1), "the optimisation can't start here"),
        (
            lambda: Objective.of_program(GAUSSIAN.program, GAUSSIAN.data),
            "the noise doesn't fit the objective",
        ),
    ],
)
def test_what_does_not_fit_is_refused(attempt, headline):
    with pytest.raises(PplError, match=headline):
        attempt()
