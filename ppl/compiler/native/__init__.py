"""Native functions: a small typed subset of Python, compiled with LLVM and cached on disk.

A function of the subset is a readable Python function that runs as plain Python on numpy arrays, and that
`build` turns into machine code. Special functions, sampling loops and the code generated for a model are all
written in it.

    types, builtins, math      what annotations and the subset's own functions mean, in Python too
    function, origin           `@native`, `from_source`; where a function's text comes from
    emit, frame                a function as LLVM IR in SSA form, a module of several
    statements, loops; values with arithmetic, conditions, arrays, calls, intrinsics
                               what writes each kind of statement and expression
    known, prelude, libm, special_table
                               what the compiler knows by name, and where `math.exp` goes
    refusals, signatures       errors; annotations as types
    library, compiled          `build`, and how Python calls what it gives
    machine                    LLVM, imported when there is something to compile
    linker, image              LLVM's object file made into bytes that run anywhere, and these put into memory
    keys, processor, cache     what code depends on: texts, this machine; code kept on disk

Arrays handed to a function must not overlap if one of them is written to. Loops become vector code where they
are sums or elementwise: write `total += select(c, x, 0.0)` rather than an `if`, and sums in fast functions.
"""

from __future__ import annotations

from . import math
from .builtins import as_floats, as_ints, bits, from_bits, muladd, round_even, select, short_range, wrap
from .compiled import Compiled
from .function import Native, from_source, native
from .library import Library, build
from .refusals import NativeError
from .types import Density, Floats, Ints, f64, i64

__all__ = [
    "native", "Native", "from_source", "build", "Library", "Compiled", "NativeError",
    "f64", "i64", "Floats", "Ints", "Density",
    "bits", "from_bits", "wrap", "select", "round_even", "muladd", "short_range", "as_floats", "as_ints", "math",
]  # fmt: skip
