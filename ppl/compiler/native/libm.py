"""The C library's mathematics: functions by name, for Python mode and for the symbols of compiled code."""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
from functools import cache
from typing import Any

# Tried in this order: `find_library` starts a compiler on Linux, so it is the last resort.
_FILES = {
    "linux": ("libm.so.6", None),
    "darwin": ("libSystem.dylib", None),
    "win32": ("ucrtbase", "msvcrt"),
}

# How many doubles each function takes.
_OF_ONE = """exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan asin acos atan sinh cosh tanh asinh
acosh atanh erf erfc lgamma tgamma floor ceil trunc"""
ARITY = dict.fromkeys(_OF_ONE.split(), 1) | dict.fromkeys(("pow", "atan2", "hypot", "fmod"), 2) | {"fma": 3}


@cache
def _library() -> ctypes.CDLL:
    for name in _FILES.get(sys.platform, (None,)):
        try:
            found = ctypes.CDLL(name)
            found.exp  # noqa: B018 (is it there?)
        except (OSError, AttributeError):
            continue
        return found
    return ctypes.CDLL(ctypes.util.find_library("m"))


@cache
def function(name: str) -> Any:
    """The C function `double name(double, ...)`, as a ctypes function that returns inf and nan as C does."""
    found = _library()[name]
    found.restype = ctypes.c_double
    found.argtypes = [ctypes.c_double] * ARITY[name]
    return found


@cache
def address(name: str) -> int:
    """The address of a symbol of the C library; 0 where it has none."""
    for library in (_library, lambda: ctypes.CDLL(None)):
        try:
            return ctypes.cast(library()[name], ctypes.c_void_p).value or 0
        except (AttributeError, OSError, TypeError):
            continue
    return 0
