"""The functions of `math` as C has them: inf and nan where Python raises, floats from floor, ceil and trunc.

The compiler reads this module and the standard library's `math` alike; they differ only when a function of
the subset runs as plain Python.

>>> from ppl.compiler.native import math
>>> math.log(0.0), math.exp(1000.0), math.floor(2.5)
(-inf, inf, 2.0)
"""

from __future__ import annotations

import math as python

from .libm import function

inf = python.inf
nan = python.nan
pi = python.pi
e = python.e
tau = python.tau


def exp(x: float) -> float:
    return function("exp")(x)


def exp2(x: float) -> float:
    return function("exp2")(x)


def expm1(x: float) -> float:
    return function("expm1")(x)


def log(x: float) -> float:
    return function("log")(x)


def log2(x: float) -> float:
    return function("log2")(x)


def log10(x: float) -> float:
    return function("log10")(x)


def log1p(x: float) -> float:
    return function("log1p")(x)


def sqrt(x: float) -> float:
    return function("sqrt")(x)


def cbrt(x: float) -> float:
    return function("cbrt")(x)


def sin(x: float) -> float:
    return function("sin")(x)


def cos(x: float) -> float:
    return function("cos")(x)


def tan(x: float) -> float:
    return function("tan")(x)


def asin(x: float) -> float:
    return function("asin")(x)


def acos(x: float) -> float:
    return function("acos")(x)


def atan(x: float) -> float:
    return function("atan")(x)


def sinh(x: float) -> float:
    return function("sinh")(x)


def cosh(x: float) -> float:
    return function("cosh")(x)


def tanh(x: float) -> float:
    return function("tanh")(x)


def asinh(x: float) -> float:
    return function("asinh")(x)


def acosh(x: float) -> float:
    return function("acosh")(x)


def atanh(x: float) -> float:
    return function("atanh")(x)


def erf(x: float) -> float:
    return function("erf")(x)


def erfc(x: float) -> float:
    return function("erfc")(x)


def lgamma(x: float) -> float:
    return function("lgamma")(x)


def gamma(x: float) -> float:
    return function("tgamma")(x)


def pow(x: float, y: float) -> float:
    return function("pow")(x, y)


def atan2(y: float, x: float) -> float:
    return function("atan2")(y, x)


def hypot(x: float, y: float) -> float:
    return function("hypot")(x, y)


def fmod(x: float, y: float) -> float:
    return function("fmod")(x, y)


def floor(x: float) -> float:
    return function("floor")(x)


def ceil(x: float) -> float:
    return function("ceil")(x)


def trunc(x: float) -> float:
    return function("trunc")(x)


def fabs(x: float) -> float:
    return python.fabs(x)


def copysign(x: float, y: float) -> float:
    return python.copysign(x, y)


def isnan(x: float) -> bool:
    return python.isnan(x)


def isinf(x: float) -> bool:
    return python.isinf(x)


def isfinite(x: float) -> bool:
    return python.isfinite(x)


def fma(x: float, y: float, z: float) -> float:
    """x y + z, rounded once."""
    return function("fma")(x, y, z)
