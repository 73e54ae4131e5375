"""Order, sign, rounding and remainders, as torch has them."""

from __future__ import annotations

from ppl.compiler.native import f64, math, native, round_even, select


@native(exact=True, inline=True)
def maximum(a: f64, b: f64) -> f64:
    """The larger; nan if one is nan.

    >>> maximum(1.0, math.nan)
    nan
    """
    return select((a > b) | (a != a), a, b)


@native(exact=True, inline=True)
def minimum(a: f64, b: f64) -> f64:
    """The smaller; nan if one is nan.

    >>> minimum(1.0, math.nan)
    nan
    """
    return select((a < b) | (a != a), a, b)


@native(exact=True, inline=True)
def sign(x: f64) -> f64:
    """-1, 0 or 1; 0 for nan.

    >>> sign(-3.0)
    -1.0
    """
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, 0.0))


@native(exact=True, inline=True)
def floor(x: f64) -> f64:
    """The largest integer not above x."""
    return math.floor(x)


@native(exact=True, inline=True)
def ceil(x: f64) -> f64:
    """The smallest integer not below x."""
    return math.ceil(x)


@native(exact=True, inline=True)
def trunc(x: f64) -> f64:
    """The integer part of x, towards 0."""
    return math.trunc(x)


@native(exact=True, inline=True)
def round(x: f64) -> f64:
    """The nearest integer, halves to the even one.

    >>> round(2.5)
    2.0
    """
    return round_even(x)


@native(exact=True, inline=True)
def fmod(a: f64, b: f64) -> f64:
    """a - b trunc(a/b), exactly: the remainder with the sign of a.

    >>> fmod(-7.0, 3.0)
    -1.0
    """
    return math.fmod(a, b)


@native(exact=True, inline=True)
def remainder(a: f64, b: f64) -> f64:
    """a - b floor(a/b): the remainder with the sign of b, as Python's %.

    >>> remainder(-7.0, 3.0)
    2.0
    """
    r = math.fmod(a, b)
    return select((r != 0.0) & ((r < 0.0) != (b < 0.0)), r + b, r)


@native(exact=True, inline=True)
def floor_divide(a: f64, b: f64) -> f64:
    """floor(a/b) of the exact quotient, as Python's //; a/b where b is 0.

    >>> floor_divide(-7.0, 3.0)
    -3.0
    """
    zero = b == 0.0
    divisor = select(zero, 1.0, b)
    r = math.fmod(a, divisor)
    quotient = (a - r) / divisor
    quotient = select((r != 0.0) & ((r < 0.0) != (divisor < 0.0)), quotient - 1.0, quotient)
    below = math.floor(quotient)
    nearest = select(quotient - below > 0.5, below + 1.0, below)
    result = select(quotient == 0.0, math.copysign(0.0, a / divisor), nearest)
    return select(zero, a * math.copysign(math.inf, b), result)
