"""Special functions in the native subset: scalar, to a few ulp, without branches, so that loops vectorise.

    polynomials     evaluation, in short chains of `muladd`
    exponential     exp, exp2, expm1, sigmoid
    logarithm       log, log1p, log2, log10, softplus, log_sigmoid, logaddexp, xlogy
    hyperbolic      tanh, sinh, cosh and their inverses
    trigonometry    asin, acos, atan, atan2; sin, cos, tan of the C library
    power           pow, rsqrt, reciprocal, hypot
    error_function  erf, erfc, erfcx, ndtr, log_ndtr
    quantiles       erfinv, ndtri
    gamma           lgamma, digamma, trigamma
    polygamma       higher derivatives, with loops
    bessel          i0, i0e, i1, i1e
    rounding        floor to floor_divide, maximum, minimum, sign

MATH: names of Python's `math` -> the function that stands for it in compiled code.
SPECIAL: operators of the graph compiler -> the function with torch's meaning, inlined where it is called.
CALLED: the same, but called: for single statements, where copies of hundreds of instructions cost compile time
and nothing vectorises.
How coefficients were found: `tests/compiler/native/minimax.py`.
"""

from __future__ import annotations

from typing import Any

from ppl.compiler.native import Native, native

from . import (
    bessel,
    error_function,
    exponential,
    gamma,
    hyperbolic,
    logarithm,
    polygamma,
    power,
    quantiles,
    rounding,
    single,
    trigonometry,
)

__all__ = ["CALLED", "MATH", "SPECIAL"]

Scalar = Native[..., Any]


def _named(room: Any, names: str) -> dict[str, Scalar]:
    return {name: getattr(room, name) for name in names.split()}


_SMOOTH: dict[str, Scalar] = {
    **_named(exponential, "exp exp2 expm1"),
    **_named(logarithm, "log log1p log2 log10"),
    **_named(hyperbolic, "tanh sinh cosh asinh acosh atanh"),
    **_named(trigonometry, "asin acos atan atan2"),
    **_named(power, "pow hypot"),
    **_named(error_function, "erf erfc"),
    **_named(gamma, "lgamma"),
}

MATH: dict[str, Scalar] = dict(_SMOOTH)

SPECIAL: dict[str, Scalar] = {
    **_SMOOTH,
    **_named(exponential, "sigmoid"),
    **_named(logarithm, "softplus log_sigmoid xlogy logaddexp"),
    **_named(trigonometry, "sin cos tan"),
    **_named(power, "rsqrt reciprocal"),
    **_named(error_function, "erfcx ndtr log_ndtr"),
    **_named(quantiles, "erfinv ndtri"),
    **_named(gamma, "digamma trigamma"),
    **_named(polygamma, "polygamma"),
    **_named(bessel, "i0 i0e i1 i1e"),
    **_named(rounding, "maximum minimum sign floor ceil round trunc remainder fmod floor_divide"),
}

CALLED: dict[str, Scalar] = {
    name: native(exact=True, inline=False)(function.python) for name, function in SPECIAL.items()
} | _named(
    single, "exp exp2 expm1 log log2 log10 log1p sigmoid softplus log_sigmoid xlogy logaddexp tanh pow"
)
