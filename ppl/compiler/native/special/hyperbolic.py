"""Hyperbolic functions and their inverses, through expm1 and log1p. Nothing branches."""

from __future__ import annotations

from ppl.compiler.native import f64, math, native, select

from .exponential import LN2, exp_scaled, expm1
from .logarithm import log1p


@native(exact=True, inline=True)
def tanh(x: f64) -> f64:
    """Hyperbolic tangent, within 3 ulp: t/(t + 2) with t = exp(2 |x|) - 1.

    >>> tanh(-1e300)
    -1.0
    """
    a = abs(x)
    t = expm1(2.0 * select(a > 20.0, 20.0, a))
    return math.copysign(t / (t + 2.0), x)


@native(exact=True, inline=True)
def sinh(x: f64) -> f64:
    """Hyperbolic sine, within 3 ulp.

    >>> sinh(1e-300)
    1e-300
    """
    a = abs(x)
    t = expm1(select(a > 30.0, 30.0, a))
    near = 0.5 * (t + t / (t + 1.0))
    return math.copysign(select(a > 30.0, exp_scaled(a, -0.0, -1), near), x)


@native(exact=True, inline=True)
def cosh(x: f64) -> f64:
    """Hyperbolic cosine, within 2 ulp.

    >>> cosh(0.0)
    1.0
    """
    e = exp_scaled(abs(x), -0.0, -1)
    return e + 0.25 / e


@native(exact=True, inline=True)
def asinh(x: f64) -> f64:
    """Inverse hyperbolic sine, within 4 ulp: log(1 + a + a²/(1 + sqrt(1 + a²))) for a = |x|.

    >>> asinh(1e-300)
    1e-300
    """
    a = abs(x)
    large = a > 1e17
    b = select(large, 1.0, a)
    t = b + b * b / (1.0 + math.sqrt(1.0 + b * b))
    result = log1p(select(large, a, t)) + select(large, LN2, 0.0)
    return math.copysign(result, x)


@native(exact=True, inline=True)
def acosh(x: f64) -> f64:
    """Inverse hyperbolic cosine, within 4 ulp; nan below 1.

    >>> acosh(1.0)
    0.0
    """
    large = x > 1e17
    t = select(large, 2.0, x) - 1.0
    inside = t >= 0.0
    t = select(inside, t, 0.0)
    result = log1p(select(large, x, t + math.sqrt(2.0 * t + t * t))) + select(large, LN2, 0.0)
    return select(inside, result, math.nan)


@native(exact=True, inline=True)
def atanh(x: f64) -> f64:
    """Inverse hyperbolic tangent, within 4 ulp; infinite at ±1, nan beyond.

    >>> atanh(1.0)
    inf
    """
    a = abs(x)
    inside = a < 1.0
    b = select(inside, a, 0.5)
    result = 0.5 * log1p(2.0 * b / (1.0 - b))
    return math.copysign(select(inside, result, select(a == 1.0, math.inf, math.nan)), x)
