"""Checkpoints of variational inference are written while it runs: a process that is killed loses nothing before them."""

import multiprocessing
import signal

import pytest
import torch

import ppl
from ppl.distributions import Normal
from ppl.errors import PplError
from ppl.inference.vi import checkpoint
from ppl.std.objectives import elbo

Y = torch.tensor([1.2, -0.3, 0.8, 2.1], dtype=torch.float64)
STEPS = 30


@ppl.model
def effects(n):
    m = ppl.param("m", 0.0)
    for _ in ppl.plate("n", n):
        z = ppl.sample("z", Normal(m, 1.0))
        ppl.sample("y", Normal(z, 1.0))


KINDS = {
    "native": {"engine": "native"},
    "torch": {"engine": "torch", "optimizer": "sgd", "learning_rate": 0.01},
    "groups": {"objective": {"model": elbo, "guide": elbo}},
}


def fit(kind, **options):
    return ppl.infer(
        effects(4), {"y": Y}, "vi", draws=20, steps=STEPS, progress=False, **KINDS[kind], **options
    )


def hang(kind, path, pipe):
    """Fit, and stop for ever after the third checkpoint."""
    written, save = [], checkpoint.save

    def saved(*arguments):
        save(*arguments)
        written.append(1)
        if len(written) == 3:
            pipe.send("written")
            signal.pause()

    checkpoint.save = saved
    fit(kind, save_to=ppl.Checkpoint(path, every=0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_to_the_same_params(kind, tmp_path):
    path, fork = tmp_path / "fit.npz", multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    process = fork.Process(target=hang, args=(kind, path, there))
    process.start()
    try:
        assert here.poll(120) and here.recv() == "written"
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == ["fit.npz"]
    whole, rest = fit(kind), fit(kind, resume=path)
    assert 0 < len(rest.losses) < STEPS == len(whole.losses)
    assert (rest.losses == whole.losses[-len(rest.losses) :]).all()
    for name, value in whole.params.items():
        assert (rest.params[name] == value).all(), name
    assert (rest.draws["z"] == whole.draws["z"]).all()


def test_a_checkpoint_of_another_engine_or_method_is_refused(tmp_path):
    path = tmp_path / "fit.npz"
    fit("native", save_to=path)
    with pytest.raises(PplError, match="`engine` is not what the checkpoint was made with"):
        fit("torch", resume=path)
    ppl.infer(chain(), draws=2, warmup=2, chains=1, save_to=path, progress=False)
    with pytest.raises(PplError, match="no checkpoint of variational inference"):
        fit("native", resume=path)


@ppl.model
def chain():
    ppl.sample("x", Normal(0.0, 1.0))
