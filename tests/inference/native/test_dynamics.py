"""The leapfrog step in whitened momentum, and what warm-up learns, against the numpy sampler's formulas."""

from dataclasses import astuple

import numpy as np
import pytest
from inference.targets import Density, banana
from scipy.stats import ortho_group

from ppl.compiler.native import build
from ppl.inference.mcmc import NUTS, drive
from ppl.inference.mcmc import step_size as reference
from ppl.inference.mcmc.adaptation import Plan, adapt, plan_for, start
from ppl.inference.mcmc.chain import ChainState, Settings
from ppl.inference.mcmc.checkpoint import flatten
from ppl.inference.mcmc.hamiltonian import Position, energy, leapfrog
from ppl.inference.mcmc.metrics import Dense, Diagonal, LowRank, unit
from ppl.inference.mcmc.native import adaptation, layout, metric
from ppl.inference.mcmc.native.arrays import ChainArrays
from ppl.inference.mcmc.native.densities import Callback

FUNCTIONS = [
    metric.leapfrog,
    metric.start_point,
    metric.whiten,
    metric.colour,
    adaptation.average_step,
    adaptation.restart_averaging,
    adaptation.learn_diagonal,
]
RNG = np.random.default_rng(0)
VECTORS = ortho_group.rvs(20, random_state=1)[:, :3]
METRICS = {
    "unit": unit(20),
    "diagonal": Diagonal.from_variances(RNG.uniform(0.1, 3.0, 20)),
    "dense": Dense.from_covariance(np.cov(RNG.standard_normal((20, 60)))),
    "low rank": LowRank(RNG.uniform(0.5, 2.0, 20), VECTORS, np.array([9.0, 0.1, 4.0])),
    "rank 0": LowRank(RNG.uniform(0.5, 2.0, 20), np.zeros((20, 0)), np.zeros(0)),
}


@pytest.fixture(scope="module", params=["python", "compiled"])
def functions(request):
    if request.param == "python":
        return {function.name: function for function in FUNCTIONS}
    return build(FUNCTIONS, name="test dynamics")


def arrays_for(dim, metric_in_use, warmup=50):
    settings = Settings(NUTS(max_treedepth=2), 1, warmup, 3, 1, plan_for("diag", warmup))
    arrays = ChainArrays.of(settings, 0, dim, False, 1)
    arrays.set_metric(metric_in_use)
    return arrays


def factor(metric_in_use, dim):
    """L of Σ = L Lᵀ as the sampler has it: lower triangular, or symmetric between the scales."""
    if isinstance(metric_in_use, LowRank):
        u, roots = metric_in_use.vectors, np.sqrt(metric_in_use.values)
        return metric_in_use.scales[:, None] * (np.eye(dim) + (u * (roots - 1)) @ u.T)
    return np.linalg.cholesky(metric_in_use.covariance())


@pytest.mark.parametrize("name", METRICS)
def test_whitening_is_by_a_factor_of_the_metric(functions, name):
    arrays, x = arrays_for(20, METRICS[name]), layout.aligned(32)
    x[:20] = RNG.standard_normal(20)
    l = factor(METRICS[name], 20)  # noqa: E741 (its name in the field)
    np.testing.assert_allclose(l @ l.T, METRICS[name].covariance(), atol=1e-13)
    for function, matrix in (("whiten", l.T), ("colour", l)):
        out = layout.aligned(32)
        functions[function](arrays.metric, arrays.spec, x, out, layout.aligned(32))
        np.testing.assert_allclose(out[:20], matrix @ x[:20], rtol=1e-12, atol=1e-13)
        assert (out[20:] == 0).all()


class Walk:
    """A point that leapfrogs, in both samplers' coordinates."""

    def __init__(self, functions, metric_in_use, target, q, p):
        self.functions, self.target = functions, target
        self.dim, self.n = len(q), layout.padded(len(q))
        self.arrays = arrays_for(self.dim, metric_in_use)
        self.factor = factor(metric_in_use, self.dim)
        self.here, self.there = (layout.point_at(self.n, 2, i) for i in (0, 1))
        self.call = self.density if functions["leapfrog"] is metric.leapfrog else self.address()
        work, logp_at = self.arrays.work, self.here + 3 * self.n + layout.POINT_LOGP
        work[self.here : self.here + self.dim] = q
        work[self.here + self.n : self.here + self.n + self.dim] = self.factor.T @ p
        work[logp_at], work[logp_at + 1 : logp_at + 1 + self.dim] = target(q)
        self.energy = functions["start_point"](self.arrays.spec, self.arrays.metric, work, self.here)

    def density(self, x, out, env):
        out[0], out[1 : 1 + self.dim] = self.target(x[: self.dim])
        return 0

    def address(self):
        self.callback = Callback(self.density, self.dim, 1, lambda: None)
        return self.callback.address

    def step(self, step):
        a = self.arrays
        env = np.zeros(1, np.int64)
        self.energy = self.functions["leapfrog"](
            a.spec, a.metric, a.work, self.here, self.there, step, self.call, env
        )
        self.here, self.there = self.there, self.here

    @property
    def q(self):
        return self.arrays.work[self.here : self.here + self.dim].copy()

    @property
    def p(self):
        return np.linalg.solve(self.factor.T, self.arrays.work[self.here + self.n :][: self.dim])


def quartic(q):
    return -0.25 * float((q**4).sum()) - 0.5 * float(q @ q), -(q**3) - q


@pytest.mark.parametrize("name", METRICS)
def test_the_step_is_that_of_the_unwhitened_coordinates(functions, name):
    q, p = RNG.uniform(-1, 1, 20), RNG.standard_normal(20)
    walk = Walk(functions, METRICS[name], quartic, q, p)
    position = Position(q, *quartic(q))
    np.testing.assert_allclose(walk.energy, energy(position, p, METRICS[name]), rtol=1e-13)

    def one(position, p):
        return (yield from leapfrog(position, p, 0.1, METRICS[name]))

    for _ in range(5):
        position, p = drive(Density(20, quartic), {0: one(position, p)})[0]
        walk.step(0.1)
        np.testing.assert_allclose(walk.q, position.q, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(walk.p, p, rtol=1e-10, atol=1e-11)
        np.testing.assert_allclose(walk.energy, energy(position, p, METRICS[name]), rtol=1e-12)


SMALL = [
    unit(2),
    Diagonal.from_variances(np.array([0.5, 3.0])),
    Dense.from_covariance(np.array([[1, 0.4], [0.4, 2]])),
]


@pytest.mark.parametrize("in_use", SMALL, ids=lambda m: type(m).__name__)
def test_leapfrog_is_reversible_and_of_second_order(functions, in_use):
    q, p = np.array([0.3, -0.5]), np.array([1.0, -0.4])
    walk = Walk(functions, in_use, banana, q, p)
    for step in (0.05, -0.05):
        for _ in range(40):
            walk.step(step)
        if step > 0:
            assert np.abs(walk.q - q).max() > 0.1
    np.testing.assert_allclose(walk.q, q, atol=1e-11)
    np.testing.assert_allclose(walk.p, p, atol=1e-11)
    errors = []
    for steps in (200, 400):
        walk = Walk(functions, in_use, banana, q, p)
        before = walk.energy
        for _ in range(steps):
            walk.step(1.0 / steps)
        errors.append(abs(walk.energy - before))
    assert 3.5 < errors[0] / errors[1] < 4.5


# --- what warm-up learns --------------------------------------------------------------------------


def test_dual_averaging_is_the_same(functions):
    arrays, ours = arrays_for(1, unit(1)), reference.DualAveraging.start(0.3)
    arrays.averaging = ours
    for rate in [*RNG.uniform(0, 1, 30), 1.5, float("nan"), *np.zeros(3), *np.ones(100)]:
        ours = reference.update(ours, rate, 0.8)
        functions["average_step"](arrays.state, arrays.counts, rate, 0.8)
        got = arrays.averaging
        assert got.count == ours.count
        for field in ("center", "log_step", "log_average", "error"):
            np.testing.assert_allclose(getattr(got, field), getattr(ours, field), rtol=1e-12, atol=1e-14)
    functions["restart_averaging"](arrays.state, arrays.counts, 0.7)
    for got, expected in zip(
        astuple(arrays.averaging), astuple(reference.DualAveraging.start(0.7)), strict=True
    ):
        assert got == pytest.approx(expected, rel=1e-14)


def learn(functions, arrays, plan: Plan, iteration):
    if plan.collect[iteration]:
        functions["learn_diagonal"](
            arrays.state,
            arrays.counts,
            arrays.spec,
            arrays.metric,
            bool(plan.refresh[iteration]),
            bool(plan.switch[iteration]),
        )


def test_the_fisher_diagonal_is_the_same(functions):
    """Over a whole warm-up, with draws that never move in one coordinate and a gradient constant in another."""
    dim, warmup = 5, 120
    plan = plan_for("diag", warmup)
    first = Diagonal.from_variances(np.array([1.0, 1e-3, 50.0, 2.0, 1.0]))
    arrays = arrays_for(dim, first, warmup)
    state = start("diag", plan, first, 1.0, dim)
    for iteration in range(warmup):
        q, grad = RNG.standard_normal((2, dim)) * [[1, 10, 1e-3, 0, 1], [1, 0.2, 1e4, 1, 0]]
        arrays.position = Position(q, 0.0, grad)
        with np.errstate(all="ignore"):
            learn(functions, arrays, plan, iteration)
            state = adapt(state, plan, iteration, q, grad, 0.5, 0.8, "diag", adapt_step_size=False)
        np.testing.assert_allclose(arrays.diagonal.variances, state.metric.diagonal(), rtol=1e-10)
    front, back = arrays.windows
    assert (front.count, back.count) == (state.foreground.count, state.background.count)
    np.testing.assert_allclose(front.q_squares, state.foreground.q_squares, rtol=1e-10)
    np.testing.assert_allclose(back.grad_mean, state.background.grad_mean, rtol=1e-9, atol=1e-15)


def test_arrays_hold_a_state_exactly():
    """state → arrays → state is the identity, to the bit."""
    plan = plan_for("diag", 50)
    state = start("diag", plan, Diagonal.from_variances(RNG.uniform(0.1, 1, 3)), 0.3, 3)
    for i in range(20):
        state = adapt(state, plan, i, *RNG.standard_normal((2, 3)), 0.5, 0.8, "diag")
    whole = ChainState(20, Position(np.ones(3), -2.0, np.zeros(3)), state, 99, 4, 0.5, 0.25)
    arrays = arrays_for(3, unit(3))
    arrays.load(whole)
    back = ChainState(20, arrays.position, arrays.adaptation(state), 99, 4, 0.5, 0.25)
    a, b = flatten("", whole), flatten("", back)
    assert a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
