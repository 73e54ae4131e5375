"""The optimisation loop in machine code: its steps are torch's, and a stopped run goes on where it was."""

import io

import numpy as np
import pytest
import torch
from inference.vi.estimators import Gaussian, Logistic, without_noise

from ppl.compiler.ops import make
from ppl.inference.vi.native import SGD, Adam, Objective, Optimisation, Schedule, State, driver, optimise
from ppl.inference.vi.native.noise import fill_noise

GAUSSIAN, LOGISTIC = Gaussian(), Logistic()
FIELDS = ("u", "last_finite", "mean", "square", "average", "gradient_mean", "gradient_variance")


def start_of(target, seed=5):
    return np.random.default_rng(seed).normal(size=2 * target.dim)


def noise_of(target, step, particle, seed):
    noise, table = np.zeros(target.dim + 15), target.objective.segments
    fill_noise(noise, np.zeros(16, np.int64), table.reshape(-1), len(table), step, particle, seed)
    return torch.tensor(noise[: target.dim])


def same(a, b):
    """Two states are equal to the bit."""
    assert a.step == b.step
    for name in FIELDS:
        assert (getattr(a, name) == getattr(b, name)).all(), name


# ---------------------------------------------------------------- against torch


def by_torch(target, how, optimiser, steps, factor=lambda t: 1.0):
    """Iterates, values and squared gradient norms of a torch optimiser on the same noise; u is a leaf."""
    u = torch.tensor(start_of(target), requires_grad=True)
    optimiser = optimiser([u])
    rate = optimiser.param_groups[0]["lr"]
    iterates, values, norms = [], [], []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * factor(step)
        optimiser.zero_grad()
        draws = [noise_of(target, step, k, how.seed) for k in range(how.particles)]
        value = torch.stack([target.elbo(u, e) for e in draws]).mean()
        (-value).backward()
        norm = u.grad.norm()
        if how.clip is not None and norm > how.clip:
            u.grad *= how.clip / norm
        optimiser.step()
        iterates.append(u.detach().numpy().copy())
        values.append(value.item())
        norms.append(norm.item() ** 2)
    return np.array(iterates), np.array(values), np.array(norms)


CASES = {
    "Adam": (Adam(0.05), lambda p: torch.optim.Adam(p, 0.05)),
    "Adam, other options": (
        Adam(0.02, beta1=0.5, beta2=0.9, epsilon=1e-3),
        lambda p: torch.optim.Adam(p, 0.02, betas=(0.5, 0.9), eps=1e-3),
    ),
    "Adam without momentum": (Adam(0.02, beta1=0.0), lambda p: torch.optim.Adam(p, 0.02, betas=(0.0, 0.999))),
    "AdamW": (Adam(0.05, decay=0.1), lambda p: torch.optim.AdamW(p, 0.05, weight_decay=0.1)),
    "SGD": (SGD(0.002), lambda p: torch.optim.SGD(p, 0.002)),
    "momentum": (SGD(0.001, momentum=0.8), lambda p: torch.optim.SGD(p, 0.001, momentum=0.8)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("target", [GAUSSIAN, LOGISTIC], ids=["gaussian", "logistic"])
def test_the_steps_are_those_of_torch(name, target):
    ours, theirs = CASES[name]
    how = Optimisation(ours, seed=2**63 + 11, maximise=True, average_from=150)
    iterates, values, norms = by_torch(target, how, theirs, 200)
    run = optimise(target.objective, start_of(target), 200, how)
    assert run.state.step == 200 and run.failure is None and not run.interrupted
    np.testing.assert_allclose(run.state.u, iterates[-1], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(run.state.last_finite, iterates[-2], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(run.state.average, iterates[150:].mean(0), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(run.values, values, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(run.norms, norms, rtol=1e-9)


def test_clipping_particles_and_a_schedule_together():
    schedule = Schedule("cosine", steps=180, final=0.1, warmup=20)
    how = Optimisation(Adam(0.05), schedule, seed=3, maximise=True, particles=3, clip=2.0)

    def factor(t):
        return (t + 1) / 20 if t < 20 else 0.1 + 0.45 * (1 + np.cos(np.pi * min(1.0, (t - 20) / 160)))

    iterates, values, norms = by_torch(LOGISTIC, how, CASES["Adam"][1], 200, factor)
    run = optimise(LOGISTIC.objective, start_of(LOGISTIC), 200, how)
    assert (norms > 4.0).any() and (norms < 4.0).any()  # some are clipped, and some are not
    np.testing.assert_allclose(run.state.u, iterates[-1], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(run.values, values, rtol=1e-10)
    np.testing.assert_allclose(run.norms, norms, rtol=1e-9)


# ---------------------------------------------------------------- one part at a time


def slope(u):
    """Σ u: its gradient is 1, so that steps of SGD show the rate."""
    return make("sum", u, dims=(-1,), keepdim=False)


SCHEDULES = {
    "constant": (Schedule(warmup=4), lambda t: min(1.0, (t + 1) / 4)),
    "cosine": (Schedule("cosine", steps=10), lambda t: 0.5 * (1 + np.cos(np.pi * min(1.0, t / 10)))),
    "exponential": (
        Schedule("exponential", steps=12, final=0.01, warmup=2),
        lambda t: (t + 1) / 2 if t < 2 else 0.01 ** min(1.0, (t - 2) / 10),
    ),
    "table": (Schedule("table", factors=[1.0, 0.0, 3.0]), lambda t: [1.0, 0.0, 3.0][min(t, 2)]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_follow_the_schedule(name):
    schedule, factor = SCHEDULES[name]
    objective = without_noise(slope, 1)
    state = State.start([0.0])
    for t in range(16):
        after = optimise(objective, state, 1, Optimisation(SGD(0.5), schedule)).state
        assert state.u[0] - after.u[0] == pytest.approx(0.5 * factor(t), rel=1e-12, abs=1e-15)
        state = after


def test_a_long_gradient_is_shortened_and_a_short_one_left():
    objective = without_noise(slope, 4)  # its gradient has norm 2
    for clip, moved in ((0.5, 0.25), (3.0, 1.0)):
        run = optimise(objective, np.zeros(4), 1, Optimisation(SGD(1.0), clip=clip))
        np.testing.assert_allclose(run.state.u, -moved, rtol=1e-15)
        assert run.norms.tolist() == [4.0]


def test_climbing_is_descending_the_negative():
    down = optimise(without_noise(slope, 3), np.zeros(3), 7, Optimisation(Adam(0.1)))
    up = optimise(
        without_noise(lambda u: make("neg", slope(u)), 3),
        np.zeros(3),
        7,
        Optimisation(Adam(0.1), maximise=True),
    )
    assert (down.state.u == up.state.u).all() and (down.values == -up.values).all() and down.state.u[0] < 0


@pytest.mark.parametrize("memory", [1000, 10])
def test_moments_of_the_gradient(memory):
    """Of all gradients alike at first; once `memory` are seen, each new one has a share of 1 / memory."""
    how = Optimisation(SGD(1e-9), memory=memory, seed=4)
    gradients = []
    for step in range(60):
        u = torch.tensor(start_of(GAUSSIAN), requires_grad=True)
        GAUSSIAN.elbo(u, noise_of(GAUSSIAN, step, 0, 4)).backward()
        gradients.append(u.grad.numpy())
    state = optimise(GAUSSIAN.objective, start_of(GAUSSIAN), 60, how).state
    weights = np.ones(60)
    for t in range(60):
        share = max(1 / (t + 1), 1 / memory)
        weights[:t] *= 1 - share
        weights[t] = share
    mean = weights @ np.array(gradients)
    variance = weights @ (np.array(gradients) - mean) ** 2
    np.testing.assert_allclose(state.gradient_mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state.gradient_variance, variance, rtol=1e-5, atol=1e-6)
    assert state.signal_to_noise == pytest.approx(np.sqrt(mean @ mean / variance.sum()), rel=1e-5)


def test_particles_divide_the_variance():
    """At a fixed point the variance of the mean of 4 is a quarter. The gradients are quadratic in normals, their
    kurtosis is at most 15: of n steps the ratio has a relative error below √(2 · 14 / n) = 0.037.
    """
    found = [
        optimise(
            GAUSSIAN.objective,
            start_of(GAUSSIAN),
            20_000,
            Optimisation(SGD(1e-12), particles=k, memory=1 << 30),
        )
        for k in (1, 4)
    ]
    ratios = found[0].state.gradient_variance / found[1].state.gradient_variance
    np.testing.assert_allclose(ratios, 4.0, rtol=0.2)


def test_the_closed_form_optimum_of_a_gaussian():
    """The averaged iterates of SGD have covariance H⁻¹ C H⁻¹ / T (Polyak & Juditsky 1992), H the curvature and C the
    gradient's covariance at the optimum. For means that is s² / T; for log scales H = 2 and
    C = 2 + Σⱼ Λᵢⱼ² / (Λᵢᵢ Λⱼⱼ). The curvature changes with the log scale, which shifts it by about its
    stationary variance, rate · C / 4, below the rate here.
    """
    rate, steps, burn = 0.002, 400_000, 20_000
    how = Optimisation(SGD(rate), seed=1, maximise=True, average_from=burn)
    run = optimise(GAUSSIAN.objective, np.zeros(2 * GAUSSIAN.dim), steps, how)
    diagonal = np.diag(GAUSSIAN.precision)
    cross = (GAUSSIAN.precision**2 / np.outer(diagonal, diagonal)).sum(1) - 1.0
    assert cross.max() < 2.0
    errors = np.concatenate([1 / np.sqrt(diagonal), np.sqrt(2 + cross) / 2]) / np.sqrt(steps - burn)
    allowed = 5 * errors + np.repeat([0.0, rate], GAUSSIAN.dim)
    assert (np.abs(run.state.average - GAUSSIAN.optimum) < allowed).all()
    assert (errors < 0.003).all()


# ---------------------------------------------------------------- stopping and going on


HOW = Optimisation(
    Adam(0.03),
    Schedule("exponential", steps=250, final=0.1),
    9,
    maximise=True,
    particles=2,
    clip=5.0,
    average_from=120,
)


def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit():
    whole = optimise(LOGISTIC.objective, start_of(LOGISTIC), 300, HOW)
    state, values, norms = State.start(start_of(LOGISTIC)), [], []
    for steps in (100, 0, 77, 123):
        part = optimise(LOGISTIC.objective, state, steps, HOW)
        values.append(part.values)
        norms.append(part.norms)
        file = io.BytesIO()
        np.savez(file, **part.state.arrays())
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            state = State.of_arrays(arrays)
    same(state, whole.state)
    assert (np.concatenate(values) == whole.values).all() and (np.concatenate(norms) == whole.norms).all()


def test_the_length_of_blocks_changes_nothing(monkeypatch):
    whole = optimise(LOGISTIC.objective, start_of(LOGISTIC), 60, HOW)
    monkeypatch.setattr(driver, "BLOCK_SECONDS", 0.0)
    seen = []
    run = optimise(LOGISTIC.objective, start_of(LOGISTIC), 60, HOW, seen.append)
    same(run.state, whole.state)
    assert [p.step for p in seen] == list(range(1, 61)) and all(p.total == 60 for p in seen)
    assert [p.value for p in seen] == run.values.tolist()


@pytest.mark.parametrize("optimiser", [Adam(0.03), SGD(0.01, momentum=0.5, decay=0.1)], ids=["adam", "sgd"])
def test_plain_python_is_the_machine_code(optimiser):
    how = Optimisation(optimiser, HOW.schedule, 3, True, 2, 5.0, 20, 10)
    runs = [optimise(GAUSSIAN.objective, start_of(GAUSSIAN), 30, how, compiled=c) for c in (True, False)]
    for name in FIELDS:
        compiled, plain = (getattr(run.state, name) for run in runs)
        np.testing.assert_allclose(plain, compiled, rtol=1e-11, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(runs[1].values, runs[0].values, rtol=1e-11)
    np.testing.assert_allclose(runs[1].norms, runs[0].norms, rtol=1e-11)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "python"])
@pytest.mark.parametrize("function", ["log", "sqrt"])
def test_what_is_not_finite_stops_before_its_step(function, compiled):
    """Descending Σ log u or Σ √u, u₁ passes 0 first: its logarithm and root are nan there."""
    objective = without_noise(lambda u: slope(make(function, u)), 3)
    how = Optimisation(SGD(0.1), average_from=0)
    run = optimise(objective, [5.0, 1.0, 5.0], 1000, how, compiled=compiled)
    failure = run.failure
    assert failure is not None and 0 < failure.step < 1000
    assert np.isnan(failure.value) and failure.places in ([1], [])
    assert run.state.step == failure.step == len(run.values) == len(run.norms)
    assert np.isfinite(run.values).all() and np.isfinite(run.norms).all()
    same(run.state, optimise(objective, [5.0, 1.0, 5.0], failure.step, how, compiled=compiled).state)
    assert run.state.u[1] < 0 < run.state.last_finite[1]
    again = optimise(objective, run.state, 5, how, compiled=compiled)
    assert again.failure.step == failure.step and len(again.values) == 0


def test_a_gradient_alone_that_is_not_finite_stops_too():
    objective = without_noise(lambda u: slope(make("sqrt", u)), 2)  # √0 = 0, but its slope is infinite
    run = optimise(objective, [1.0, 0.0], 10)
    assert (run.failure.step, run.failure.value, run.failure.places) == (0, 1.0, [1])
    assert run.state.u.tolist() == [1.0, 0.0]


# ---------------------------------------------------------------- objectives in Python


def python_objective(at_call, what):
    """A bowl; at a certain call `what` happens: an exception, or a code that is returned."""
    calls = []

    def bowl(u, out, env):
        calls.append(0)
        out[0], out[1:] = 0.5 * u @ u, u
        if len(calls) == at_call and isinstance(what, BaseException):
            raise what
        return what if len(calls) == at_call else 0

    return Objective.of_python(bowl, 2, [])


def test_an_objective_that_says_it_failed():
    run = optimise(python_objective(5, 3), [1.0, 2.0], 10)
    assert run.failure.step == 4 and np.isnan(run.failure.value) and run.failure.places == []


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "python"])
def test_an_exception_of_an_objective_is_raised(compiled):
    with pytest.raises(ZeroDivisionError, match="here"):
        optimise(python_objective(5, ZeroDivisionError("here")), [1.0, 2.0], 10, compiled=compiled)


def test_ctrl_c_leaves_a_state_to_go_on_from():
    how = Optimisation(Adam(0.1))
    run = optimise(python_objective(5, KeyboardInterrupt()), [1.0, 2.0], 10, how)
    assert run.interrupted and run.failure is None and run.state.step == len(run.values) == 4
    whole = optimise(python_objective(0, 0), [1.0, 2.0], 10, how)
    same(optimise(python_objective(0, 0), run.state, 6, how).state, whole.state)


def test_ctrl_c_between_blocks():
    def stop(progress):
        if progress.step >= 5:
            raise KeyboardInterrupt

    whole = optimise(LOGISTIC.objective, start_of(LOGISTIC), 2_000, HOW)
    run = optimise(LOGISTIC.objective, start_of(LOGISTIC), 2_000, HOW, stop)
    assert run.interrupted and 5 <= run.state.step < 2_000
    same(optimise(LOGISTIC.objective, run.state, 2_000 - run.state.step, HOW).state, whole.state)
