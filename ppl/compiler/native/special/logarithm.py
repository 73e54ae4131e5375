"""log and its relatives: x = 2ᵏ (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), and log(1 + f) by its series in
s = f/(2 + f), half the argument of atanh.

k is split off and turned into a float by integer arithmetic on the bits. Nothing branches.
"""

from __future__ import annotations

from ppl.compiler.native import bits, f64, from_bits, i64, math, muladd, native, select

from .exponential import LN2_HIGH, LN2_LOW, exp_falling
from .polynomials import poly_6, poly_9

ONE = 0x3FF0000000000000  # bits of 1
ROOT_HALF = 0x3FE6A09E667F3BCD  # bits of sqrt(1/2)
FRACTION = 0x000FFFFFFFFFFFFF
TWO_52 = 0x4330000000000000  # bits of 2⁵²: with a small integer in the lowest bits, 2⁵² plus that integer
LEAST_NORMAL = 2.0**-1022
TWO_54 = 2.0**54
HUGE = 2.0**1000
BIASED = 2.0**52 + 1023.0
LOG10_E = 0.4342944819032518
LOG10_2_HIGH = 0.30102999566383914  # 42 bits
LOG10_2_LOW = 1.42050232272661e-13
LOG2_E = 1.4426950408889634


@native(exact=True, inline=True)
def split(x: f64) -> i64:
    """The bits of x = 2ᵏ z, a normal number, moved so that k and z with sqrt(1/2) <= z < sqrt(2) fall apart."""
    return bits(x) + (ONE - ROOT_HALF)


@native(exact=True, inline=True)
def exponent(shifted: i64) -> f64:
    """k of what was `split`."""
    return from_bits((shifted >> 52) | TWO_52) - BIASED


@native(exact=True, inline=True)
def fraction(shifted: i64) -> f64:
    """z of what was `split`."""
    return from_bits((shifted & FRACTION) + ROOT_HALF)


@native(exact=True, inline=True)
def normalised(x: f64) -> f64:
    """x, or 2⁵⁴ x where x is subnormal."""
    return select(x < LEAST_NORMAL, x * TWO_54, x)


@native(exact=True, inline=True)
def normalised_exponent(x: f64, shifted: i64) -> f64:
    """The exponent of x, of which `normalised` was split."""
    return from_bits((shifted >> 52) | TWO_52) - select(x < LEAST_NORMAL, BIASED + 54.0, BIASED)


@native(exact=True, inline=True)
def log1p_reduced(f: f64, k: f64, high: f64, low: f64) -> f64:
    """k (high + low) + log(1 + f) for 1 + f from sqrt(1/2) to sqrt(2); k `high` is exact.

    The series: (log((1 + s)/(1 - s)) - 2 s)/s³ in s², to 5e-16 of itself, which is 6e-18 of the logarithm
    (`log` in tests/compiler/native/minimax.py). 2 s = f - s f, and there f is exact.
    """
    s = f / (2.0 + f)
    t = s * s
    series = poly_6(
        t,
        0.666666666666667,
        0.39999999999899505,
        0.28571428625975487,
        0.2222221113479508,
        0.18182889125261723,
        0.15331721600556042,
        0.14616449685043406,
    )
    lost = muladd(s, muladd(-t, series, f), -(k * low))
    return muladd(k, high, f - lost)


@native(exact=True, inline=True)
def log_normal(x: f64) -> f64:
    """log(x) of a normal positive number."""
    shifted = split(x)
    k = exponent(shifted)
    return log1p_reduced(fraction(shifted) - 1.0, k, LN2_HIGH, LN2_LOW)


@native(exact=True, inline=True)
def log_at_most_1(x: f64) -> f64:
    """log(x) for 0 < x <= 1, subnormal or not: all are scaled."""
    shifted = split(x * TWO_54)
    k = exponent(shifted) - 54.0
    return log1p_reduced(fraction(shifted) - 1.0, k, LN2_HIGH, LN2_LOW)


@native(exact=True, inline=True)
def log_positive(x: f64) -> f64:
    """log(x) for 0 < x < inf."""
    shifted = split(normalised(x))
    k = normalised_exponent(x, shifted)
    return log1p_reduced(fraction(shifted) - 1.0, k, LN2_HIGH, LN2_LOW)


@native(exact=True, inline=True)
def at_edges(result: f64, x: f64) -> f64:
    """The logarithm of x, which is `result` for positive finite x."""
    return select(x > 0.0, select(x < math.inf, result, x), select(x == 0.0, -math.inf, math.nan))


@native(exact=True, inline=True)
def log(x: f64) -> f64:
    """Natural logarithm, within 1 ulp; -inf at 0, nan below.

    >>> log(1.0), log(0.0)
    (0.0, -inf)
    """
    return at_edges(log_positive(x), x)


@native(exact=True, inline=True)
def log2(x: f64) -> f64:
    """Logarithm to base 2, within 2 ulp; exact for powers of 2.

    >>> log2(1024.0)
    10.0
    """
    shifted = split(normalised(x))
    k = normalised_exponent(x, shifted)
    return at_edges(muladd(LOG2_E, log1p_reduced(fraction(shifted) - 1.0, 0.0, 0.0, 0.0), k), x)


@native(exact=True, inline=True)
def log10(x: f64) -> f64:
    """Logarithm to base 10, within 2 ulp.

    >>> log10(1000.0)
    3.0
    """
    shifted = split(normalised(x))
    k = normalised_exponent(x, shifted)
    rest = muladd(LOG10_E, log1p_reduced(fraction(shifted) - 1.0, 0.0, 0.0, 0.0), k * LOG10_2_LOW)
    return at_edges(muladd(k, LOG10_2_HIGH, rest), x)


@native(exact=True, inline=True)
def log_sum(x: f64, low: f64) -> f64:
    """log(x + low) for a normal x and a `low` below its last digit, which is added to f."""
    shifted = split(x)
    k = exponent(shifted)
    unit = from_bits((2046 << 52) - (shifted & ~FRACTION))  # 2⁻ᵏ; from k = 1023 on `low` is lost anyway
    f = muladd(low, select(x < HUGE, unit, 0.0), fraction(shifted) - 1.0)
    return at_edges(log1p_reduced(f, k, LN2_HIGH, LN2_LOW), x)


@native(exact=True, inline=True)
def log1p(x: f64) -> f64:
    """log(1 + x), within 2 ulp, for small x too.

    >>> log1p(1e-20), log1p(-1.0)
    (1e-20, -inf)
    """
    u = 1.0 + x
    low = select(x > 1.0, 1.0, x) - (u - select(x > 1.0, x, 1.0))  # what rounding took from 1 + x
    return select(x == 0.0, x, log_sum(u, low))


@native(exact=True, inline=True)
def log1p_unit(x: f64) -> f64:
    """log(1 + x) for x from 0 to 1, within 2 ulp: there the series alone serves, with more terms (`log1p_unit` in
    tests/compiler/native/minimax.py: 1.9e-16 of itself).
    """
    s = x / (2.0 + x)
    t = s * s
    series = poly_9(
        t,
        0.6666666666666666,
        0.40000000000014585,
        0.2857142856710876,
        0.22222222717427864,
        0.18181789436132859,
        0.15385570064958623,
        0.13314144209654935,
        0.12001072809590713,
        0.08800738486144674,
        0.1616404561194353,
    )
    return muladd(-s, muladd(-t, series, x), x)


@native(exact=True, inline=True)
def softplus(x: f64, beta: f64, threshold: f64) -> f64:
    """log(1 + exp(beta x))/beta, and x where beta x > threshold, as torch has it; within 4 ulp.

    >>> softplus(0.0, 1.0, 20.0)
    0.6931471805599453
    """
    z = x * beta
    smooth = select(z > 0.0, z, 0.0) + log1p_unit(exp_falling(-abs(z)))
    return select(z > threshold, x, smooth / beta)


@native(exact=True, inline=True)
def log_sigmoid(x: f64) -> f64:
    """log(1/(1 + exp(-x))), within 3 ulp.

    >>> log_sigmoid(-1000.0)
    -1000.0
    """
    return select(x < 0.0, x, 0.0) - log1p_unit(exp_falling(-abs(x)))


@native(exact=True, inline=True)
def logaddexp(a: f64, b: f64) -> f64:
    """log(exp(a) + exp(b)); equal infinities give themselves.

    >>> logaddexp(0.0, 0.0), logaddexp(-math.inf, -math.inf)
    (0.6931471805599453, -inf)
    """
    gap = select(a == b, 0.0, abs(a - b))
    return select(a < b, b, a) + log1p_unit(exp_falling(-gap))


@native(exact=True, inline=True)
def xlogy(x: f64, y: f64) -> f64:
    """x log(y), and 0 where x is 0 unless y is nan.

    >>> xlogy(0.0, 0.0), xlogy(2.0, 1.0)
    (0.0, 0.0)
    """
    return select((x == 0.0) & (y == y), 0.0, x * log(y))
