"""Runs of chains: the same alone and in company, exact to resume, interruptible, thinned, validated."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference.targets import Density, Gaussian, funnel, label, log_gamma, starts

from ppl.errors import MethodError, PplError
from ppl.inference.mcmc import HMC, LANES, NUTS, Checkpoint, sample
from ppl.inference.mcmc.checkpoint import load, save

# --- the same draws in any company, and resumed at any point --------------------------------------

LOGISTIC_X = np.random.default_rng(9).standard_normal((40, 3))
LOGISTIC_Y = (np.random.default_rng(8).random(40) < 0.6).astype(float)


class Logistic:
    """A target whose rows go through a matrix product, where company could change the last bit."""

    dim = 3

    def value_and_grad(self, q):
        z = q @ LOGISTIC_X.T
        grad = (LOGISTIC_Y - 1 / (1 + np.exp(-z))) @ LOGISTIC_X - q
        return (LOGISTIC_Y * z - np.logaddexp(0, z)).sum(1) - 0.5 * (q * q).sum(1), grad


METHODS = [NUTS(), HMC(), NUTS(metric="dense"), NUTS(metric="lowrank"), NUTS(metric="diag_welford")]


@pytest.mark.parametrize("method", METHODS, ids=label)
def test_chains_are_bitwise_the_same_together_or_apart(method):
    points = starts(3, 6)
    together = sample(Logistic(), points, method, 40, 60, seed=7)
    for ids in ((0, 1), (2,), (3, 5), (4,)):
        apart = sample(Logistic(), points[list(ids)], method, 40, 60, seed=7, chain_ids=ids)
        for row, chain in enumerate(ids):
            assert (apart.q[row] == together.q[chain]).all()
            for name, values in apart.stats.items():
                assert (values[row] == together.stats[name][chain]).all(), name
    assert (together.q[0] != together.q[1]).any()


class Stops:
    """A target that is interrupted (Ctrl-C) at its n-th call."""

    def __init__(self, target, at):
        self.target, self.dim, self.left = target, target.dim, at

    def value_and_grad(self, q):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.target.value_and_grad(q)


def same(a, b):
    assert (a.q == b.q).all() and (a.warmup_q == b.warmup_q).all()
    for name in a.stats:
        assert (a.stats[name] == b.stats[name]).all(), name
        assert (a.warmup_stats[name] == b.warmup_stats[name]).all(), name
    assert (a.step_sizes == b.step_sizes).all()
    for x, y in zip(a.metrics, b.metrics, strict=True):
        assert (x.covariance() == y.covariance()).all()
    assert (a.divergences.broke_at == b.divergences.broke_at).all()
    assert (a.divergences.draw == b.divergences.draw).all()


@pytest.mark.parametrize("method", METHODS, ids=label)
def test_resuming_gives_the_draws_of_an_uninterrupted_run(method, tmp_path):
    path = tmp_path / "run.npz"
    run = {"method": method, "draws": 12, "warmup": 60, "seed": 3, "keep_warmup": True, "thin": 2}
    whole = sample(Logistic(), starts(3, 5), **run)
    calls = int(whole.gradient_evaluations.sum() / 5)
    for share in (0.001, 0.2, 0.45, 0.7, 0.97):  # at the first call, during warm-up, while sampling
        cut = sample(Stops(Logistic(), 1 + int(share * calls)), starts(3, 5), **run, checkpoint=path)
        assert cut.interrupted
        resumed = sample(Logistic(), starts(3, 5), **run, checkpoint=path, resume_from=path)
        assert not resumed.interrupted
        same(resumed, whole)
        same(
            sample(Logistic(), None, **run, resume_from=path), whole
        )  # a finished run: nothing is left to do


@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=4))
@settings(max_examples=8, deadline=None)
def test_many_interrupts_change_nothing(cuts, tmp_path_factory):
    path = tmp_path_factory.mktemp("cuts") / "run.npz"
    target = Density(3, funnel)
    run = {"method": NUTS(max_treedepth=5), "draws": 15, "warmup": 30, "seed": 1, "keep_warmup": True}
    whole = sample(target, starts(3), **run)
    resume = None
    for cut in cuts:
        sample(Stops(target, cut), starts(3), **run, checkpoint=path, resume_from=resume)
        resume = path
    same(sample(target, starts(3), **run, resume_from=resume), whole)


def test_a_run_can_be_continued_for_more_draws(tmp_path):
    path = tmp_path / "run.npz"
    run = {"method": NUTS(), "warmup": 30, "seed": 3, "keep_warmup": True}
    sample(Logistic(), starts(3), draws=10, checkpoint=path, **run)
    same(
        sample(Logistic(), None, draws=25, resume_from=path, **run),
        sample(Logistic(), starts(3), draws=25, **run),
    )


def any_number_of_draws(run, whole, first, second):
    """Resume the checkpoint `first` of an interrupted run, whose chains are of unequal length, for more draws than the
    shortest has and fewer than the longest, for none and for all: the draws of a run of so many, and `second` keeps
    what `first` had. `run` makes draws; `whole` holds what to resume to in the end.
    """
    had = lengths(first)
    assert min(had) + 1 < max(had) and whole.q.shape[1] > max(had)
    for asked in (min(had) + 1, max(had) - 1, 0):
        reports = []
        part = run(asked, resume_from=first, checkpoint=second, on_progress=reports.append)
        same(part, run(asked))
        same(run(asked, resume_from=first), part)  # not saved again
        assert not part.interrupted and all(p.draws == asked for p in reports[-1])
        assert all(p.phase == "done" and p.iteration == p.iterations for p in reports[-1])
        now = lengths(second)
        assert all(n == max(h, asked) for n, h in zip(now, had, strict=True))
        same(run(whole.q.shape[1], resume_from=second), whole)
    run(1, resume_from=first, checkpoint=first)  # onto itself
    same(run(whole.q.shape[1], resume_from=first), whole)


def lengths(path):
    """The draws of each chain in a checkpoint, a partly thinned one included."""
    flat = load(path)
    return [flat[name].shape[0] for name in flat if name.endswith(".trace.q")]


def test_after_an_interrupt_any_number_of_draws_can_be_asked_for(tmp_path):
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    target = Density(5, funnel)

    def run(draws, target=target, **options):
        method = NUTS(max_treedepth=5)
        return sample(target, starts(5), method, draws, 30, 1, thin=2, keep_warmup=True, **options)

    run(40, Stops(target, 700), checkpoint=first)
    whole = run(40)
    assert whole.divergences.draw.size
    any_number_of_draws(run, whole, first, second)


def test_checkpoints_are_written_on_the_way_and_hold_no_pickles(tmp_path):
    path = tmp_path / "run.npz"
    seen = []

    class Watching(Logistic):
        def value_and_grad(self, q):
            if path.exists():
                seen.append(load(path).get("chain0.state.iteration", -1))  # -1: not begun
            return super().value_and_grad(q)

    sample(Watching(), starts(3), NUTS(), 3, 5, 1, checkpoint=Checkpoint(path, every=0.0))
    assert len(set(seen)) > 3 and seen == sorted(seen)
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
        ({"target": Gaussian(np.eye(2)), "initial_points": np.zeros((2, 2))}, "dim"),
    ],
)
def test_resuming_another_run_is_refused(change, word, tmp_path):
    path = tmp_path / "run.npz"
    run = {
        "target": Logistic(),
        "initial_points": starts(3, 2),
        "method": NUTS(),
        "draws": 3,
        "warmup": 5,
        "seed": 3,
    }
    sample(**run, checkpoint=path)
    with pytest.raises(PplError, match=f"`{word}`"):
        sample(**{**run, **change}, resume_from=path)


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("not a checkpoint")
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    for name in ("text.npz", "other.npz", "missing.npz"):
        with pytest.raises(PplError, match="checkpoint"):
            load(tmp_path / name)


def test_scalars_come_back_to_the_bit(tmp_path):
    flat = {
        "a": 0.1 + 0.2,
        "b": float("inf"),
        "c": None,
        "d": True,
        "e": 2**63,
        "f": np.arange(3.0),
        "g": "x",
    }
    save(tmp_path / "x.npz", flat)
    back = load(tmp_path / "x.npz")
    assert (back.pop("f") == flat.pop("f")).all() and back == flat and isinstance(back["d"], bool)


# --- driving --------------------------------------------------------------------------------------


def test_ctrl_c_returns_what_was_drawn():
    whole = sample(Logistic(), starts(3), NUTS(), 200, 50, 1)
    part = sample(Stops(Logistic(), 1000), starts(3), NUTS(), 200, 50, 1)
    count = part.q.shape[1]
    assert part.interrupted and 0 < count < 200
    assert (part.q == whole.q[:, :count]).all()
    assert all(values.shape == (4, count) for values in part.stats.values())


@pytest.mark.parametrize("at", [1, 30])
def test_ctrl_c_during_warmup_returns_no_draws(at):
    part = sample(Stops(Logistic(), at), starts(3), NUTS(), 20, 500, 1, keep_warmup=True)
    assert part.interrupted and part.q.shape == (4, 0, 3)
    assert part.warmup_q.shape[1] < 500 and np.isnan(part.step_sizes).all() == (at == 1)


def test_progress_reports_every_chain_and_the_end():
    reports = []
    result = sample(Logistic(), starts(3), NUTS(), 30, 20, 1, on_progress=reports.append)
    last = reports[-1]
    assert [p.chain for p in last] == [0, 1, 2, 3]
    assert all(p.phase == "done" and p.draws == 30 and p.iteration == p.iterations == 50 for p in last)
    assert [p.gradient_evaluations for p in last] == result.gradient_evaluations.tolist()
    assert reports[0][0].phase == "warmup"


def test_counted_gradients_are_the_calls():
    target = Density(1, log_gamma)
    result = sample(target, starts(1, 1), NUTS(), 30, 50, 1)
    assert result.gradient_evaluations.tolist() == [target.calls]
    assert (result.warmup_seconds > 0).all() and (result.sampling_seconds > 0).all()


def test_thinning_keeps_every_kth_transition_and_all_divergences():
    target = Density(5, funnel)
    all_draws = sample(target, starts(5), NUTS(max_treedepth=6), 150, 50, 6)
    thinned = sample(target, starts(5), NUTS(max_treedepth=6), 50, 50, 6, thin=3)
    assert (thinned.q == all_draws.q[:, 2::3]).all()
    flags = all_draws.stats["diverging"].reshape(4, 50, 3).any(2)
    assert flags.any() and (thinned.stats["diverging"] == flags).all()


@pytest.mark.parametrize("warmup", [0, 1, 5, 19, 20, 40])
@pytest.mark.parametrize("method", [NUTS(), HMC(), NUTS(metric="dense")], ids=label)
def test_short_warmups_work(warmup, method):
    result = sample(Gaussian(np.eye(2)), starts(2), method, 20, warmup, 1)
    assert result.q.shape == (4, 20, 2) and (result.step_sizes > 0).all()


def test_zero_draws_and_one_lane_of_a_second_block():
    assert sample(Logistic(), starts(3), NUTS(), 0, 10, 1).q.shape == (4, 0, 3)
    assert sample(Logistic(), starts(3, 1), NUTS(), 5, 10, 1, chain_ids=[6]).chain_ids == (6,)


def test_targets_may_reuse_their_buffers():
    class Reusing(Logistic):
        def __init__(self):
            self.logp, self.grad = np.empty(LANES), np.empty((LANES, 3))

        def value_and_grad(self, q):
            self.logp[:], self.grad[:] = super().value_and_grad(q)
            return self.logp, self.grad

    a, b = (sample(target, starts(3), NUTS(), 20, 40, 1) for target in (Logistic(), Reusing()))
    assert (a.q == b.q).all()


def test_bad_starts_and_counts_are_refused():
    nan = Density(1, lambda q: (math.nan, q))
    with pytest.raises(PplError, match="chain 0 can't start"):
        sample(nan, np.zeros((1, 1)), NUTS(), 1, 1, 1)
    with pytest.raises(PplError, match="don't fit"):
        sample(Logistic(), np.zeros((1, 2)), NUTS(), 1, 1, 1)
    with pytest.raises(PplError, match="`thin`"):
        sample(Logistic(), starts(3), NUTS(), 1, 1, 1, thin=0)
    with pytest.raises(PplError, match="distinct"):
        sample(Logistic(), starts(3, 2), NUTS(), 1, 1, 1, chain_ids=(1, 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: NUTS(target_accept=1.0),
        lambda: NUTS(max_treedepth=0),
        lambda: NUTS(step_size=-1.0),
        lambda: HMC(num_steps=0),
        lambda: HMC(num_steps=3, trajectory_length=1.0),
        lambda: HMC(jitter=1.0),
        lambda: NUTS(max_energy_error=math.nan),
    ],
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(MethodError):
        make()


def test_an_unknown_metric_is_answered_with_the_closest():
    with pytest.raises(MethodError) as caught:
        NUTS(metric="low_rank")
    assert str(caught.value) == (
        "method error\n"
        "NUTS: there is no metric 'low_rank'\n"
        '  expected: one of "diag", "diag_welford", "dense", "lowrank", "unit"\n'
        "  found:    metric='low_rank'\n"
        '  edit:     metric="lowrank"'
    )
