"""Warm-up: windows, dual averaging, estimators of the inverse mass matrix."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppl.inference.mcmc import NUTS, sample
from ppl.inference.mcmc.adaptation import (
    adapt,
    first_metric,
    overlapping_plan,
    plan_for,
    stan_windows,
    start,
    windows_plan,
)
from ppl.inference.mcmc.estimators import (
    ESTIMATORS,
    FisherDiagonal,
    LowRankWindow,
    WelfordDense,
    WelfordDiagonal,
    low_rank_metric,
)
from ppl.inference.mcmc.metrics import Dense, Diagonal, LowRank, kinetic_energy, unit
from ppl.inference.mcmc.step_size import DualAveraging, update


class Gaussian:
    """N(0, diag(scales²))."""

    def __init__(self, scales):
        self.precision = 1.0 / np.asarray(scales) ** 2
        self.dim = len(self.precision)

    def value_and_grad(self, q):
        grad = -q * self.precision
        return 0.5 * (q * grad).sum(1), grad


def feed(estimator, draws, grads):
    for q, g in zip(draws, grads, strict=True):
        estimator = estimator.add(q, g)
    return estimator


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [
        (0, ()),
        (10, (10,)),
        (20, (3, 15, 2)),
        (100, (15, 75, 10)),
        (150, (75, 25, 50)),
        (200, (75, 25, 50, 50)),
        (185, (75, 60, 50)),
        (1000, (75, 25, 50, 100, 200, 500, 50)),
    ],
)
def test_stan_windows(warmup, expected):
    assert stan_windows(warmup) == expected


@given(st.integers(0, 5000))
@settings(max_examples=200, deadline=None)
def test_windows_sum_to_the_warmup_and_grow(warmup):
    lengths = stan_windows(warmup)
    assert sum(lengths) == warmup
    assert all(length > 0 for length in lengths)
    slow = lengths[1:-1]
    assert all(later >= 2 * earlier for earlier, later in pairwise(slow))


@given(st.integers(0, 3000), st.sampled_from([windows_plan, overlapping_plan]))
@settings(max_examples=100, deadline=None)
def test_plans_cover_the_warmup_and_end_with_a_window_for_the_step_size(warmup, make):
    plan = make(warmup)
    for flags in (plan.collect, plan.refresh, plan.switch, plan.restart):
        assert flags.shape == (warmup,)
    assert not (plan.refresh & ~plan.collect).any() or not plan.overlap
    if warmup >= 20:
        last = int(np.flatnonzero(plan.refresh)[-1])
        assert last < warmup - 1, "the step size needs iterations after the metric's last change"
        assert plan.restart[last]


def test_overlapping_windows_switch_to_the_background():
    plan = overlapping_plan(200)
    state = start("diag", plan, unit(1), 1.0, 1)
    rng = np.random.default_rng(0)
    first = int(np.flatnonzero(plan.switch)[0])
    for i in range(first + 1):
        q = rng.standard_normal(1)
        before = state
        state = adapt(state, plan, i, q, -q, 0.8, 0.8, "diag")
    assert state.foreground.count == before.background.count + 1
    assert state.background.count == 0


# --- step size ------------------------------------------------------------------------------------


def test_dual_averaging_finds_the_root_of_a_noisy_acceptance_curve():
    """With acceptance U-noise around exp(−ε) the fixed point for target 0.8 is ε = −log 0.8."""
    rng = np.random.default_rng(2)
    state = DualAveraging.start(1.0)
    for _ in range(5000):
        state = update(state, float(np.exp(-state.step_size) + rng.uniform(-0.1, 0.1)), 0.8)
    # noise of variance 0.01/3, slope 0.8 in ε; the average forgets as t^-0.75: some 5000^0.75 ≈ 600 terms
    assert state.average == pytest.approx(-np.log(0.8), rel=0.1)


def test_a_nan_acceptance_counts_as_rejection():
    state = DualAveraging.start(1.0)
    assert update(state, float("nan"), 0.8) == update(state, 0.0, 0.8)


@pytest.mark.parametrize("target", [0.6, 0.8, 0.95])
def test_warmup_reaches_the_target_acceptance(target):
    """The mean acceptance over late warm-up is the target: dual averaging drives Σ(target − a) to zero."""
    points = np.random.default_rng(1).standard_normal((4, 5))
    result = sample(
        Gaussian(np.ones(5)),
        points,
        NUTS(target_accept=target, metric="unit"),
        300,
        1000,
        5,
        keep_warmup=True,
    )
    acceptance = result.warmup_stats["acceptance_rate"][:, 200:]
    # errors average out at least as fast as independent ones of sd ≤ 0.25
    assert acceptance.mean() == pytest.approx(target, abs=4 * 0.25 / np.sqrt(acceptance.size))
    # the averaged step size has a smaller variance than the iterates and accepts somewhat more
    assert target - 0.03 < result.stats["acceptance_rate"].mean() < target + 0.13


# --- estimators -----------------------------------------------------------------------------------

COVARIANCE = np.array([[4.0, 1.5, 0.0], [1.5, 1.0, 0.2], [0.0, 0.2, 0.25]])


def gaussian_draws(n, covariance=COVARIANCE, seed=0):
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((n, len(covariance))) @ np.linalg.cholesky(covariance).T + 3.0
    return draws, -(draws - 3.0) @ np.linalg.inv(covariance)


def test_welford_equals_the_two_pass_formula_with_stans_shrinkage():
    draws, grads = gaussian_draws(40)
    n = 40
    expected = n / (n + 5) * np.cov(draws.T) + 1e-3 * 5 / (n + 5) * np.eye(3)
    dense = feed(WelfordDense.empty(3), draws, grads).estimate(unit(3))
    diagonal = feed(WelfordDiagonal.empty(3), draws, grads).estimate(unit(3))
    np.testing.assert_allclose(dense.covariance(), expected, rtol=1e-12)
    np.testing.assert_allclose(diagonal.diagonal(), np.diag(expected), rtol=1e-12)


def test_fisher_diagonal_is_exact_for_independent_normals_from_few_draws():
    scales = np.array([1e-4, 1.0, 1e4])
    draws = np.random.default_rng(0).standard_normal((4, 3)) * scales
    estimator = feed(FisherDiagonal.empty(3), draws, -draws / scales**2)
    exact = Diagonal.from_variances(scales**2)
    np.testing.assert_allclose(estimator.estimate(exact).diagonal(), scales**2, rtol=1e-9)
    # from a wrong metric it is two parts the old, four parts the new on the log scale
    np.testing.assert_allclose(estimator.estimate(unit(3)).diagonal(), scales ** (2 * 4 / 6), rtol=1e-9)


def test_fisher_diagonal_is_the_ratio_of_standard_deviations():
    draws, grads = gaussian_draws(30)
    expected = draws.std(0) / grads.std(0)
    estimate = feed(FisherDiagonal.empty(3), draws, grads).estimate(Diagonal.from_variances(expected))
    np.testing.assert_allclose(estimate.diagonal(), expected, rtol=1e-10)


def test_low_rank_recovers_a_full_covariance_when_nothing_is_cut_off():
    draws, grads = gaussian_draws(20)
    metric = low_rank_metric(draws, grads, unit(3), cutoff=1.0, ridge=1e-12)
    np.testing.assert_allclose(metric.covariance(), COVARIANCE, rtol=1e-4, atol=1e-9)


def test_low_rank_minimises_the_fisher_divergence():
    """No perturbation of the matrix has a smaller mean of |∇ + Σ⁻¹(q − mean)|² in the norm of Σ."""
    rng = np.random.default_rng(4)
    draws = rng.standard_t(5, (200, 3)) @ np.linalg.cholesky(COVARIANCE).T
    grads = -np.tanh(draws) @ np.linalg.inv(COVARIANCE)
    x, g = draws - draws.mean(0), grads - grads.mean(0)

    def divergence(matrix):
        return np.trace(g @ matrix @ g.T + x @ np.linalg.inv(matrix) @ x.T) / len(x)

    best = low_rank_metric(draws, grads, unit(3), cutoff=1.0, ridge=1e-12).covariance()
    for _ in range(20):
        step = 0.05 * rng.standard_normal((3, 3))
        other = (np.eye(3) + step) @ best @ (np.eye(3) + step).T
        assert divergence(best) < divergence(other)


@pytest.mark.parametrize("name", [name for name in ESTIMATORS if name != "unit"])
def test_constant_draws_and_infinite_gradients_leave_a_usable_metric(name):
    previous = Diagonal.from_variances(np.full(3, 2.0))
    for draws, grads in (
        (np.ones((10, 3)), np.zeros((10, 3))),
        (np.random.default_rng(0).standard_normal((10, 3)), np.zeros((10, 3))),
        (np.random.default_rng(0).standard_normal((10, 3)), np.full((10, 3), np.inf)),
    ):
        with np.errstate(all="ignore"):
            metric = feed(ESTIMATORS[name](3), draws, grads).estimate(previous)
            p = metric.sample_momentum(np.random.default_rng(0))
            assert np.isfinite(p).all() and np.isfinite(metric.velocity(p)).all()


def test_older_windows_do_not_see_rows_added_later():
    old = feed(LowRankWindow.empty(2), *(np.ones((3, 2)),) * 2)
    kept = old.draws[: old.count].copy()
    feed(old, *(np.full((40, 2), 9.0),) * 2)
    assert (old.draws[: old.count] == kept).all() and old.count == 3


# --- metrics --------------------------------------------------------------------------------------

U = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 2)))[0]


@pytest.mark.parametrize(
    "metric",
    [
        Diagonal.from_variances(np.array([0.25, 1.0, 9.0])),
        Dense.from_covariance(COVARIANCE),
        LowRank(np.array([0.5, 1.0, 3.0]), U, np.array([0.1, 7.0])),
    ],
)
def test_metrics_agree_with_their_matrix(metric):
    sigma = metric.covariance()
    p = np.array([0.3, -1.2, 0.7])
    np.testing.assert_allclose(metric.velocity(p), sigma @ p, rtol=1e-12)
    np.testing.assert_allclose(metric.drift(-0.2)(p), -0.2 * sigma @ p, rtol=1e-12)
    np.testing.assert_allclose(kinetic_energy(metric, p), 0.5 * p @ sigma @ p, rtol=1e-12)
    np.testing.assert_allclose(metric.diagonal(), np.diag(sigma), rtol=1e-12)
    # momenta are linear in standard normals, p = Fz with FFᵀ = Σ⁻¹: check it through unit vectors, exactly
    columns = [metric.sample_momentum(_Fixed(e)) for e in np.eye(3)]
    factor = np.array(columns).T
    np.testing.assert_allclose(factor @ factor.T, np.linalg.inv(sigma), rtol=1e-9, atol=1e-12)


class _Fixed:
    """A generator whose normals are given."""

    def __init__(self, z):
        self.z = z

    def standard_normal(self, size):
        assert size == self.z.shape[0]
        return self.z


def test_the_first_metric_is_bounded():
    variances = first_metric("diag", np.array([0.0, 1e300, -2.0])).diagonal()
    assert np.isfinite(variances).all() and (variances > 0).all() and variances[2] == 0.5


@pytest.mark.parametrize("name", ["diag", "diag_welford", "dense", "lowrank"])
def test_warmup_recovers_the_scales(name):
    scales = 10.0 ** np.linspace(-1, 1, 6)
    points = np.random.default_rng(0).standard_normal((4, 6)) * scales
    result = sample(Gaussian(scales), points, NUTS(metric=name), 10, 600, 3)
    for metric in result.metrics:
        ratio = metric.diagonal() / scales**2
        if name in ("diag", "lowrank"):  # exact for normals, up to the shrinkage towards the metric before
            np.testing.assert_allclose(ratio, 1.0, rtol=0.05)
        else:  # a variance from 300 draws has a relative sd of about √(2/200); shrinkage adds 1e-3·5/(n+5)
            shrunk = 1e-3 * 5 / 305 / scales**2
            np.testing.assert_allclose(ratio, 1.0 + shrunk, rtol=4 * np.sqrt(2 / 200))


def test_plan_for_unit_metric_changes_nothing():
    plan = plan_for("unit", 50)
    assert not plan.collect.any() and not plan.restart.any()
