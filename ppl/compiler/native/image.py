"""Machine code as an image: bytes that run wherever they are put, so that loading them takes no linker.

`linker` makes one of LLVM's object file, once, when a module is compiled; `load` puts it into memory. An image is

    code           functions, and for each function of the C library they call a jump through its slot
    (next page)
    slots          addresses of these functions, filled in when the image is loaded
    constants      tables and literals

Its parts reach each other by distances, which are written in the code.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from functools import cache
from typing import Any, NamedTuple

from . import libm

POSSIBLE = sys.platform == "linux" and os.uname().machine == "x86_64" and sys.maxsize > 2**32
"""Is code put into memory here, other than by LLVM?"""

PAGE = 4096
SLOT = struct.Struct("<Q")


class NoImage(Exception):
    """Why an object file has none, or why it can't be loaded."""


class Image(NamedTuple):
    """executable: bytes up to the slots, whole pages. symbols: where exported functions begin. outside: the name
    of the function for each slot.
    """

    content: bytes
    executable: int
    symbols: dict[str, int]
    outside: list[str]


class Loaded(NamedTuple):
    """Code in memory: addresses of its functions, good as long as `keep` is referenced."""

    addresses: dict[str, int]
    keep: Any


def load(image: Image) -> Loaded:
    """Put an image into memory, linked with the C library. `NoImage` if this process can't."""
    addresses = [libm.address(name) for name in image.outside]
    if not all(addresses):
        raise NoImage(f"no `{image.outside[addresses.index(0)]}` in the C library")
    slots = b"".join(map(SLOT.pack, addresses))
    content, end = image.content, image.executable
    keep, start = mapped(content[:end] + slots + content[end + len(slots) :], end)
    return Loaded({name: start + place for name, place in image.symbols.items()}, keep)


def mapped(content: bytes, executable: int) -> tuple[mmap.mmap, int]:
    """Memory for code, and its address: the first bytes can be executed, those from the next page on only read.

    None of it is ever writable and executable at once. It is the system's again when the object is gone.
    """
    if not POSSIBLE:
        raise NoImage("another system or processor than Linux on x86-64")
    try:
        rights, private = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        keep = mmap.mmap(-1, len(content), private, rights)
        keep[:] = content
        start = ctypes.addressof(ctypes.c_char.from_buffer(keep))
        _protect(start, executable, mmap.PROT_READ | mmap.PROT_EXEC)
        if len(content) > executable:
            _protect(start + executable, len(content) - executable, mmap.PROT_READ)
    except OSError as error:
        raise NoImage(f"no memory for code: {error}") from None
    return keep, start


@cache
def _mprotect() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mprotect
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function


def _protect(start: int, size: int, rights: int) -> None:
    if _mprotect()(start, size, rights):
        raise OSError(ctypes.get_errno(), "mprotect")
