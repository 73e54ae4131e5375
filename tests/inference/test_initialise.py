"""The ladder that finds starting points."""

import math

import numpy as np
import pytest
from inference.targets import Density

from ppl.inference.mcmc.initialise import InitialisationError, find_initial_points


def only_near(radius):
    return Density(
        2, lambda q: (-0.5 * q @ q, -q) if np.abs(q).max() < radius else (-np.inf, np.full(2, np.nan))
    )


def test_rungs_are_tried_in_order():
    rungs = [
        ("far", lambda chain, attempt: np.full(2, 50.0)),
        ("nothing", lambda chain, attempt: None),
        ("near", lambda chain, attempt: np.full(2, 0.1 * (1 + chain) if attempt == 2 else 9.0 + attempt)),
        ("late", lambda chain, attempt: np.zeros(2)),
    ]
    points, names = find_initial_points(only_near(1.0), rungs, 3, seed=1)
    assert names == ["near"] * 3
    np.testing.assert_allclose(points[:, 0], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(("radius", "expected"), [(3.0, "uniform(-2, 2)"), (0.02, "uniform(-0.0")])
def test_the_uniform_rung_shrinks(radius, expected):
    points, names = find_initial_points(only_near(radius), [], 4, seed=2)
    assert all(name.startswith(expected) for name in names)
    assert (np.abs(points) < radius).all()
    alone, _ = find_initial_points(only_near(radius), [], [2], seed=2)
    assert (alone[0] == points[2]).all()


def test_optimisation_walks_out_of_a_hopeless_region():
    """The gradient is too large to start from wherever |q| < 5."""
    target = Density(1, lambda q: (-abs(q[0] - 8.0), np.array([1e20 if q[0] < 5 else 1.0])))
    points, names = find_initial_points(target, [], 1, seed=1)
    assert names == ["optimisation"] and points[0, 0] >= 5


def test_failure_tabulates_the_sites():
    target = Density(1, lambda q: (-np.inf, np.full(1, np.nan)))

    def explain(q):
        return [("mu", 0.5, -1.25, ""), ("y", "[1.0, -2.0]", -math.inf, "y[1] = -2.0 is outside the support")]

    with pytest.raises(InitialisationError) as caught:
        find_initial_points(target, [("prior median", lambda chain, attempt: np.zeros(1))], 2, 1, explain)
    assert str(caught.value) == (
        "initialisation error\n"
        "no starting point was found for chain 0\n"
        "  expected: a finite log density with finite gradients at some point\n"
        "  found:    none; tried prior median, uniform, optimisation\n"
        "  edit:     look for sites below with no finite log density: data outside a support, a scale of 0\n"
        "  site  value        log density  cause\n"
        "  mu    0.5          -1.25\n"
        "  y     [1.0, -2.0]  -inf         y[1] = -2.0 is outside the support"
    )
