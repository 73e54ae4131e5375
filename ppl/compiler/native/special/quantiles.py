"""Inverses of the error function and of the normal distribution function.

Near the middle a ratio of polynomials in x². In the tails a start to 8e-8 as a ratio of polynomials in
s = sqrt(-log q), and one step of Halley's method, which cubes the error. Nothing branches.
"""

from __future__ import annotations

from ppl.compiler.native import f64, math, native, select

from .error_function import erfcx_positive
from .exponential import exp
from .logarithm import log
from .polynomials import poly_6

ROOT_2 = 1.4142135623730951
HALF_ROOT_PI = 0.886226925452758


@native(exact=True, inline=True)
def erfinv_middle(x: f64) -> f64:
    """erfinv(x) for |x| <= 1/2 (`erfinv` in tests/compiler/native/minimax.py: 7e-17)."""
    t = x * x
    above = poly_6(
        t,
        0.886226925452758,
        -2.584377627800566,
        2.8320607858837357,
        -1.4364461692965567,
        0.3321450332631974,
        -0.028640732984121165,
        0.0004324086392646862,
    )
    below = poly_6(
        t,
        1.0,
        -3.1779572629170287,
        3.883693925773671,
        -2.2778593543426338,
        0.6492126611815453,
        -0.07915160925371666,
        0.002729511641131691,
    )
    return x * (above / below)


@native(exact=True, inline=True)
def erfc_inverse(q: f64) -> f64:
    """z > 0 with erfc(z) = q for 0 < q <= 1/2, subnormal q included."""
    exponent = -log(q)
    s = math.sqrt(exponent)
    above = poly_6(  # z/s in 1/s (`erfc_inverse` in minimax.py), here in s: the coefficients backwards
        s,
        0.04756766408364273,
        33.18219418657948,
        71.2568528562416,
        99.57338359460441,
        96.93222740667827,
        22.44280597407067,
        1.0000469521355089,
    )
    below = poly_6(
        s,
        38.0371327585728,
        77.40513296448856,
        140.32820056911706,
        131.02969962882858,
        99.29266504035128,
        22.45146934657014,
        1.0,
    )
    z = s * (above / below)
    e = erfcx_positive(z)
    excess = e * exp(exponent - z * z) - 1.0  # erfc(z)/q - 1
    newton = HALF_ROOT_PI * e * excess / (1.0 + excess)
    return z + newton / (1.0 - newton * z)


@native(exact=True, inline=True)
def erfinv(x: f64) -> f64:
    """Inverse of erf, to 1e-15 of itself; infinite at ±1, nan beyond.

    >>> erfinv(0.0), erfinv(-1.0)
    (0.0, -inf)
    """
    a = abs(x)
    middle = a <= 0.5
    tail = erfc_inverse(select((a > 0.5) & (a < 1.0), 1.0 - a, 0.5))
    edge = select(a < 1.0, tail, select(a == 1.0, math.inf, math.nan))
    return select(middle, erfinv_middle(x), math.copysign(edge, x))


@native(exact=True, inline=True)
def ndtri(p: f64) -> f64:
    """Inverse of the standard normal's distribution function, to 1e-15 of itself; nan outside [0, 1].

    >>> ndtri(0.5), ndtri(0.0)
    (0.0, -inf)
    """
    upper = p > 0.5
    q = 2.0 * select(upper, 1.0 - p, p)
    tail = erfc_inverse(select((q > 0.0) & (q < 0.5), q, 0.5))
    edge = select(q > 0.0, tail, select(q == 0.0, math.inf, math.nan))
    middle = erfinv_middle(select(q >= 0.5, 2.0 * p - 1.0, 0.0))
    return ROOT_2 * select(q >= 0.5, middle, select(upper, edge, -edge))
