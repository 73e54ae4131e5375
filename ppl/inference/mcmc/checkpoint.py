"""Checkpoints: nested dataclasses as a flat dict of arrays and scalars, in an .npz file. Nothing is pickled.

A value is flattened under dotted names: a dataclass gives one entry per field and `name.type`, the name of
its class; arrays stay arrays; None, bools, whole numbers, floats and strings go together into one JSON text
(Python writes floats so that they read back to the same bits).

Draws may be larger than memory: they are written from where they are and read to where they go, a block at
a time.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ppl.errors import PplError
from ppl.inference.mcmc import adaptation, chain, estimators, hamiltonian, metrics, step_size
from ppl.results.mapped import release

FORMAT = 1
Flat = dict[str, Any]

DRAWS = (".trace.q", ".warmup.q")
"""How the names of draws end: `load` leaves these in the file."""
_BLOCK = 1 << 20
"""About how many numbers are read or written at once."""
_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
"""What reading a file that is no checkpoint may raise."""

_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        chain.ChainState,
        hamiltonian.Position,
        adaptation.Adaptation,
        step_size.DualAveraging,
        metrics.Diagonal,
        metrics.Dense,
        metrics.LowRank,
        estimators.FisherDiagonal,
        estimators.WelfordDiagonal,
        estimators.WelfordDense,
        estimators.LowRankWindow,
    )
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where and how often to save: a path (.npz) and the seconds between two saves.

    >>> Checkpoint("run.npz").every
    30.0
    """

    path: str | os.PathLike[str]
    every: float = 30.0


@dataclass(frozen=True, slots=True)
class Stored:
    """Draws [n, D] in a checkpoint, read when they are wanted."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def read_into(self, out: np.ndarray) -> None:
        """Fill `out` [m, D], m ≤ n, with the first draws. It may be a mapped file: its pages are given back as they
        are written. Raises `PplError` if the file is broken.
        """
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.name}.npy") as member:
                _read_header(member)
                for rows in _blocks(out):
                    data = member.read(rows.size * self.dtype.itemsize)
                    rows[...] = np.frombuffer(data, self.dtype).reshape(rows.shape)
                    release(out)
        except _BROKEN as error:
            raise _no_checkpoint(self.path, error) from None


def flatten(name: str, value: Any) -> Flat:
    """The entries of a value under `name`.

    >>> from ppl.inference.mcmc.step_size import DualAveraging
    >>> flatten("a", DualAveraging.start(1.0))["a.type"]
    'DualAveraging'
    """
    if dataclasses.is_dataclass(value) and type(value).__name__ in _CLASSES:
        flat: Flat = {f"{name}.type": type(value).__name__}
        for each in dataclasses.fields(value):
            flat.update(flatten(f"{name}.{each.name}", getattr(value, each.name)))
        return flat
    if value is None or isinstance(value, (bool, int, float, str, np.ndarray)):
        return {name: value}
    if isinstance(value, np.generic):
        return {name: value.item()}
    raise TypeError(f"{name}: a {type(value).__name__} can't be kept in a checkpoint")


def unflatten(name: str, flat: Flat) -> Any:
    """The value under `name`, the inverse of `flatten`.

    >>> from ppl.inference.mcmc.step_size import DualAveraging
    >>> unflatten("a", flatten("a", DualAveraging.start(2.0))) == DualAveraging.start(2.0)
    True
    """
    kind = flat.get(f"{name}.type")
    if kind is None:
        return flat[name]
    cls = _CLASSES[kind]
    return cls(**{each.name: unflatten(f"{name}.{each.name}", flat) for each in dataclasses.fields(cls)})


def save(path: str | os.PathLike[str], flat: Flat) -> None:
    """Write a flat dict so that `path` holds the old or the new content at any moment, never half of one.

    The text goes to a temporary file beside it, is flushed to the disk and renamed.
    """
    target = Path(path)
    arrays: dict[str, Any] = {name: value for name, value in flat.items() if isinstance(value, np.ndarray)}
    scalars = {name: value for name, value in flat.items() if not isinstance(value, np.ndarray)}
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                _write(archive, "scalars", np.array(json.dumps({"format": FORMAT, **scalars})))
                for name, array in arrays.items():
                    _write(archive, name, array)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _write(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """An array as a member of an .npz, a block at a time."""
    header = {"descr": npy.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        npy.write_array_header_1_0(member, header)
        for rows in _blocks(array):
            member.write(np.ascontiguousarray(rows).tobytes())
            release(array)


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Views of consecutive rows."""
    if array.ndim < 2:
        yield array
        return
    size = max(1, _BLOCK // max(1, array[:1].size))
    for start in range(0, array.shape[0], size):
        yield array[start : start + size]


def _read_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    if npy.read_magic(member) != (1, 0):
        raise ValueError("draws of an unknown version")
    shape, _, dtype = npy.read_array_header_1_0(member)
    return shape, dtype


def _stored(path: str | os.PathLike[str], name: str) -> Stored:
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        return Stored(Path(path), name, *_read_header(member))


def load(path: str | os.PathLike[str]) -> Flat:
    """Read what `save` wrote, draws as `Stored`. Raises `PplError` if it isn't there or isn't a checkpoint of
    this format.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            flat: Flat = {
                name: _stored(path, name) if name.endswith(DRAWS) else file[name] for name in file.files
            }
        scalars = json.loads(str(flat.pop("scalars")))
    except FileNotFoundError:
        raise PplError(
            "there is no checkpoint to resume from",
            expected="a file that save_to= wrote",
            found=str(path),
            edit="resume=None",
        ) from None
    except _BROKEN as error:
        raise _no_checkpoint(path, error) from None
    if scalars.pop("format", None) != FORMAT:
        raise PplError("this checkpoint has another format", expected=f"format {FORMAT}", found=str(path))
    return {**flat, **scalars}


def _no_checkpoint(path: str | os.PathLike[str], error: Exception) -> PplError:
    return PplError(
        "this file is not a checkpoint", expected="an .npz saved by ppl", found=f"{path}: {error}"
    )


def check_same(saved: Flat, now: Flat) -> None:
    """Raise `PplError` if a setting of the run differs from the checkpoint's.

    >>> check_same({"settings.seed": 1}, {"settings.seed": 1})
    """
    for name, value in now.items():
        if name.startswith("settings.") and saved.get(name) != value:
            short = name.removeprefix("settings.")
            raise PplError(
                f"can't resume: `{short}` is not what the checkpoint was made with",
                expected=f"{short} = {saved.get(name)!r}",
                found=f"{short} = {value!r}",
                edit=f"{short}={saved.get(name)!r}, or begin anew without resuming",
            )
