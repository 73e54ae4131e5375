"""A posterior as a folder: an `.npy` file for every array, and one JSON text that says what they are.

Draws go straight to mapped files and are read from them, so they may be larger than memory. The JSON text is
written last: a folder without it is of a run that didn't come to its end. Nothing in a folder is ever run.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.results.arrays import NamedArrays
from ppl.results.encode import from_json, plain_dtype, to_json
from ppl.results.export import FIXED_GROUPS, group_arrays
from ppl.results.mapped import create, finish, opened
from ppl.results.store import FileError, facts_of, loose_arrays, put_together

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior, Predictor

INDEX = "posterior.json"
_VERSION = 1
_LOOSE = "ppl"
"""The group of what ArviZ has no place for: labels of dims, weights, params."""


class Folder:
    """Where draws go: files of a folder that holds none yet.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = Folder(vacant(place + "/run"))
    ...     folder.array("posterior", "x", (1, 3), np.float64)[:] = 2.0
    ...     x = folder.sealed("posterior")["x"]
    >>> x.tolist(), x.flags.writeable
    ([[2.0, 2.0, 2.0]], False)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, dict[str, str]] = {}  # group → name → file
        self._open: dict[str, dict[str, np.ndarray]] = {}

    def require(self, size: int, what: str) -> None:
        """Refuse what the disk has no room for. Arguments: `size` in bytes, `what` in words."""
        whole = self.path.absolute()
        there = next(p for p in (whole, *whole.parents) if p.exists())
        free = shutil.disk_usage(there).free
        if size > free:
            raise FileError(
                "there is no room on the disk for the draws",
                expected=f"{_in_words(size)} free for {what}",
                found=f"{_in_words(free)} free at {there}",
                edit="draws_to=a folder on a larger disk, keep=[…fewer sites…], or fewer draws",
            )

    def array(self, group: str, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An array of zeros to fill, mapped from a new file. Errors: `FileError` where that can't be made."""
        files = self._files.setdefault(group, {})
        file = _file_name(group, name, {f for each in self._files.values() for f in each.values()})
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            array = create(self.path / file, shape, dtype)
        except OSError as error:
            raise FileError(
                f"can't make room for `{name}` in {self.path}",
                expected=f"{_in_words(int(np.prod(shape)) * np.dtype(dtype).itemsize)} on the disk",
                found=str(error),
                edit="draws_to=another folder, on a disk with more room",
            ) from error
        files[name] = file
        self._open.setdefault(group, {})[name] = array
        return array

    def sealed(self, group: str) -> NamedArrays:
        """What was written to a group, now on the disk, as read-only maps."""
        self._finish(group)
        return NamedArrays({n: opened(self.path / f) for n, f in self._files.get(group, {}).items()})

    def _finish(self, group: str) -> None:
        for array in self._open.pop(group, {}).values():
            finish(array)

    def keep(self, posterior: Posterior) -> None:
        """Write what isn't here yet of a posterior, but for its log likelihood, and then the index."""
        for group, arrays in (*group_arrays(posterior, False).items(), (_LOOSE, loose_arrays(posterior))):
            for name, array in arrays.items():
                if name not in self._files.get(group, {}):
                    self.array(group, name, array.shape, array.dtype)[...] = array
            self._finish(group)
        index = {
            "version": _VERSION,
            "chains": posterior.num_chains,
            "draws": posterior.num_draws,
            "groups": self._files,
            **facts_of(posterior),
        }
        draft = self.path / f".{INDEX}.{os.getpid()}"
        draft.write_text(to_json(index), encoding="utf-8")
        os.replace(draft, self.path / INDEX)

    def discard(self) -> None:
        """Take the files back: nothing was drawn."""
        self._open.clear()
        for files in self._files.values():
            for file in files.values():
                (self.path / file).unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


class Memory:
    """Where draws go when there is no folder: the same interface, arrays in memory."""

    def __init__(self) -> None:
        self._arrays: dict[str, NamedArrays] = {}

    def require(self, size: int, what: str) -> None:
        """Memory is not checked."""

    def array(self, group: str, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        return self._arrays.setdefault(group, NamedArrays()).setdefault(name, np.zeros(shape, dtype))

    def sealed(self, group: str) -> NamedArrays:
        return self._arrays.pop(group, NamedArrays())

    def keep(self, posterior: Posterior) -> None:
        """It is in memory."""

    def discard(self) -> None:
        self._arrays.clear()


def vacant(path: Any) -> Path:
    """A folder that draws may go to: one that isn't there yet, or holds no arrays.

    Errors: `FileError` for a file, for a folder with draws in it, for what is no path.
    """
    try:
        folder = Path(path)
    except TypeError:
        raise FileError(
            "draws_to must be a folder",
            expected="a path, of a folder that may not exist yet",
            found=f"{type(path).__name__}: {path!r}"[:80],
            edit='draws_to="draws"',
        ) from None
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise FileError(
                f"draws can't go to {folder}",
                expected="a folder (each array gets a file in it)",
                found=f"{part} is a file",
                edit=f"draws_to={str(part.with_name(part.name + '-draws'))!r}",
            )
    if folder.is_dir() and ((folder / INDEX).exists() or any(folder.glob("*.npy"))):
        raise FileError(
            f"{folder} holds draws already, and they are not overwritten",
            expected="a folder without draws",
            found=_contents(folder),
            edit=f"draws_to={str(_another(folder))!r}, or delete the folder first",
        )
    return folder


def load_folder(path: Path, predictor: Predictor | None = None) -> Posterior:
    """The posterior in a folder; draws are mapped, and read when they are looked at.

    Errors: `FileError` for a folder that isn't ours, isn't whole or is from a later version.
    """
    if (path / "unconstrained.npy").exists() and not (path / INDEX).exists():
        raise FileError(
            f"the run that wrote {path} didn't come to its end",
            expected=f"{INDEX}, which is written last",
            found=_contents(path),
            edit="ppl.infer(…, resume=checkpoint, draws_to=another folder) if there was a save_to=checkpoint",
        )
    try:
        index = from_json((path / INDEX).read_text(encoding="utf-8"))
        if int(index["version"]) > _VERSION:
            raise FileError(
                f"{path} was written by a later version of ppl",
                expected=f"format {_VERSION}",
                found=f"format {index['version']}",
                edit="pip install --upgrade ppl",
            )
        groups = {group: _read(path, group, files) for group, files in index["groups"].items()}
        groups = {group: arrays for group, arrays in groups.items() if "unconstrained" not in group}
        return put_together(groups, groups.pop(_LOOSE, NamedArrays()), index, predictor)
    except FileError:
        raise
    except Exception as error:
        raise FileError(
            f"{path} isn't a posterior that ppl wrote, or isn't whole",
            expected=f"the folder of ppl.infer(…, draws_to=folder), with its {INDEX}",
            found=f"{type(error).__name__}: {error}"[:200],
            edit="restore the folder as it was written, or draw again",
        ) from error


def _read(path: Path, group: str, files: Mapping[str, str]) -> NamedArrays:
    arrays = NamedArrays()
    for name, file in files.items():
        if Path(file).name != file or not file.endswith(".npy"):
            raise FileError(
                f"{path} names a file outside of it",
                expected="file names",
                found=file,
                edit="don't open files of unknown origin",
            )
        array = opened(path / file)
        plain_dtype(array.dtype.str)
        arrays[name] = np.array(array) if group in (*FIXED_GROUPS, _LOOSE) else np.asarray(array)
    return arrays


def _file_name(group: str, name: str, taken: set[str]) -> str:
    """`posterior.theta.npy`: legal everywhere, and unlike the others where `A` and `a` are one file."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:80]
    stem = f"{group}.{plain}" if plain else group
    used = {file.lower() for file in taken}
    number = 1
    while (file := f"{stem}{f'~{number}' if number > 1 else ''}.npy").lower() in used:
        number += 1
    return file


def _contents(folder: Path) -> str:
    try:
        index = from_json((folder / INDEX).read_text(encoding="utf-8"))
        return f"{index['chains']} × {index['draws']} draws of {index['attrs'].get('model', 'a model')}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{len(list(folder.glob('*.npy')))} arrays of a run that didn't come to its end"


def _another(folder: Path) -> Path:
    number = 2
    folder = folder if folder.name else Path("draws")
    while (other := folder.with_name(f"{folder.name}-{number}")).exists():
        number += 1
    return other


def _in_words(size: int) -> str:
    """
    >>> _in_words(400_000_000)
    '381 MiB'
    """
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size / 2**10:.3g} KiB"
