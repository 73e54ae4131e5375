"""The subset's own functions, with their meaning in Python. The compiler knows them by these objects."""

from __future__ import annotations

import math
import struct
from typing import TypeVar

from .libm import function
from .types import Floats, Ints, f64, i64

T = TypeVar("T", bool, int, float)

# Those that are values; `short_range` says what a loop runs over.
VALUES = ("select", "bits", "from_bits", "wrap", "round_even", "muladd", "as_floats", "as_ints")

_LONGEST = 1 << 40  # words an address may be indexed to; only touched memory counts


def select(condition: bool, a: T, b: T) -> T:
    """a where the condition holds, else b; both are evaluated, so that a loop around it vectorises."""
    return a if condition else b


def bits(x: f64) -> i64:
    """The 64 bits of x, as a signed integer.

    >>> hex(bits(1.0))
    '0x3ff0000000000000'
    """
    return struct.unpack("<q", struct.pack("<d", x))[0]


def from_bits(i: i64) -> f64:
    """The float whose 64 bits are those of i (of its lowest 64 in Python, where integers are longer).

    >>> from_bits(0x3FF0000000000000)
    1.0
    """
    return struct.unpack("<d", struct.pack("<Q", int(i) & 0xFFFFFFFFFFFFFFFF))[0]


def wrap(i: i64) -> i64:
    """i modulo 2⁶⁴, signed: what compiled arithmetic gives by itself.

    >>> wrap(2**63) == -(2**63)
    True
    """
    return ((int(i) + (1 << 63)) & 0xFFFFFFFFFFFFFFFF) - (1 << 63)


def round_even(x: f64) -> f64:
    """The nearest integer as a float, halves to the even one.

    >>> round_even(2.5), round_even(3.5)
    (2.0, 4.0)
    """
    return math.copysign(float(round(x)), x) if math.isfinite(x) else x


def muladd(x: f64, y: f64, z: f64) -> f64:
    """x y + z, rounded once where the machine has an instruction for that, as all but old ones do: one operation
    instead of two. Python always rounds once.

    >>> muladd(2.0, 3.0, 1.0)
    7.0
    """
    return float(function("fma")(x, y, z))


def short_range(stop: i64) -> range:
    """range(stop) for an inner loop of tens of steps: LLVM makes vectors of it, one at a time, where otherwise it
    would write all steps out and make vectors of the loop around it, or run too few of them number by number.

    >>> sum(i for i in short_range(5))
    10
    """
    return range(stop)


def as_floats(address: i64) -> Floats:
    """The float64 values from a machine address on. Nothing is checked, not even in Python."""
    import ctypes

    import numpy as np

    return np.ctypeslib.as_array((ctypes.c_double * _LONGEST).from_address(int(address)))


def as_ints(address: i64) -> Ints:
    """The int64 values from a machine address on. Nothing is checked, not even in Python."""
    import ctypes

    import numpy as np

    return np.ctypeslib.as_array((ctypes.c_int64 * _LONGEST).from_address(int(address)))
