"""NUTS and HMC: right on known targets, true to their definition and to the dynamics, calm at nan."""

import math

import arviz as az
import numpy as np
import pytest
from inference.targets import Density, Gaussian, banana, funnel, label, log_gamma, starts
from scipy import stats

from ppl.inference.mcmc import HMC, NUTS, drive, sample
from ppl.inference.mcmc.hamiltonian import Position, energy, leapfrog
from ppl.inference.mcmc.hmc import hmc_step
from ppl.inference.mcmc.metrics import Dense, Diagonal, unit
from ppl.inference.mcmc.nuts import nuts_step


def summary(draws):
    """Mean, sd and their Monte Carlo errors per coordinate, by ArviZ's effective sizes; draws [C, n, D]."""
    mean, sd = draws.mean((0, 1)), draws.std((0, 1))
    squares = (draws - mean) ** 2
    mean_error = sd / np.sqrt([float(az.ess(x, method="mean")) for x in np.moveaxis(draws, 2, 0).copy()])
    worth = [float(az.ess(x, method="mean")) for x in np.moveaxis(squares, 2, 0).copy()]
    return (
        mean,
        sd,
        mean_error,
        squares.std((0, 1)) / np.sqrt(worth) / (2 * sd),
    )  # sd of √s² by the delta method


def assert_moments(draws, mean, sd):
    got_mean, got_sd, mean_error, sd_error = summary(draws)
    assert (np.abs(got_mean - mean) < 4 * mean_error).all(), (got_mean, mean_error)
    assert (np.abs(got_sd - sd) < 4 * sd_error).all(), (got_sd, sd_error)
    assert (mean_error < 0.1 * got_sd).all(), "the chain hardly moves"


# --- right answers --------------------------------------------------------------------------------

CORRELATED = 0.9 ** np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
ILL_SCALED = np.diag(10.0 ** np.linspace(-6, 6, 8))


GAUSSIANS = {"iid": np.eye(5), "correlated": CORRELATED, "ill-scaled": ILL_SCALED}


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("iid", NUTS()),
        ("iid", HMC()),
        ("iid", NUTS(metric="unit", step_size=0.7, adapt_step_size=False)),
        ("iid", NUTS(metric="diag_welford")),
        ("correlated", NUTS()),
        ("correlated", NUTS(metric="dense")),
        ("correlated", NUTS(metric="lowrank")),
        ("correlated", HMC(metric="dense")),
        ("ill-scaled", NUTS()),
        ("ill-scaled", NUTS(metric="lowrank")),
        ("ill-scaled", HMC(num_steps=5)),
    ],
    ids=label,
)
def test_gaussian_moments(name, method):
    covariance = GAUSSIANS[name]
    target = Gaussian(covariance, mean=np.sqrt(np.diag(covariance)))
    points = starts(target.dim) * np.sqrt(np.diag(covariance))
    result = sample(target, points, method, draws=500, warmup=400, seed=11)
    assert_moments(result.q, target.mean, np.sqrt(np.diag(covariance)))
    assert not result.stats["diverging"].any()


def independent(draws):
    """Draws [C, n], thinned to as many as they are worth."""
    worth = float(az.ess(np.ascontiguousarray(draws), method="bulk"))
    return draws[:, :: max(1, math.ceil(1.5 * draws.size / worth))].ravel()


@pytest.mark.parametrize(
    "method", [NUTS(), HMC(), NUTS(step_size=0.9), HMC(num_steps=3, jitter=0.0)], ids=str
)
@pytest.mark.parametrize(
    ("target", "transforms"),
    [
        (Density(1, lambda q: (-0.5 * q[0] ** 2, -q)), {"x": (lambda q: q[..., 0], stats.norm)}),
        (Density(1, log_gamma), {"x": (lambda q: np.exp(q[..., 0]), stats.gamma(3))}),
        (
            Density(2, banana),
            {
                "x": (lambda q: q[..., 0], stats.norm),
                "y given x": (lambda q: q[..., 1] - 0.5 * q[..., 0] ** 2, stats.norm),
            },
        ),
    ],
    ids=["normal", "log gamma", "banana"],
)
def test_goodness_of_fit(target, transforms, method):
    result = sample(target, starts(target.dim), method, draws=1000, warmup=300, seed=4)
    for name, (transform, distribution) in transforms.items():
        draws = independent(transform(result.q))
        assert draws.size > 100, name
        assert stats.kstest(draws, distribution.cdf).pvalue > 1e-3, name


def test_banana_moments():
    result = sample(Density(2, banana), starts(2), NUTS(target_accept=0.9), 1000, 400, 3)
    assert_moments(result.q, [0.0, 0.5], [1.0, math.sqrt(1.5)])


@pytest.mark.parametrize(("step_size", "depth"), [(1.0, 10), (1.5, 2), (1.8, 1)])
def test_nuts_is_exact_however_coarse_the_step(step_size, depth):
    """The kernel alone, unadapted, near the limit of stability (2): energies in a trajectory differ so much
    that a wrong weight, within a doubling or between two, is off by more than ten standard errors."""
    method = NUTS(max_treedepth=depth, step_size=step_size, adapt_step_size=False, metric="unit")
    result = sample(Gaussian(np.eye(1)), starts(1), method, 2000, 20, 8)
    assert_moments(result.q, 0.0, 1.0)


def transition_from_the_definition(precision, q, step_size, rng):
    """NUTS as it is defined, by recursion, all points kept: (new point, leapfrog steps, depth); Σ = I."""

    def weigh(z):
        return math.exp(start_energy - 0.5 * (z[0] @ precision @ z[0] + z[1] @ z[1]))

    def step(z, direction):
        p = z[1] - 0.5 * direction * step_size * precision @ z[0]
        moved = z[0] + direction * step_size * p
        return moved, p - 0.5 * direction * step_size * precision @ moved

    def back_on_itself(points):
        rho = sum(p for _, p in points)
        return points[0][1] @ rho <= 0 or points[-1][1] @ rho <= 0

    def turns(a, b):
        left = sum(p for _, p in [*a, b[0]])
        right = sum(p for _, p in [a[-1], *b])
        return bool(
            back_on_itself(a + b)
            or a[0][1] @ left <= 0
            or b[0][1] @ left <= 0
            or a[-1][1] @ right <= 0
            or b[-1][1] @ right <= 0
        )

    def build(z, direction, depth):
        """(whole, points in order of time, the outermost point, steps)"""
        if depth == 0:
            z = step(z, direction)
            return True, [z], z, 1
        whole, near, z, steps = build(z, direction, depth - 1)
        if not whole:
            return False, near, z, steps
        whole, far, z, more = build(z, direction, depth - 1)
        a, b = (near, far) if direction > 0 else (far, near)
        return whole and not turns(a, b), a + b, z, steps + more

    p = rng.standard_normal(len(q))
    start_energy = 0.5 * (q @ precision @ q + p @ p)
    points, chosen, depth, total = [(q, p)], q, 0, 0
    while depth < 10:
        direction = 1 if rng.random() < 0.5 else -1
        whole, new, _, steps = build(points[-1 if direction > 0 else 0], direction, depth)
        total += steps
        if not whole:
            break
        depth += 1
        weights = np.array([weigh(z) for z in new])
        if rng.random() < weights.sum() / sum(weigh(z) for z in points):
            chosen = new[rng.choice(len(new), p=weights / weights.sum())][0]
        a, b = (points, new) if direction > 0 else (new, points)
        points = a + b
        if turns(a, b):
            break
    return chosen, total, depth


def test_nuts_agrees_with_its_definition():
    """Steps, depth and squared jump from stationary starts have the means of the recursive definition."""
    covariance = 0.9 * np.ones((6, 6)) + 0.1 * np.eye(6)
    precision, factor = np.linalg.inv(covariance), np.linalg.cholesky(covariance)
    rng, n = np.random.default_rng(3), 600
    ours, theirs = [], []
    for i in range(2 * n):
        q = factor @ rng.standard_normal(6)
        if i % 2:
            new, steps, depth = transition_from_the_definition(precision, q, 0.4, rng)
            theirs.append((steps, depth, ((new - q) ** 2).sum()))
        else:
            position = Position(q, -0.5 * float(q @ precision @ q), -precision @ q)
            moved, info = drive(Gaussian(covariance), {0: nuts_step(rng, position, 0.4, unit(6))})[0]
            ours.append((info.n_steps, info.tree_depth, ((moved.q - q) ** 2).sum()))
    a, b = np.array(ours, float), np.array(theirs, float)
    z = (a.mean(0) - b.mean(0)) / np.sqrt((a.var(0) + b.var(0)) / n)
    assert (np.abs(z) < 4).all(), z


def test_funnel_diverges_and_marks_where():
    result = sample(Density(5, funnel), starts(5), NUTS(), 300, 200, seed=2)
    broken = result.divergences
    flags = result.stats["diverging"]
    assert flags.sum() == len(broken.chain) > 0
    assert flags[broken.chain, broken.draw].all()
    assert np.isfinite(broken.broke_at).all() and not (broken.broke_at == broken.broke_to).any(1).all()
    assert (~(broken.energy_error <= 1000.0)).all()
    # they are found in the neck: the scale where trajectories break is below the typical one
    assert np.median(broken.broke_at[:, 0]) < np.median(result.q[..., 0])


# --- dynamics -------------------------------------------------------------------------------------


def integrate(target, position, p, step_size, steps, metric):
    def run():
        here, momentum = position, p
        for _ in range(steps):
            here, momentum = yield from leapfrog(here, momentum, step_size, metric)
        return here, momentum

    return drive(target, {0: run()})[0]


METRICS = [
    unit(2),
    Diagonal.from_variances(np.array([0.5, 3.0])),
    Dense.from_covariance(np.array([[1, 0.4], [0.4, 2]])),
]


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
def test_leapfrog_is_reversible(metric):
    target = Density(2, banana)
    q = np.array([0.3, -0.5])
    begin = Position(q, *banana(q))
    p = np.array([1.0, -0.4])
    end, momentum = integrate(target, begin, p, 0.05, 40, metric)
    back, momentum_back = integrate(target, end, momentum, -0.05, 40, metric)
    assert np.abs(end.q - q).max() > 0.1
    np.testing.assert_allclose(back.q, q, atol=1e-11)
    np.testing.assert_allclose(momentum_back, p, atol=1e-11)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: type(m).__name__)
def test_energy_error_is_of_second_order(metric):
    """Over a fixed time the error falls by 4 as the step halves."""
    target = Density(2, banana)
    q, p = np.array([0.3, -0.5]), np.array([1.0, -0.4])
    begin = Position(q, *banana(q))
    errors = []
    for steps in (200, 400):
        end, momentum = integrate(target, begin, p, 1.0 / steps, steps, metric)
        errors.append(abs(energy(end, momentum, metric) - energy(begin, p, metric)))
    assert 3.5 < errors[0] / errors[1] < 4.5


def test_leapfrog_keeps_volume():
    target, metric = Density(2, banana), METRICS[1]
    z0, h = np.array([0.3, -0.5, 1.0, -0.4]), 1e-5

    def flow(z):
        end, p = integrate(target, Position(z[:2], *banana(z[:2])), z[2:], 0.1, 5, metric)
        return np.concatenate([end.q, p])

    jacobian = np.array([(flow(z0 + h * e) - flow(z0 - h * e)) / (2 * h) for e in np.eye(4)])
    assert abs(np.linalg.det(jacobian)) == pytest.approx(1.0, abs=1e-6)


def test_nuts_stats_are_consistent():
    result = sample(Gaussian(np.eye(3)), starts(3), NUTS(max_treedepth=3), 300, 100, 1)
    s = result.stats
    lp = -0.5 * (result.q**2).sum(2)
    np.testing.assert_allclose(s["lp"], lp, rtol=1e-12)
    assert (s["energy"] >= -lp).all()  # kinetic energy is not negative
    assert (s["n_steps"] >= 2 ** s["tree_depth"] - 1).all() and (s["n_steps"] <= 7).all()
    assert ((s["acceptance_rate"] > 0) & (s["acceptance_rate"] <= 1)).all()
    assert (s["tree_depth"][s["reached_max_treedepth"]] == 3).all()


def test_small_steps_reach_the_depth_limit():
    method = NUTS(max_treedepth=4, step_size=1e-3, adapt_step_size=False, metric="unit")
    s = sample(Gaussian(np.eye(2)), starts(2), method, 10, 0, 1).stats
    assert s["reached_max_treedepth"].all() and (s["n_steps"] == 15).all() and (s["tree_depth"] == 4).all()


@pytest.mark.parametrize("step", [nuts_step, hmc_step])
@pytest.mark.parametrize(
    "bad", [(np.nan, np.zeros(2)), (0.0, np.full(2, np.nan)), (-np.inf, np.zeros(2)), (np.inf, np.zeros(2))]
)
def test_what_is_not_finite_is_a_divergence(step, bad):
    position = Position(np.ones(2), -1.0, -np.ones(2))
    with np.errstate(all="ignore"):
        chain = step(np.random.default_rng(0), position, 0.5, unit(2))
        next(chain)
        with pytest.raises(StopIteration) as stop:
            chain.send(bad)
    new, info = stop.value.value
    assert info.diverging and (new.q == 1).all() and info.n_steps == 1
    assert (info.broke_at == 1).all() and (info.broke_to != 1).any()


@pytest.mark.parametrize("method", [NUTS(), HMC(num_steps=4), NUTS(metric="dense")], ids=label)
def test_regions_of_nan_do_not_crash(method):
    """A half normal on q > 0 that answers nan elsewhere: trajectories that leave are rejected."""

    def half(q):
        return (-0.5 * q[0] ** 2, -q) if q[0] > 0 else (np.nan, np.full(1, np.nan))

    result = sample(Density(1, half), np.ones((2, 1)), method, 200, 100, 5)
    assert (result.q > 0).all() and np.isfinite(result.stats["lp"]).all()
    assert result.stats["diverging"].any()
