"""Native runs: the same alone and in company, exact to resume, interruptible, streamed, thinned, refused."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inference.native.densities import FUNNEL, LOGISTIC, gaussian
from inference.targets import Gaussian, label, starts
from inference.test_mcmc_runs import any_number_of_draws, same

from ppl.errors import PplError
from ppl.inference.mcmc import HMC, NUTS, Checkpoint, sample
from ppl.inference.mcmc.adaptation import plan_for
from ppl.inference.mcmc.checkpoint import load
from ppl.inference.mcmc.initialise import find_initial_points
from ppl.inference.mcmc.native import DensityTarget, crew, driver, layout
from ppl.inference.mcmc.native.densities import python_density

METHODS = [
    NUTS(),
    HMC(),
    NUTS(metric="dense"),
    NUTS(metric="lowrank"),
    NUTS(metric="diag_welford"),
    NUTS(metric="unit"),
]

FIXED = {"step_size": 1e-3, "adapt_step_size": False, "metric": "unit"}

# --- the same draws in any company ----------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS, ids=label)
def test_chains_are_bitwise_the_same_together_or_apart(method, monkeypatch):
    monkeypatch.setattr(crew, "processors", lambda: 3)
    points = starts(3, 6)
    together = LOGISTIC.sample(points, method, 40, 60, 7, threads=3)
    for ids, threads in (((0, 1), 1), ((2,), 1), ((5, 3), 2), ((4,), 2)):
        apart = LOGISTIC.sample(points[list(ids)], method, 40, 60, 7, threads, chain_ids=ids)
        for row, chain in enumerate(ids):
            assert (apart.q[row] == together.q[chain]).all()
            for name, values in apart.stats.items():
                assert (values[row] == together.stats[name][chain]).all(), name
    assert (together.q[0] != together.q[1]).any()


def test_the_seed_matters_to_its_last_bit():
    runs = [LOGISTIC.sample(starts(3), NUTS(), 5, 5, seed) for seed in (3, 2**63 + 3, 2**64 - 1)]
    assert (runs[0].q != runs[1].q).any() and (runs[1].q != runs[2].q).any()


def test_turns_change_nothing(monkeypatch):
    """Six chains on one thread, taking turns after every look of the main thread."""
    whole = LOGISTIC.sample(starts(3, 6), NUTS(), 4000, 100, 1)
    monkeypatch.setattr(driver, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(driver, "PROGRESS_SECONDS", 0.001)
    turns = LOGISTIC.sample(starts(3, 6), NUTS(), 4000, 100, 1, threads=1)
    assert (whole.q == turns.q).all()


# --- interrupted and resumed ----------------------------------------------------------------------


@pytest.fixture
def stopping(monkeypatch):
    """Makes of a model its compiled density, called through Python, that stops the run at its n-th call: it
    raises the flag that Ctrl-C raises, but always at the same place."""
    crews = []

    class Crew(crew.Crew):
        def __init__(self, runners, envs, control):
            super().__init__(runners, envs, control)
            crews.append(control)

    monkeypatch.setattr(driver, "Crew", Crew)

    def stop(model, at):
        compiled, left = python_density(model.address), [at]

        def density(x, out, env):
            left[0] -= 1
            if left[0] == 0:
                crews[-1][layout.STOP] = 1
            return compiled(x, out, env)

        return density

    return stop


@pytest.mark.parametrize("method", METHODS, ids=label)
def test_resuming_gives_the_draws_of_an_uninterrupted_run(method, stopping, tmp_path):
    path = tmp_path / "run.npz"
    run = {
        "method": method,
        "draws": 12,
        "warmup": 60,
        "seed": 3,
        "keep_warmup": True,
        "thin": 2,
        "threads": 1,
    }
    whole = LOGISTIC.sample(starts(3, 3), **run)
    calls = int(whole.gradient_evaluations.sum())
    stops = []
    for share in (0.0, 0.05, 0.1, 0.2, 0.3, 0.33, 0.4, 0.6, 0.8, 0.99):
        density = stopping(LOGISTIC, 1 + int(share * calls))
        cut = LOGISTIC.sample(starts(3, 3), **run, density=density, checkpoint=path)
        assert cut.interrupted
        stops.append(load(path).get("chain0.state.iteration", -1))
        resumed = LOGISTIC.sample(starts(3, 3), **run, checkpoint=path, resume_from=path)
        assert not resumed.interrupted
        same(resumed, whole)
        same(LOGISTIC.sample(None, **run, resume_from=path), whole)  # a finished run: nothing is left to do
    assert stops[0] == -1 and stops[-1] == 84 and len(set(stops)) >= 5


@given(cuts=st.lists(st.integers(1, 600), min_size=1, max_size=4))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_interrupts_change_nothing(cuts, stopping, tmp_path_factory):
    path = tmp_path_factory.mktemp("cuts") / "run.npz"
    run = {"method": NUTS(max_treedepth=5), "draws": 15, "warmup": 30, "seed": 1, "keep_warmup": True}
    whole = FUNNEL.sample(starts(5), **run)
    resume = None
    for cut in cuts:
        density = stopping(FUNNEL, cut)
        FUNNEL.sample(starts(5), **run, density=density, checkpoint=path, resume_from=resume)
        resume = path
    progress = []
    same(FUNNEL.sample(starts(5), **run, resume_from=resume, on_progress=progress.append), whole)
    counts = np.bincount(whole.divergences.chain, minlength=4).tolist()
    assert [p.divergences for p in progress[-1]] == counts


def test_a_run_can_be_continued_for_more_draws(tmp_path):
    path = tmp_path / "run.npz"
    run = {"method": NUTS(), "warmup": 30, "seed": 3, "keep_warmup": True}
    LOGISTIC.sample(starts(3), draws=10, checkpoint=path, **run)
    more = LOGISTIC.sample(None, draws=25, resume_from=path, **run)
    same(more, LOGISTIC.sample(starts(3), draws=25, **run))


def test_after_an_interrupt_any_number_of_draws_can_be_asked_for(stopping, tmp_path):
    """On one thread, so that the first chain has all its draws when the second has none."""
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"

    def run(draws, **options):
        method = NUTS(max_treedepth=5)
        return FUNNEL.sample(starts(5, 2), method, draws, 30, 1, 1, thin=2, keep_warmup=True, **options)

    whole = run(40)
    assert whole.divergences.draw.size
    calls = int(whole.gradient_evaluations[0])
    run(37, density=stopping(FUNNEL, calls), checkpoint=first)
    any_number_of_draws(run, whole, first, second)


def test_checkpoints_are_written_on_the_way(tmp_path, monkeypatch):
    """Two chains on one thread: the main thread asks for a state between two transitions and gets it."""
    monkeypatch.setattr(driver, "PROGRESS_SECONDS", 0.001)
    path = tmp_path / "run.npz"
    seen = []

    def look(progress):
        if path.exists():
            flat = load(path)
            seen.append(tuple(flat.get(f"chain{c}.state.iteration", -1) for c in (0, 1)))

    run = {"method": NUTS(), "draws": 30_000, "warmup": 100, "seed": 1, "threads": 1}
    model = gaussian(np.eye(3))
    whole = model.sample(starts(3, 2), **run, checkpoint=Checkpoint(path, every=0.0), on_progress=look)
    assert seen == sorted(seen) and seen[-1] == (30_100, 30_100)
    assert any(0 < first < 30_100 for first, _ in seen)
    early = {"points": None, "resume_from": path, **run}
    assert (model.sample(**early).q == whole.q).all()
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 4}, "seed"),
        ({"chain_ids": (0, 2)}, "chain_ids"),
        ({"warmup": 6}, "warmup"),
        ({"thin": 2}, "thin"),
        ({"method": HMC()}, "method"),
        ({"method": NUTS(target_accept=0.9)}, "target_accept"),
    ],
)
def test_resuming_another_run_is_refused(change, word, tmp_path):
    path = tmp_path / "run.npz"
    run = {"points": starts(3, 2), "method": NUTS(), "draws": 3, "warmup": 5, "seed": 3}
    LOGISTIC.sample(**run, checkpoint=path)
    with pytest.raises(PplError, match=f"`{word}`"):
        LOGISTIC.sample(**{**run, **change}, resume_from=path)


def test_a_checkpoint_of_the_other_sampler_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    sample(Gaussian(np.eye(3)), starts(3, 2), NUTS(), 3, 5, 1, checkpoint=path)
    with pytest.raises(PplError, match="`sampler`"):
        gaussian(np.eye(3)).sample(starts(3, 2), NUTS(), 3, 5, 1, resume_from=path)


def test_ctrl_c_returns_what_was_drawn(monkeypatch):
    """Raised in the main thread, as Ctrl-C is, while two chains run for what would be hours."""
    monkeypatch.setattr(driver, "PROGRESS_SECONDS", 0.001)
    interrupted = []

    def interrupt(progress):
        if min(p.draws for p in progress) > 100 and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt

    part = LOGISTIC.sample(starts(3, 2), NUTS(), 1_000_000, 50, 1, on_progress=interrupt)
    count = part.q.shape[1]
    assert part.interrupted and 100 < count < 1_000_000
    assert all(values.shape == (2, count) for values in part.stats.values())
    whole = LOGISTIC.sample(starts(3, 2), NUTS(), count, 50, 1)
    assert (part.q == whole.q).all()


@pytest.mark.parametrize("at", [1, 30])
def test_ctrl_c_during_warmup_returns_no_draws(at, stopping):
    part = LOGISTIC.sample(starts(3, 1), NUTS(), 20, 500, 1, keep_warmup=True, density=stopping(LOGISTIC, at))
    assert part.interrupted and part.q.shape == (1, 0, 3)
    assert part.warmup_q.shape[1] < 500 and np.isnan(part.step_sizes).all() == (at == 1)


def test_a_stopped_transition_is_given_up_at_once(stopping):
    """A trajectory of a thousand steps is not finished after Ctrl-C."""
    calls = [0]
    stop = stopping(gaussian(np.eye(2)), 50)

    def density(x, out, env):
        calls[0] += 1
        return stop(x, out, env)

    for method in (NUTS(**FIXED, max_treedepth=10), HMC(**FIXED, num_steps=1000)):
        part = gaussian(np.eye(2)).sample(starts(2, 1), method, 10, 0, 1, density=density)
        assert part.interrupted and calls[0] == 50 and part.q.shape[1] == 0
        calls[0], stop = 0, stopping(gaussian(np.eye(2)), 50)


def test_an_error_in_a_python_density_is_raised():
    def density(x, out, env):
        raise ZeroDivisionError("here")

    for compiled in (True, False):
        with pytest.raises(ZeroDivisionError, match="here"):
            LOGISTIC.sample(starts(3), NUTS(), 5, 5, 1, density=density, compiled=compiled)


# --- what is reported and kept --------------------------------------------------------------------


def test_progress_reports_every_chain_and_the_end():
    reports = []
    result = LOGISTIC.sample(starts(3), NUTS(), 30, 20, 1, on_progress=reports.append)
    last = reports[-1]
    assert [p.chain for p in last] == [0, 1, 2, 3]
    assert all(p.phase == "done" and p.draws == 30 and p.iteration == p.iterations == 50 for p in last)
    assert [p.gradient_evaluations for p in last] == result.gradient_evaluations.tolist()
    assert [p.step_size for p in last] == result.step_sizes.tolist()
    assert reports[0][0].phase == "warmup"
    result = FUNNEL.sample(starts(5), NUTS(), 300, 50, 2, thin=2, on_progress=reports.append)
    counts = [p.divergences for p in reports[-1]]
    assert counts == np.bincount(result.divergences.chain, minlength=4).tolist() and sum(counts) > 0


def test_counted_gradients_are_the_calls():
    compiled, calls = python_density(LOGISTIC.address), [0]

    def counting(x, out, env):
        calls[0] += 1
        return compiled(x, out, env)

    for method in (NUTS(), NUTS(metric="dense"), HMC()):
        calls[0] = 0
        result = LOGISTIC.sample(starts(3, 1), method, 30, 50, 1, density=counting)
        assert result.gradient_evaluations.tolist() == [calls[0]]
        assert (result.warmup_seconds > 0).all() and (result.sampling_seconds > 0).all()


def test_the_step_size_is_searched_when_the_plan_says_so():
    """Gradients beyond those of trajectories: one at the start, and two or more for every search."""

    def beyond(method):
        result = LOGISTIC.sample(starts(3), method, 10, 50, 1, keep_warmup=True)
        steps = result.stats["n_steps"].sum(1) + result.warmup_stats["n_steps"].sum(1)
        return result.gradient_evaluations - steps

    assert (beyond(NUTS(step_size=0.5, adapt_step_size=False)) == 1).all()
    for metric in ("diag", "lowrank", "dense", "diag_welford"):
        plan = plan_for(metric, 50)
        searches = 1 + int(plan.restart.sum())
        assert searches >= 2 and (beyond(NUTS(metric=metric)) >= 1 + 2 * searches).all()
        assert (beyond(NUTS(metric=metric, step_size=0.5)) < beyond(NUTS(metric=metric))).any()


def test_thinning_keeps_every_kth_transition_and_all_divergences():
    all_draws = FUNNEL.sample(starts(5), NUTS(max_treedepth=6), 600, 50, 6)
    thinned = FUNNEL.sample(starts(5), NUTS(max_treedepth=6), 200, 50, 6, thin=3)
    assert (thinned.q == all_draws.q[:, 2::3]).all()
    flags = all_draws.stats["diverging"].reshape(4, 200, 3).any(2)
    assert flags.any() and (thinned.stats["diverging"] == flags).all()


@pytest.mark.parametrize("method", [NUTS(), HMC(), NUTS(metric="dense"), NUTS(metric="lowrank")], ids=label)
def test_kept_warmup_is_the_beginning_of_the_chain(method):
    run = {"method": method, "draws": 20, "warmup": 45, "seed": 1}
    kept = LOGISTIC.sample(starts(3), **run, keep_warmup=True)
    plain = LOGISTIC.sample(starts(3), **run)
    assert (kept.q == plain.q).all() and plain.warmup_q is None and kept.warmup_q.shape == (4, 45, 3)
    lp = [target_of(LOGISTIC).value_and_grad(q)[0] for q in kept.warmup_q]
    np.testing.assert_allclose(kept.warmup_stats["lp"], lp, rtol=1e-12)
    assert len(np.unique(kept.warmup_stats["step_size"][0])) > 30  # it was learning


def test_draws_go_to_a_file(tmp_path):
    path = tmp_path / "draws.npy"
    whole = LOGISTIC.sample(starts(3), NUTS(), 50, 30, 1)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(4, 50, 3))
    result = LOGISTIC.sample(starts(3), NUTS(), 50, 30, 1, out=out)
    assert np.shares_memory(result.q, out)
    out.flush()
    assert (np.load(path) == whole.q).all()


@pytest.mark.parametrize("warmup", [0, 1, 5, 10, 11, 19, 20, 40])
@pytest.mark.parametrize("method", [NUTS(), HMC(), NUTS(metric="dense"), NUTS(metric="lowrank")], ids=label)
def test_short_warmups_work(warmup, method):
    result = gaussian(np.eye(2)).sample(starts(2), method, 20, warmup, 1)
    assert result.q.shape == (4, 20, 2) and (result.step_sizes > 0).all()


def test_fixed_step_sizes_stay():
    method = NUTS(step_size=0.25, adapt_step_size=False)
    result = LOGISTIC.sample(starts(3), method, 10, 100, 1)
    assert (result.step_sizes == np.exp(np.log(0.25))).all()
    assert (result.metrics[0].diagonal() != 1.0).all()  # the metric is learnt all the same


@pytest.mark.parametrize("name", ["dense", "lowrank", "diag", "diag_welford"])
def test_metrics_approach_the_covariance(name):
    """By the draws of warm-up: correlations by the dense and the low-rank one, variances by the others."""
    covariance = 0.95 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    result = gaussian(covariance).sample(starts(6), NUTS(metric=name), 1, 2000, 3)
    found = [metric.covariance() for metric in result.metrics]
    if name in ("dense", "lowrank"):
        # white if the metric were the covariance; the low-rank one leaves factors of up to 2 alone
        factor = np.linalg.cholesky(covariance)
        for sigma in found:
            white = np.linalg.solve(factor, np.linalg.solve(factor, sigma).T)
            assert np.linalg.cond(white) < (1.6 if name == "dense" else 2.0)
        return
    # of the Fisher diagonal √(Σᵢᵢ / Σ⁻¹ᵢᵢ), of the other Σᵢᵢ; over seeds a chain's estimate varies by 15 %
    fisher = np.sqrt(1.0 / np.diag(np.linalg.inv(covariance)))
    expected = fisher if name == "diag" else np.ones(6)
    np.testing.assert_allclose(np.mean([np.diag(sigma) for sigma in found], 0), expected, rtol=4 * 0.15 / 2)


# --- starting points and refusals -----------------------------------------------------------------


def target_of(model):
    return DensityTarget(model.address, model.words, model.dim)


def test_starting_points_are_found_on_a_native_density():
    rungs = [("far", lambda chain, attempt: np.full(3, np.nan)), ("near", lambda chain, attempt: np.ones(3))]
    points, names = find_initial_points(target_of(LOGISTIC), rungs, 2, seed=1)
    assert (points == 1).all() and names == ["near", "near"]


def test_failing_densities_are_nan_to_a_target():
    target = DensityTarget(lambda x, out, env: 1 if x[0] < 0 else 0, np.zeros(1, np.int64), 2)
    values, grads = target.value_and_grad(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    assert np.isnan(values).tolist() == [False, True] and np.isnan(grads).all(1).tolist() == [False, True]


def test_bad_starts_and_counts_are_refused():
    def nan(x, out, env):
        out[:] = np.nan
        return 0

    with pytest.raises(PplError, match="chain 0 can't start"):
        LOGISTIC.sample(np.zeros((2, 3)), NUTS(), 1, 1, 1, density=nan)
    with pytest.raises(PplError, match="chain 0 can't start"):
        LOGISTIC.sample(np.zeros((2, 3)), NUTS(), 1, 1, 1, density=lambda x, out, env: 3)
    with pytest.raises(PplError, match="don't fit"):
        LOGISTIC.sample(np.zeros((1, 2)), NUTS(), 1, 1, 1)
    with pytest.raises(PplError, match="`thin`"):
        LOGISTIC.sample(starts(3), NUTS(), 1, 1, 1, thin=0)
    for ids in ((1, 1), (0, -1), (0, 2**32)):
        with pytest.raises(PplError, match="distinct"):
            LOGISTIC.sample(starts(3, 2), NUTS(), 1, 1, 1, chain_ids=ids)
    with pytest.raises(PplError, match="nowhere to start"):
        LOGISTIC.sample(None, NUTS(), 1, 1, 1, chain_ids=(0,))
    for out in (
        np.zeros((1, 1, 2)),
        np.zeros((1, 1, 3), np.float32),
        np.zeros((1, 3, 1)).transpose(0, 2, 1)[:, :, ::-1],
    ):
        with pytest.raises(PplError, match="`out`"):
            LOGISTIC.sample(starts(3, 1), NUTS(), 1, 1, 1, out=out)
    with pytest.raises(PplError, match="private words"):
        LOGISTIC.sample(starts(3, 1), NUTS(), 1, 1, 1, threads=0)
