"""Files: the same arrays to the bit, readable by ArviZ, and never a way to run code."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from results.planted import hierarchical

from ppl.errors import PplError
from ppl.results import Posterior, load_posterior
from ppl.results.encode import from_json, to_json
from ppl.results.store import FileError

pytest.importorskip("xarray")


def everything() -> Posterior:
    rng = np.random.default_rng(5)
    special = rng.normal(size=(2, 30))
    special[0, :5] = [np.nan, np.inf, -np.inf, -0.0, 5e-324]
    return Posterior(
        {
            "special": special,
            "single": rng.normal(size=(2, 30, 3)).astype(np.float32),
            "half": rng.normal(size=(2, 30)).astype(np.float16),
            "z": rng.normal(size=(2, 30, 2)) + 1j * rng.normal(size=(2, 30, 2)),
            "z8": (rng.normal(size=(2, 30)) + 1j).astype(np.complex64),
            "flag": rng.random((2, 30, 3)) < 0.5,
            "count": rng.integers(-(2**62), 2**62, (2, 30)),
            "byte": rng.integers(0, 255, (2, 30)).astype(np.uint8),
            "empty": np.zeros((2, 30, 0)),
            "sub/deep/x": rng.normal(size=(2, 30, 3)),
            "school": rng.normal(size=(2, 30, 3)),
            "cov": rng.normal(size=(2, 30, 3, 3)),
        },
        dims={
            "single": ("school",),
            "cov": ("school", "school"),
            "sub/deep/x": ("school",),
            "y": ("school",),
        },
        coords={
            "school": ["a", "bé", ""],
            "day": np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"),
            "n": [3, 1],
        },
        sample_stats={"diverging": rng.random((2, 30)) < 0.5, "energy": rng.normal(size=(2, 30))},
        observed_data={"y": np.array([1.0, np.nan, 3.0]), "n": np.array(4)},
        constant_data={"names": np.array(["x", "yy"]), "units": np.array(3.5)},
        log_likelihood=lambda: {"y": np.random.default_rng(1).normal(size=(2, 30, 3))},
        attrs={
            "seed": 3,
            "nan": float("nan"),
            "third": 1 / 3,
            "metric": np.eye(2, dtype=np.float32),
            "pair": (1, "a"),
            "nested": {"a": [1, None, True], "by number": {1: 2}},
            "scalar": np.float64(0.1),
            "c": 1 + 2j,
        },
        groups={
            "prior": {"special": np.zeros((1, 9))},
            "warmup_posterior": {"special": np.zeros((2, 4))},
            "posterior_predictive": {"y": np.zeros((2, 30, 3))},
        },
        hierarchy={"school": ("special", None)},
        log_weights=rng.normal(size=60),
        log_evidence=-1 / 3,
        params={"loc": rng.normal(size=3), "net/0.weight": rng.normal(size=(2, 3))},
        losses=rng.normal(size=17),
        khat=0.4,
    )


def same(a, b, what="") -> None:
    """Equal in type, dtype and every bit."""
    assert type(a) is type(b), what
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes(), what
    elif isinstance(a, dict):
        assert list(a) == list(b), what
        for key in a:
            same(a[key], b[key], f"{what}/{key}")
    elif isinstance(a, float) and a != a:
        assert b != b, what
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y, what)
    else:
        assert a == b, what


FIELDS = "draws dims coords sample_stats observed_data constant_data attrs groups hierarchy log_weights"
FIELDS += " log_evidence params losses khat log_likelihood"


def assert_same(a: Posterior, b: Posterior) -> None:
    for field in FIELDS.split():
        same(getattr(a, field), getattr(b, field), field)


@pytest.mark.parametrize("engine", ["h5netcdf", "netCDF4"])
def test_round_trip_to_the_bit(tmp_path, engine, monkeypatch):
    pytest.importorskip(engine)
    import importlib.util

    find = importlib.util.find_spec
    others = {"h5netcdf", "netCDF4"} - {engine}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in others else find(name, *a)
    )
    original = everything()
    original.save(tmp_path / "post.nc")
    assert_same(original, load_posterior(tmp_path / "post.nc"))
    assert [p.name for p in tmp_path.iterdir()] == ["post.nc"]


def test_round_trip_zarr(tmp_path):
    pytest.importorskip("zarr")
    original = everything()
    original.save(tmp_path / "post.zarr")
    original.save(tmp_path / "post.zarr")
    assert_same(original, Posterior.load(tmp_path / "post.zarr"))


def test_zarr_that_names_a_pickle_codec_is_refused(tmp_path):
    pytest.importorskip("zarr")
    everything().save(tmp_path / "post.zarr")
    bad = {"zarr_format": 2, "filters": [{"id": "pickle"}], "shape": [1], "chunks": [1], "dtype": "|O"}
    (tmp_path / "post.zarr" / "ppl" / "metadata" / ".zarray").write_text(json.dumps(bad))
    with pytest.raises(FileError, match="would run code"):
        load_posterior(tmp_path / "post.zarr")


def test_saved_again_is_the_same_posterior_and_replaces_the_file(tmp_path):
    path = tmp_path / "post.nc"
    hierarchical(seed=1).save(path)
    hierarchical(seed=2).save(path)
    loaded = Posterior.load(str(path))
    assert loaded.attrs["seed"] == 2
    loaded.save(path)
    assert_same(loaded, Posterior.load(path))
    assert repr(loaded.summary()) == repr(hierarchical(seed=2).summary())


def test_log_likelihood_can_be_left_out(tmp_path):
    def never():
        raise AssertionError("computed")

    hierarchical(log_likelihood=never).save(tmp_path / "post.nc", log_likelihood=False)
    assert not Posterior.load(tmp_path / "post.nc").has_log_likelihood


def test_arviz_reads_the_file(tmp_path):
    az = pytest.importorskip("arviz")
    posterior = hierarchical()
    posterior.save(tmp_path / "post.nc")
    data = az.from_netcdf(tmp_path / "post.nc")
    assert data["posterior"]["theta"].dims == ("chain", "draw", "school")
    assert data["posterior"]["theta"].coords["school"].values.tolist() == posterior.coords["school"].tolist()
    assert data["sample_stats"]["diverging"].dtype == bool
    np.testing.assert_array_equal(data["posterior"]["theta"].values, posterior.draws["theta"])


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "post.nc"
    hierarchical().save(path)
    before = path.read_bytes()
    broken = hierarchical(constant_data={"o": np.array([object()])})
    with pytest.raises(PplError, match="can't hold"):
        broken.save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["post.nc"]


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_loading_never_runs_code(tmp_path):
    fuse = tmp_path / "ran"
    bomb = Bomb(fuse)
    (tmp_path / "a.nc").write_bytes(pickle.dumps(bomb))
    np.save(tmp_path / "b.npy", np.array([bomb], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").rename(tmp_path / "b.nc")
    for name in ("a.nc", "b.nc"):
        with pytest.raises(FileError):
            load_posterior(tmp_path / name)
    text = json.dumps({"__ppl__": "array", "dtype": "|O", "shape": [1], "data": "gASVAAAA"})
    with pytest.raises(ValueError, match="dtype"):
        from_json(text)
    assert not fuse.exists()
    pickle.loads(pickle.dumps(bomb)).close()  # the bomb itself works
    assert fuse.exists()


def test_a_hostile_file_with_object_metadata_is_refused(tmp_path):
    import xarray as xr

    meta = {"version": 1, "groups": {}, "extra": [["coord:x", "v0", "|O"]], "dims": {}, "empty": []}
    data = xr.Dataset({"metadata": ((), np.array(json.dumps(meta), dtype=object)), "v0": ("x", np.zeros(2))})
    data.to_netcdf(tmp_path / "post.nc", group="ppl", engine="h5netcdf")
    with pytest.raises(FileError, match="isn't a posterior saved by ppl"):
        load_posterior(tmp_path / "post.nc")


def test_files_that_arent_ours(tmp_path):
    import xarray as xr

    with pytest.raises(FileError) as caught:
        load_posterior(tmp_path / "none.nc")
    assert "there is no file" in str(caught.value) and "edit:" in str(caught.value)
    (tmp_path / "text.nc").write_text("hello")
    xr.Dataset({"x": ("t", np.zeros(3))}).to_netcdf(tmp_path / "other.nc")
    hierarchical().save(tmp_path / "cut.nc")
    (tmp_path / "cut.nc").write_bytes((tmp_path / "cut.nc").read_bytes()[:5000])
    for name in ("text.nc", "other.nc", "cut.nc"):
        with pytest.raises(FileError) as caught:
            load_posterior(tmp_path / name)
        shown = str(caught.value)
        assert shown.startswith("file error\n") and name in shown
        assert all(word in shown for word in ("expected:", "found:", "edit:")), shown


def test_later_format_is_refused(tmp_path, monkeypatch):
    import ppl.results.store as store

    with monkeypatch.context() as patch:
        patch.setattr(store, "_VERSION", 99)
        hierarchical().save(tmp_path / "post.nc")
    with pytest.raises(FileError, match="later version"):
        load_posterior(tmp_path / "post.nc")


def test_save_into_a_missing_folder(tmp_path):
    with pytest.raises(FileError, match="there is no folder"):
        hierarchical().save(tmp_path / "no" / "post.nc")


def test_json_keeps_types_and_turns_other_objects_into_text():
    value = {"a": (1, (2.5, None)), "b": np.arange(3, dtype=np.int8), "d": {2: "x"}, "t": np.array(["é"])}
    same(value, from_json(to_json(value)))
    assert from_json(to_json({"o": complex}))["o"] == "<class 'complex'>"
    assert from_json(to_json({"__ppl__": "tuple"})) == {"__ppl__": "tuple"}
