"""Arrays that live in files: `.npy` files mapped into memory, whose pages are given back after use."""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system answers when a file can't have the room it asks for."""


def create(path: Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A new `.npy` file of zeros, mapped for writing. An array without elements is an ordinary one.

    The room on the disk is taken now where the system can do so: a mapped page that finds no room later would
    end the process.

    Errors: OSError where there is no room, or a file already.
    """
    path.touch(exist_ok=False)
    array: np.ndarray
    if math.prod(shape) == 0:
        array = np.zeros(shape, dtype)
        np.save(path, array)
        return array
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
    try:
        with open(path, "r+b") as file:
            _take_room(file, path.stat().st_size)
    except OSError:
        path.unlink()
        raise
    return array


def beside(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that live where `array` does: in memory, or in a file of the same folder that has no name and goes when
    they go. Errors: OSError where there is no room.

    >>> beside(np.ones(3), (2,))
    array([0., 0.])
    """
    mapped = _map_of(array)
    if mapped is None or mapped.filename is None:
        return np.zeros(shape, array.dtype)
    with tempfile.TemporaryFile(dir=Path(mapped.filename).parent) as file:
        _take_room(file, math.prod(shape) * array.dtype.itemsize)
        return np.memmap(file, array.dtype, "w+", shape=shape)


def _take_room(file: IO[bytes], size: int) -> None:
    """Have the system set the room aside, where it can."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in _FULL:
                raise


def opened(path: Path) -> np.ndarray:
    """A `.npy` file, mapped for reading. Nothing in it is ever run.

    Errors: OSError, ValueError for what is no array of plain values.
    """
    array: np.ndarray
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an array without elements can't be mapped
        array = np.load(path, allow_pickle=False)
        if array.size:
            raise
    return array


def finish(array: np.ndarray) -> None:
    """Write a mapped array to the disk and give its pages back."""
    mapped = _map_of(array)
    if mapped is not None:
        mapped.flush()
    release(array)


def release(array: np.ndarray) -> None:
    """Tell the system that the pages of a mapped array aren't needed now: they leave this process's memory,
    and come back from the file when they are touched. Nothing is lost, written or waited for. Other arrays
    are left alone.

    >>> release(np.zeros(3))
    """
    mapped = _map_of(array)
    pages = getattr(mapped, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> np.memmap | None:
    """The map an array is a view of, if what is written to it goes to the file (what is written to a private
    copy would be lost with its pages).
    """
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and getattr(array, "_mmap", None) is not None:
            return array if array.mode in ("r", "r+", "w+") else None
        array = array.base
    return None
