"""exp and its relatives: x = n log 2 + r with |r| <= log(2)/2, and exp(x) = 2ⁿ + 2ⁿ (exp(r) - 1).

n is found by adding 1.5·2⁵², which leaves the rounded number in the lowest bits of the sum: processors that
can't convert floats to 64-bit integers, those with AVX2 among them, do that on vectors too. 2ⁿ is a product of
two factors built from exponent bits, so that results may be subnormal or overflow. Nothing branches.
"""

from __future__ import annotations

from ppl.compiler.native import bits, f64, from_bits, i64, math, muladd, native, select

from .polynomials import poly_10

LOG2_E = 1.4426950408889634
LN2 = 0.6931471805599453
LN2_HIGH = 0.6931471805598903  # 42 bits: times an exponent it is exact
LN2_LOW = 5.497923018708371e-14

# Added to n, rounds it; leaves n + 2·1023 in the lowest bits, the biases of the exponents of two factors.
ROUND = 1.5 * 2.0**52 + 2046.0

LARGEST = 720.0  # exp is inf from 709.79 on, exp/256 from 715.4 on
LEAST = -746.0  # exp is 0 below -745.14

# For results of at most 1: 2ⁿ is 2⁻⁶⁰ times a factor whose biased exponent stands in the lowest bits.
ROUND_FALLING = 1.5 * 2.0**52 + 1083.0
TWO_60_BELOW = 2.0**-60


@native(exact=True, inline=True)
def reduced(x: f64, k: f64) -> f64:
    """x - k log 2, the product to twice the digits."""
    return muladd(k, -LN2_LOW, muladd(k, -LN2_HIGH, x))


@native(exact=True, inline=True)
def exp_remainder(r: f64) -> f64:
    """(exp(r) - 1 - r)/r² for |r| <= log(2)/2 (`exp` in tests/compiler/native/minimax.py: 5e-18 of itself)."""
    return poly_10(
        r,
        0.5,
        0.1666666666666667,
        0.04166666666666667,
        0.008333333333326141,
        0.0013888888888883752,
        0.00019841269874800493,
        2.4801587325533363e-05,
        2.7557255425746435e-06,
        2.7557273661348637e-07,
        2.510520637395701e-08,
        2.0914679376583935e-09,
    )


@native(exact=True, inline=True)
def expm1_reduced(r: f64) -> f64:
    """exp(r) - 1 for |r| <= log(2)/2."""
    return muladd(r * r, exp_remainder(r), r)


@native(exact=True, inline=True)
def first_factor(shifted: i64) -> f64:
    """2 to the power of half n, rounded down, where the lowest twelve bits of `shifted` hold n + 2046."""
    return from_bits((shifted >> 1) << 52)


@native(exact=True, inline=True)
def second_factor(shifted: i64, first: f64) -> f64:
    """2ⁿ over the first factor, for |n| <= 1080."""
    return from_bits((shifted << 52) - bits(first))


@native(exact=True, inline=True)
def scaled(q: f64, shifted: i64) -> f64:
    """2ⁿ (1 + q), where the lowest twelve bits of `shifted` hold n + 2046 and |n| <= 1080."""
    first = first_factor(shifted)
    return muladd(first, q, first) * second_factor(shifted, first)


@native(exact=True, inline=True)
def exp_scaled(x: f64, low: f64, n: i64) -> f64:
    """2ⁿ exp(x + low) for -8 <= n <= 0, and a `low` below 1e-3 that x has no digits for."""
    shifted = muladd(x, LOG2_E, ROUND)
    result = scaled(expm1_reduced(reduced(x, shifted - ROUND) + low), bits(shifted) + n)
    return select(x > LARGEST, math.inf, select(x < LEAST, 0.0, result))


@native(exact=True, inline=True)
def exp_falling(x: f64) -> f64:
    """exp(x) for x <= 0, within 1.01 ulp, with less work."""
    shifted = muladd(x, LOG2_E, ROUND_FALLING)
    q = expm1_reduced(reduced(x, shifted - ROUND_FALLING))
    factor = from_bits(bits(shifted) << 52)
    return select(x < LEAST, 0.0, muladd(factor, q, factor) * TWO_60_BELOW)


@native(exact=True, inline=True)
def exp(x: f64) -> f64:
    """exp(x), within 1.01 ulp.

    >>> exp(0.0), exp(-1e9)
    (1.0, 0.0)
    """
    return exp_scaled(x, -0.0, 0)


@native(exact=True, inline=True)
def exp2(x: f64) -> f64:
    """2 to the power of x, within 2 ulp.

    >>> exp2(10.0)
    1024.0
    """
    return exp2_sum(x, -0.0)


@native(exact=True, inline=True)
def exp2_sum(x: f64, low: f64) -> f64:
    """2 to the power of x + low, for a `low` below 1e-3."""
    x = select(x > 1025.0, 1025.0, x)
    x = select(x < -1080.0, -1080.0, x)
    shifted = x + ROUND
    r = ((x - (shifted - ROUND)) + low) * LN2
    return scaled(expm1_reduced(r), bits(shifted))


@native(exact=True, inline=True)
def expm1(x: f64) -> f64:
    """exp(x) - 1, within 2 ulp, for small x too.

    >>> expm1(1e-20)
    1e-20
    """
    bounded = select(x > LARGEST, LARGEST, x)
    bounded = select(bounded < -40.0, -40.0, bounded)
    shifted = muladd(bounded, LOG2_E, ROUND)
    k = shifted - ROUND
    high = muladd(k, -LN2_HIGH, bounded)
    r = muladd(k, -LN2_LOW, high)
    lost = muladd(k, -LN2_LOW, high - r)
    small = r + muladd(r * r, exp_remainder(r), lost)
    first = first_factor(bits(shifted))
    second = second_factor(bits(shifted), first)
    one = from_bits((2046 << 52) - bits(second))  # 1/second: what becomes 1 in the end
    result = muladd(first, small, first - one) * second
    return select(x == 0.0, x, result)


@native(exact=True, inline=True)
def sigmoid(x: f64) -> f64:
    """1/(1 + exp(-x)), within 3 ulp, into the subnormal numbers for x down to -745.

    >>> sigmoid(0.0)
    0.5
    """
    e = exp_falling(-abs(x))
    return select(x < 0.0, e, 1.0) / (1.0 + e)
