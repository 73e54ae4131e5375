"""The error function, the normal distribution function, and their logarithms and scaled forms.

All come from one approximation: erfcx(x) = exp(x²) erfc(x) for x >= 0 is a ratio of polynomials in x with
positive coefficients, so that nothing cancels; the exponential is taken of x² to twice the digits. Only near 0,
where 1 - erfc would cancel, does erf have a series of its own. Nothing branches.
"""

from __future__ import annotations

from ppl.compiler.native import bits, f64, from_bits, math, native, select

from .exponential import exp_scaled
from .logarithm import log_sum
from .polynomials import poly_11, poly_12

ROOT_HALF = 0.7071067811865476
ROOT_1_PI = 0.5641895835477563  # 1/sqrt(pi)
UPPER_HALF = ~0x7FFFFFF  # the 26 leading digits of a float: their square is exact
FAR = 1e8  # from here on erfcx(x) is 1/(x sqrt(pi)) to the last digit


@native(exact=True, inline=True)
def erfcx_positive(x: f64) -> f64:
    """exp(x²) erfc(x) for x >= 0, within 3 ulp (`erfcx` in tests/compiler/native/minimax.py: 1.4e-16)."""
    above = poly_11(
        x,
        1.0,
        2.4607209597709767,
        3.004272977370759,
        2.3611982466000287,
        1.3151007207217138,
        0.5421653816550003,
        0.16836818302051262,
        0.03935208725972884,
        0.006787775772711866,
        0.0008243916368938479,
        6.363349158914896e-05,
        2.3730546474472437e-06,
    )
    below = poly_12(
        x,
        1.0,
        3.589100126866489,
        6.054138789146766,
        6.355714982175289,
        4.632528850642208,
        2.474293216225618,
        0.9951126580013838,
        0.3043839502866622,
        0.07047825360587617,
        0.012087413021028087,
        0.0014632991963909757,
        0.00011278742721375075,
        4.206129848277099e-06,
    )
    far = x > FAR
    return select(far, ROOT_1_PI, above) / select(far, x, below)


@native(exact=True, inline=True)
def erf_small(x: f64) -> f64:
    """erf(x) for |x| <= 1, within 2 ulp: x times a polynomial in x² (`erf` in minimax.py: 2e-17).

    1 is taken from the first coefficient, so that what is rounded is a small part.
    """
    series = poly_12(
        x * x,
        0.1283791670955126,
        -0.3761263890318375,
        0.11283791670954879,
        -0.026866170645076792,
        0.0052239776248180145,
        -0.000854832698083379,
        0.0001205533111164271,
        -1.4925595266831182e-05,
        1.6461000484121368e-06,
        -1.6350312701054695e-07,
        1.4659775274047436e-08,
        -1.1372848856791674e-09,
        5.957176147748911e-11,
    )
    return x + x * series


@native(exact=True, inline=True)
def exp_square(x: f64, factor: f64) -> f64:
    """exp(factor x²) for |x| <= 40 and factor 1, -1 or -1/2, within 1 ulp: digits of x² beyond the 53rd count."""
    head = from_bits(bits(x) & UPPER_HALF)
    return exp_scaled(factor * (head * head), factor * ((x - head) * (x + head)), 0)


@native(exact=True, inline=True)
def erf(x: f64) -> f64:
    """Error function, 2/sqrt(pi) times the integral of exp(-t²) from 0 to x, within 2 ulp.

    >>> erf(0.0), erf(10.0)
    (0.0, 1.0)
    """
    a = abs(x)
    a = select(a > 6.0, 6.0, a)  # erf is 1 from 5.93 on
    tail = math.copysign(1.0 - exp_square(a, -1.0) * erfcx_positive(a), x)
    return select(a < 1.0, erf_small(x), tail)


@native(exact=True, inline=True)
def erfc(x: f64) -> f64:
    """1 - erf(x), within 5 ulp, without cancellation.

    >>> erfc(0.0), erfc(-10.0)
    (1.0, 2.0)
    """
    a = abs(x)
    a = select(a > 28.0, 28.0, a)  # erfc is 0 from 27.3 on
    tail = exp_square(a, -1.0) * erfcx_positive(a)
    return select(a < 0.5, 1.0 - erf_small(x), select(x < 0.0, 2.0 - tail, tail))


@native(exact=True, inline=True)
def erfcx(x: f64) -> f64:
    """exp(x²) erfc(x), within 5 ulp; inf below -26.7.

    >>> erfcx(0.0)
    1.0
    """
    a = abs(x)
    tail = erfcx_positive(a)
    return select(x < 0.0, 2.0 * exp_square(select(a > 28.0, 28.0, a), 1.0) - tail, tail)


@native(exact=True, inline=True)
def ndtr(x: f64) -> f64:
    """Distribution function of the standard normal, within 5 ulp.

    >>> ndtr(0.0)
    0.5
    """
    a = abs(x)
    a = select(a > 39.0, 39.0, a)  # 0 below -38.6
    tail = 0.5 * (exp_square(a, -0.5) * erfcx_positive(a * ROOT_HALF))
    near = 0.5 + 0.5 * erf_small(x * ROOT_HALF)
    return select(a < 0.7, near, select(x > 0.0, 1.0 - tail, tail))


@native(exact=True, inline=True)
def log_ndtr(x: f64) -> f64:
    """Logarithm of the standard normal's distribution function, to 1e-15 of itself, in both tails.

    For x < 0 it is -x²/2 + log(erfcx(-x/sqrt(2))/2), else log(1 - ndtr(-x)).

    >>> log_ndtr(-1e10)
    -5e+19
    """
    a = abs(x)
    scaled = 0.5 * erfcx_positive(a * ROOT_HALF)
    upper = scaled * exp_square(select(a > 39.0, 39.0, a), -0.5)
    rest = 1.0 - upper
    lost = (1.0 - rest) - upper
    negative = x < 0.0
    logarithm = log_sum(select(negative, scaled, rest), select(negative, 0.0, lost))
    return logarithm - select(negative, 0.5 * x * x, 0.0)
