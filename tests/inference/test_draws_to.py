"""Draws in files: the same to the bit as in memory, read back, never overwritten, readable after Ctrl-C,
resumable, and within the memory that is promised.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import HalfNormal, Normal
from ppl.errors import PplError
from ppl.inference import streaming
from ppl.inference.mcmc import checkpoint, sampling
from ppl.results import notices
from ppl.results.folder import INDEX, Folder, vacant
from ppl.results.mapped import beside, create, opened, release
from ppl.results.progress import Progress
from ppl.results.store import FileError

Y = torch.tensor([1.2, -0.3, 0.8, 2.1])
ENGINES = ("native", "torch")
GIB = 2**10  # MiB


@ppl.model
def hierarchy(n):
    mu = ppl.sample("mu", Normal(0.0, 2.0))
    tau = ppl.sample("tau", HalfNormal(1.0))
    for _ in ppl.plate("group", n):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, 1.0))
    ppl.deterministic("double", 2.0 * mu)


def run(**options):
    settings = {"draws": 40, "warmup": 30, "chains": 2, "progress": False, "seed": 5, "target_accept": 0.9}
    return ppl.infer(hierarchy(4), data={"y": Y}, **(settings | options))


def same(a, b):
    """Equal names, shapes, dtypes and bits."""
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and a[name].shape == b[name].shape, name
        assert a[name].tobytes() == b[name].tobytes(), name


def mapped(array) -> bool:
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap)


# --- the same draws -------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_draws_in_files_are_those_in_memory(engine, tmp_path):
    options = {"engine": engine, "keep_warmup": True, "thin": 2, "coords": {"group": list("abcd")}}
    memory = run(**options)
    disk = run(**options, draws_to=tmp_path / "new" / "draws")
    again = ppl.load_posterior(tmp_path / "new" / "draws")
    for posterior in (disk, again):
        same(posterior.draws, memory.draws)
        same(posterior.sample_stats, memory.sample_stats)
        same(posterior.observed_data, memory.observed_data)
        for group in ("warmup_posterior", "warmup_sample_stats"):
            same(posterior.groups[group], memory.groups[group])
        for array in (*posterior.draws.values(), *posterior.groups["warmup_posterior"].values()):
            assert mapped(array) and not array.flags.writeable
        assert posterior.dims == memory.dims and posterior.hierarchy == memory.hierarchy
        same(posterior.coords, memory.coords)
    assert again.attrs == disk.attrs
    same(disk.log_likelihood, memory.log_likelihood)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch's, of arrays that can't be written
        same(disk.predict(seed=1), memory.predict(seed=1))
    assert not again.has_log_likelihood
    raw = np.load(tmp_path / "new" / "draws" / "unconstrained.npy")
    assert (raw[..., 0] == memory.draws["mu"]).all() and np.allclose(np.exp(raw[..., 1]), memory.draws["tau"])


def test_blocks_of_any_size_give_the_same_values(monkeypatch, tmp_path):
    """Blocks that end inside a chain, and one that is not full."""
    whole = run(draws=50)
    monkeypatch.setattr(streaming, "_ROWS", 7)
    for place in ({}, {"draws_to": tmp_path / "draws"}):
        blocks = run(draws=50, **place)
        for name in whole.draws:
            np.testing.assert_allclose(blocks.draws[name], whole.draws[name], rtol=1e-15)
        np.testing.assert_allclose(blocks.log_likelihood["y"], whole.log_likelihood["y"], rtol=1e-14)


def test_only_the_sites_to_keep_get_files(tmp_path):
    run(draws_to=tmp_path / "draws", keep=["theta"])
    again = ppl.load_posterior(tmp_path / "draws")
    assert list(again.draws) == ["theta"] and again.dims["theta"] == ("group",)
    found = sorted(path.name for path in (tmp_path / "draws").glob("posterior.*"))
    assert found == [INDEX, "posterior.theta.npy"]


def test_checks_and_other_files_read_files(tmp_path):
    memory, disk = run(), run(draws_to=tmp_path / "draws")
    assert notices(disk) == notices(memory) and len(notices(disk)) > 1  # so few draws don't agree
    same({"x": disk.elements().values}, {"x": memory.elements().values})
    disk.save(tmp_path / "copy.nc")
    same(ppl.load_posterior(tmp_path / "copy.nc").draws, memory.draws)


# --- refused before sampling ----------------------------------------------------------------------


def test_folders_with_draws_are_left_alone(tmp_path):
    first = run(draws_to=tmp_path / "draws")
    before = {path: path.read_bytes() for path in (tmp_path / "draws").iterdir()}
    with pytest.raises(FileError, match="not overwritten") as refused:
        run(draws_to=str(tmp_path / "draws"), seed=6)
    assert refused.value.found == "2 × 40 draws of hierarchy"
    assert f"draws_to={str(tmp_path / 'draws-2')!r}" in refused.value.edit
    with pytest.raises(FileError, match="not overwritten"):
        first.save(tmp_path / "draws")
    assert before == {path: path.read_bytes() for path in (tmp_path / "draws").iterdir()}
    (tmp_path / "draws" / INDEX).unlink()  # as a run leaves it that was killed
    with pytest.raises(FileError, match="not overwritten"):
        run(draws_to=tmp_path / "draws")
    with pytest.raises(FileError, match="didn't come to its end"):
        ppl.load_posterior(tmp_path / "draws")


def test_what_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileError, match="is a file") as refused:
            run(draws_to=path)
        assert str(tmp_path / "file-draws") in refused.value.edit
    with pytest.raises(FileError, match="draws_to must be a folder"):
        run(draws_to=3)
    with pytest.raises(PplError, match="draws_to"):
        run(draw_to=tmp_path / "draws")
    assert (tmp_path / "file").read_text() == "mine" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_too_small_is_refused_before_sampling(monkeypatch, tmp_path):
    """Needed for each of 2 × 40 draws: 6 unconstrained numbers, 7 of sites, 9 statistics, 8 bytes each."""
    need = 2 * 40 * 8 * (6 + 7 + 9)
    Usage = namedtuple("Usage", "total used free")
    free = [need - 1]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, free[0]))
    with pytest.raises(FileError, match="no room on the disk") as refused:
        run(draws_to=tmp_path / "a" / "draws")
    assert refused.value.expected.startswith("13.8 KiB free") and str(tmp_path) in refused.value.found
    assert not (tmp_path / "a").exists()
    free[0] = need
    assert run(draws_to=tmp_path / "a" / "draws").num_draws == 40


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_fails_before_its_first_draw_leaves_nothing(engine, tmp_path):
    run(engine=engine, save_to=tmp_path / "run.npz")
    for where in ("resume", "infer"):
        options = {"resume": tmp_path / "run.npz", "seed": 6} if where == "resume" else {"keep": ["nu"]}
        with pytest.raises(PplError):
            run(engine=engine, draws_to=tmp_path / "draws", **options)
        assert not (tmp_path / "draws").exists()


# --- interrupted and resumed ----------------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_drawn_before_ctrl_c_is_readable_and_can_be_resumed(engine, monkeypatch, tmp_path):
    draws = {"native": 100_000, "torch": 500}[engine]
    pressed = []

    def press(self, update):
        if not pressed and all(chain.draws > 3 for chain in update):
            pressed.append(True)
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", press)
    cut = run(engine=engine, draws=draws, draws_to=tmp_path / "cut", save_to=tmp_path / "run.npz")
    count = cut.num_draws
    assert pressed and cut.attrs["interrupted"] and 3 < count < draws
    again = ppl.load_posterior(tmp_path / "cut")
    same(again.draws, cut.draws)
    assert np.isfinite(cut.log_likelihood["y"]).all() and cut.log_likelihood["y"].shape == (2, count, 4)

    with np.load(tmp_path / "run.npz") as saved:
        longest = max(saved[f"chain{chain}.trace.q"].shape[0] for chain in range(2))
    whole = run(engine=engine, draws=longest + 5)
    for name, array in cut.draws.items():
        assert (whole.draws[name][:, :count] == array).all()
    rest = {"resume": tmp_path / "run.npz", "draws_to": tmp_path / "rest"}
    resumed = run(engine=engine, draws=longest + 5, **rest)
    some = run(engine=engine, draws=count + 1, resume=tmp_path / "run.npz", save_to=tmp_path / "some.npz")
    same(some.draws, {name: array[:, : count + 1] for name, array in whole.draws.items()})
    same(resumed.draws, whole.draws)
    same(resumed.log_likelihood, whole.log_likelihood)


@pytest.mark.parametrize("engine", ENGINES)
def test_resuming_into_a_folder_for_fewer_draws_than_there_are(engine, tmp_path):
    """The draws beyond those asked for stay in the checkpoint, by way of a file that leaves nothing behind."""
    options = {"engine": engine, "keep_warmup": True, "thin": 2}
    whole = run(**options, save_to=tmp_path / "run.npz")
    short = run(**options, draws=17)
    for number, save in enumerate((None, tmp_path / "run.npz", tmp_path / "other.npz")):
        folder = tmp_path / str(number)
        part = run(**options, draws=17, resume=tmp_path / "run.npz", draws_to=folder, save_to=save)
        same(part.draws, short.draws)
        same(part.sample_stats, short.sample_stats)
        same(part.groups["warmup_posterior"], short.groups["warmup_posterior"])
        assert np.load(folder / "unconstrained.npy").shape[:2] == (2, 17)
        assert {path.suffix for path in folder.iterdir()} == {".npy", ".json"}
        same(run(**options, resume=save or tmp_path / "run.npz").draws, whole.draws)


def test_no_room_for_the_draws_beyond(monkeypatch, tmp_path):
    run(save_to=tmp_path / "run.npz")

    def full(array, shape):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sampling, "beside", full)
    options = {"draws": 17, "resume": tmp_path / "run.npz", "draws_to": tmp_path / "draws"}
    with pytest.raises(PplError, match="no room on the disk") as refused:
        run(**options, save_to=tmp_path / "run.npz")
    assert refused.value.expected == "40 × 6 numbers for chain0"
    assert not (tmp_path / "draws").exists()
    assert run(**options).num_draws == 17


def test_ctrl_c_at_once_leaves_a_posterior_without_draws(monkeypatch, tmp_path):
    def press(self, update):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", press)
    cut = run(draws_to=tmp_path / "cut", keep_warmup=True)
    assert cut.draws["theta"].shape == cut.groups["warmup_posterior"]["theta"].shape == (2, 0, 4)
    same(ppl.load_posterior(tmp_path / "cut").draws, cut.draws)
    assert cut.log_likelihood["y"].shape == (2, 0, 4)


@pytest.mark.parametrize("engine", ENGINES)
def test_resuming_into_a_folder_keeps_warmup_too(engine, monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "_BLOCK", 20)  # three rows at a time
    options = {"engine": engine, "keep_warmup": True, "chains": 1}
    whole = run(**options)
    run(**options, draws=19, save_to=tmp_path / "run.npz", draws_to=tmp_path / "first")
    resumed = run(**options, resume=tmp_path / "run.npz", draws_to=tmp_path / "second")
    same(resumed.draws, whole.draws)
    same(resumed.groups["warmup_posterior"], whole.groups["warmup_posterior"])


# --- files ----------------------------------------------------------------------------------------


def test_files_have_names_of_their_own(tmp_path):
    """Also where a system doesn't tell `A` from `a`, and whatever a site is called."""
    folder = Folder(vacant(tmp_path / "draws"))
    names = ["a/b", "a_b", "A_b", "../x", "é", "", "n" * 300]
    for value, name in enumerate(names):
        folder.array("posterior", name, (1, 2), np.float64)[:] = value
    sealed = folder.sealed("posterior")
    assert [float(sealed[name][0, 1]) for name in names] == list(range(len(names)))
    files = [path.name.lower() for path in (tmp_path / "draws").iterdir()]
    assert len(set(files)) == len(names) and max(map(len, files)) < 120
    assert [path.name for path in tmp_path.iterdir()] == ["draws"]


def test_nothing_in_a_folder_is_run(tmp_path):
    run(draws_to=tmp_path / "draws")
    index = tmp_path / "draws" / INDEX
    good = index.read_text()

    def refused(match):
        with pytest.raises(FileError, match=match):
            ppl.load_posterior(tmp_path / "draws")
        index.write_text(good)

    for outside in ("../run.npy", str(tmp_path / "x.npy"), "posterior.json"):
        index.write_text(good.replace("posterior.mu.npy", outside))
        refused("outside of it")
    index.write_text(good.replace('"version": 1', '"version": 99'))
    refused("later version")
    for broken in ("{", "[]", json.dumps({"version": 1})):
        index.write_text(broken)
        refused("isn't whole")
    objects = np.array([[{}, {}], [{}, {}]], dtype=object)
    np.save(tmp_path / "draws" / "posterior.mu.npy", objects, allow_pickle=True)
    refused("isn't whole")
    (tmp_path / "draws" / "posterior.mu.npy").unlink()
    refused("isn't whole")


def test_room_beside_an_array_is_where_the_array_is(tmp_path):
    here = create(tmp_path / "a.npy", (3, 4), np.float64)
    there = beside(here[1], (50, 7))
    assert mapped(there) and not there.any() and [p.name for p in tmp_path.iterdir()] == ["a.npy"]
    there[:] = np.arange(7.0)
    release(there)
    assert (there == np.arange(7.0)).all() and not mapped(beside(np.ones((3, 4))[1], (50, 7)))


def test_pages_given_back_lose_nothing(tmp_path):
    array = create(tmp_path / "a.npy", (300, 700), np.float64)
    array[:] = np.arange(300)[:, None]
    release(array[5:, ::2])
    assert (array == np.arange(300)[:, None]).all()
    private = np.load(tmp_path / "a.npy", mmap_mode="c")
    private[:] = -1.0
    release(private.reshape(-1))
    assert (private == -1.0).all()
    release(plain := np.ones(10**6))
    assert (plain == 1.0).all()
    assert (opened(tmp_path / "a.npy")[7] == 7.0).all()


def test_a_file_is_made_once(tmp_path):
    create(tmp_path / "a.npy", (3,), np.float64)[:] = 1.0
    with pytest.raises(FileExistsError):
        create(tmp_path / "a.npy", (3,), np.float64)
    assert (opened(tmp_path / "a.npy") == 1.0).all()


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("chains", "draws"), [(4, 2500), (1, 10_000)])
def test_memory_for_draws_on_the_disk(chains, draws):
    """10,000 draws of 5,000 parameters: below 1 GiB above torch's import. No array of all the draws, 381 MiB,
    stands in memory at any time.
    """
    script = Path(__file__).parents[2] / "benchmarks" / "memory.py"
    command = [sys.executable, str(script), f"--chains={chains}", f"--draws={draws}", "--to=disk"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak = json.loads(done.stdout)["judged"]
    assert peak < GIB and peak < chains * draws * 5_000 * 8 / 2**20
