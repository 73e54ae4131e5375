"""Native functions: a small typed subset of Python, compiled with LLVM and cached on disk.

A function of the subset is a readable Python function that runs as plain Python on numpy arrays, and that
`build` turns into machine code. Special functions, sampling loops and the code generated for a model are all
written in it.
"""

from __future__ import annotations

from . import math
from .builtins import as_floats, as_ints, bits, from_bits, round_even, select, wrap
from .compiled import Compiled
from .function import Native, from_source, native
from .library import Library, build
from .refusals import NativeError
from .types import Density, Floats, Ints, f64, i64

__all__ = [
    "native", "Native", "from_source", "build", "Library", "Compiled", "NativeError",
    "f64", "i64", "Floats", "Ints", "Density",
    "bits", "from_bits", "wrap", "select", "round_even", "as_floats", "as_ints", "math",
]  # fmt: skip
