"""The native transitions: right on known targets, true to the definition, to the dynamics and to plain Python."""

import math

import arviz as az
import numpy as np
import pytest
from inference.native.densities import FUNNEL, LOGISTIC, Model, banana, gaussian, half_normal, log_gamma
from inference.targets import label, starts
from inference.test_mcmc import assert_moments, independent, transition_from_the_definition
from scipy import stats

from ppl.compiler.native import build
from ppl.inference.mcmc import HMC, NUTS
from ppl.inference.mcmc.hamiltonian import STATS
from ppl.inference.mcmc.native import runner
from ppl.inference.mcmc.native.nuts import join, join_points

CORRELATED = 0.9 ** np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
ILL_SCALED = np.diag(10.0 ** np.linspace(-6, 6, 8))
GAUSSIANS = {"iid": np.eye(5), "correlated": CORRELATED, "ill-scaled": ILL_SCALED}

# --- right answers --------------------------------------------------------------------------------


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
        ("correlated", HMC(metric="lowrank")),
        ("ill-scaled", NUTS()),
        ("ill-scaled", NUTS(metric="lowrank")),
        ("ill-scaled", HMC(num_steps=5)),
    ],
    ids=label,
)
def test_gaussian_moments(name, method):
    covariance = GAUSSIANS[name]
    scales = np.sqrt(np.diag(covariance))
    model = gaussian(covariance, mean=scales)
    result = model.sample(starts(model.dim) * scales, method, 2000, 400, seed=11)
    assert_moments(result.q, scales, scales)
    assert not result.stats["diverging"].any()


@pytest.mark.parametrize(
    "method", [NUTS(), HMC(), NUTS(step_size=0.9), HMC(num_steps=3, jitter=0.0)], ids=str
)
@pytest.mark.parametrize(
    ("model", "transforms"),
    [
        (gaussian(np.eye(1)), {"x": (lambda q: q[..., 0], stats.norm)}),
        (Model(log_gamma, 1), {"x": (lambda q: np.exp(q[..., 0]), stats.gamma(3))}),
        (
            Model(banana, 2),
            {
                "x": (lambda q: q[..., 0], stats.norm),
                "y given x": (lambda q: q[..., 1] - 0.5 * q[..., 0] ** 2, stats.norm),
            },
        ),
    ],
    ids=["normal", "log gamma", "banana"],
)
def test_goodness_of_fit(model, transforms, method):
    result = model.sample(starts(model.dim), method, 4000, 300, seed=4)
    for name, (transform, distribution) in transforms.items():
        draws = independent(transform(result.q))
        assert draws.size > 400, name
        assert stats.kstest(draws, distribution.cdf).pvalue > 1e-3, name


@pytest.mark.parametrize(("step_size", "depth"), [(1.0, 10), (1.5, 2), (1.8, 1)])
def test_nuts_is_exact_however_coarse_the_step(step_size, depth):
    """The kernel alone, unadapted, near the limit of stability (2): energies in a trajectory differ so much
    that a wrong weight, within a doubling or between two, is off by many standard errors."""
    method = NUTS(max_treedepth=depth, step_size=step_size, adapt_step_size=False, metric="unit")
    result = gaussian(np.eye(1)).sample(starts(1), method, 20_000, 20, 8)
    assert_moments(result.q, 0.0, 1.0)


@pytest.mark.parametrize(
    "method",
    [
        NUTS(step_size=0.5, metric="unit", adapt_step_size=False),
        NUTS(step_size=0.3, metric="unit", adapt_step_size=False, max_treedepth=3),
        HMC(step_size=0.5, metric="unit", adapt_step_size=False),
    ],
    ids=str,
)
def test_one_transition_keeps_the_distribution(method):
    """Starts drawn from the target, one transition, no warm-up: the ends are distributed as the target."""
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    points = np.random.default_rng(5).standard_normal((2000, 2)) @ np.linalg.cholesky(covariance).T
    ends = gaussian(covariance).sample(points, method, 1, 0, seed=21).q[:, 0]
    assert (ends != points).any(1).mean() > 0.5
    white = np.linalg.solve(np.linalg.cholesky(covariance), ends.T)
    for z in (*white, (white[0] + white[1]) / math.sqrt(2)):
        assert stats.kstest(z, stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest((white**2).sum(0), stats.chi2(2).cdf).pvalue > 1e-3


def test_nuts_agrees_with_its_definition():
    """Steps, depth and squared jump from stationary starts have the means of the recursive definition."""
    covariance = 0.9 * np.ones((6, 6)) + 0.1 * np.eye(6)
    precision, factor = np.linalg.inv(covariance), np.linalg.cholesky(covariance)
    rng, n = np.random.default_rng(3), 500
    theirs = []
    for q in rng.standard_normal((n, 6)) @ factor.T:
        new, steps, depth = transition_from_the_definition(precision, q, 0.4, rng)
        theirs.append((steps, depth, ((new - q) ** 2).sum()))
    points = rng.standard_normal((4 * n, 6)) @ factor.T
    method = NUTS(step_size=0.4, metric="unit", adapt_step_size=False)
    result = gaussian(covariance).sample(points, method, 1, 0, seed=6)
    jumps = ((result.q[:, 0] - points) ** 2).sum(1)
    ours = np.stack([result.stats["n_steps"][:, 0], result.stats["tree_depth"][:, 0], jumps], 1)
    a, b = ours.astype(float), np.array(theirs, float)
    z = (a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
    assert (np.abs(z) < 4).all(), z


def test_weights_beyond_the_range_of_exp():
    """From far out the energies of a trajectory differ by thousands: the point of least energy is
    taken, and no weight overflows. All points belong to the trajectory where it ran to its full depth."""
    visited = []

    def density(x, out, env):
        visited.append(float(x[0]))
        out[0], out[1] = -0.5 * x[0] * x[0], -x[0]
        return 0

    method = NUTS(step_size=0.5, metric="unit", adapt_step_size=False, max_treedepth=2)
    tested = 0
    for seed in range(12):
        visited.clear()
        result = Model(banana, 1).sample(np.full((1, 1), 1e3), method, 1, 0, seed, density=density)
        assert np.isfinite(result.stats["energy"]).all() and not result.stats["diverging"].any()
        assert result.stats["max_energy_error"][0, 0] < -1e3
        if result.stats["reached_max_treedepth"][0, 0]:
            # the start is visited twice: as the initial point and not again; |q| grows with the energy
            assert abs(result.q[0, 0, 0]) == min(abs(q) for q in visited)
            tested += 1
    assert tested >= 3


def test_the_weight_of_the_start_is_scaled_down_with_the_others():
    """On a line without force the trajectory runs to its depth of 2. The start has weight exp(−1000), the
    second point 1, the two others ½ each: as much together as the tree before them, so they are taken."""
    calls = []

    def density(x, out, env):
        out[0], out[1] = (-1000.0, 0.0, math.log(0.5))[min(len(calls), 2)], 0.0
        calls.append(float(x[0]))
        return 0

    method = NUTS(step_size=0.5, metric="unit", adapt_step_size=False, max_treedepth=2)
    for seed in range(20):
        calls.clear()
        result = Model(banana, 1).sample(np.zeros((1, 1)), method, 1, 0, seed, density=density)
        assert len(calls) == 4 and result.q[0, 0, 0] in calls[2:]


@pytest.mark.parametrize("compiled", [False, True])
def test_u_turns_are_looked_for_on_both_halves(compiled):
    """The sums and the six products against their definition, on vectors of which many nearly turn."""
    functions = (
        build([join, join_points], name="test joins")
        if compiled
        else {"join": join, "join_points": join_points}
    )
    rng = np.random.default_rng(2)
    only = np.zeros(6, int)
    for _ in range(3000):
        vectors = rng.standard_normal((6, 16)) + rng.uniform(0, 0.4)
        rho_a, rho_b, a_first, a_last, b_first, b_last = vectors * rng.uniform(0.1, 2.0, (6, 1))
        left, right, whole = rho_a + b_first, a_last + rho_b, rho_a + rho_b
        turns = np.array(
            [a_first @ whole, b_last @ whole, a_first @ left, b_first @ left, a_last @ right, b_last @ right]
        )
        turns = turns <= 0
        if turns.sum() == 1:
            only += turns
        pair, both = np.zeros(16), a_last + b_first
        assert functions["join_points"](a_last, b_first, pair, 1) == (min(a_last @ both, b_first @ both) <= 0)
        assert (pair == both).all()
        assert functions["join"](rho_a, rho_b, a_first, a_last, b_first, b_last, 1) == turns.any()
        assert (rho_b == whole).all()
    assert (only > 10).all(), "each of the tests must sometimes be the only one to see a turn"


# --- statistics and divergences -------------------------------------------------------------------


def test_funnel_diverges_and_marks_where():
    result = FUNNEL.sample(starts(5), NUTS(), 1000, 200, seed=2)
    broken = result.divergences
    flags = result.stats["diverging"]
    assert flags.sum() == len(broken.chain) > 0
    assert flags[broken.chain, broken.draw].all()
    assert np.isfinite(broken.broke_at).all() and not (broken.broke_at == broken.broke_to).any(1).all()
    assert (~(broken.energy_error <= 1000.0)).all()
    assert np.median(broken.broke_at[:, 0]) < np.median(result.q[..., 0])


def test_more_divergences_than_there_is_room_for(monkeypatch):
    run = {"points": starts(5), "method": NUTS(), "draws": 300, "warmup": 100, "seed": 2}
    whole = FUNNEL.sample(**run).divergences
    monkeypatch.setattr(runner, "BROKEN_WORDS", 1)  # room for one
    split = FUNNEL.sample(**run).divergences
    assert len(whole.draw) > 4
    for name in ("chain", "draw", "broke_at", "broke_to", "energy_error"):
        assert (getattr(whole, name) == getattr(split, name)).all()


def test_nuts_stats_are_consistent():
    result = gaussian(np.eye(3)).sample(starts(3), NUTS(max_treedepth=3), 300, 100, 1)
    s = result.stats
    lp = -0.5 * (result.q**2).sum(2)
    np.testing.assert_allclose(s["lp"], lp, rtol=1e-12)
    assert (s["energy"] >= -lp).all()  # kinetic energy is not negative
    assert (s["n_steps"] >= 2 ** s["tree_depth"] - 1).all() and (s["n_steps"] <= 7).all()
    assert ((s["acceptance_rate"] > 0) & (s["acceptance_rate"] <= 1)).all()
    assert (s["tree_depth"][s["reached_max_treedepth"]] == 3).all()
    single = s["n_steps"] == 1
    accepted = np.minimum(1.0, np.exp(-s["max_energy_error"][single]))
    assert single.sum() > 5
    np.testing.assert_allclose(s["acceptance_rate"][single], accepted, rtol=1e-12)
    assert {name: values.dtype for name, values in s.items()} == {n: np.dtype(t) for n, t in STATS.items()}


def test_small_steps_reach_the_depth_limit():
    method = NUTS(max_treedepth=4, step_size=1e-3, adapt_step_size=False, metric="unit")
    s = gaussian(np.eye(2)).sample(starts(2), method, 10, 0, 1).stats
    assert s["reached_max_treedepth"].all() and (s["n_steps"] == 15).all() and (s["tree_depth"] == 4).all()


@pytest.mark.parametrize("failure", [0, 1], ids=["nan", "code"])
@pytest.mark.parametrize("method", [NUTS(), HMC(num_steps=4), NUTS(metric="dense")], ids=label)
def test_regions_without_density_are_left_alone(method, failure):
    result = Model(half_normal, 1, failure).sample(np.ones((2, 1)), method, 1000, 100, 5)
    assert (result.q > 0).all() and np.isfinite(result.stats["lp"]).all()
    assert result.stats["diverging"].any()
    draws = result.q[..., 0]
    error = draws.std() / math.sqrt(float(az.ess(draws.copy(), method="mean")))
    assert abs(draws.mean() - math.sqrt(2 / math.pi)) < 4 * error


# --- one meaning ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [NUTS(), HMC(), NUTS(metric="dense"), NUTS(metric="lowrank"), NUTS(metric="diag_welford")],
    ids=label,
)
def test_plain_python_and_machine_code_agree(method):
    """The same draws to rounding, which the dynamics amplify from iteration to iteration."""
    run = {"points": starts(3, 2), "method": method, "draws": 6, "warmup": 24, "seed": 4, "keep_warmup": True}
    compiled, plain = LOGISTIC.sample(**run), LOGISTIC.sample(**run, compiled=False)
    np.testing.assert_allclose(plain.warmup_q[:, :3], compiled.warmup_q[:, :3], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(plain.q, compiled.q, rtol=1e-8, atol=1e-8)
    for name in ("n_steps", "tree_depth", "diverging"):
        assert (plain.stats[name] == compiled.stats[name]).all(), name
    np.testing.assert_allclose(plain.step_sizes, compiled.step_sizes, rtol=1e-8)
