"""Powers, roots and lengths. Nothing branches."""

from __future__ import annotations

from ppl.compiler.native import bits, f64, from_bits, math, native, select

from .error_function import UPPER_HALF
from .exponential import exp2_sum
from .logarithm import fraction, normalised, normalised_exponent, split
from .polynomials import poly_6

# 1/(12 log 2), its 26 leading digits and the rest
LOG2_E_12 = 0.12022458674074694
LOG2_E_12_HIGH = 0.12022458575665951
LOG2_E_12_LOW = 9.840874428618621e-10
UP = 2.0**600
DOWN = 2.0**-600


@native(exact=True, inline=True)
def head(x: f64) -> f64:
    """The 26 leading binary digits of x: products of two such are exact."""
    return from_bits(bits(x) & UPPER_HALF)


@native(exact=True, inline=True)
def pow(x: f64, y: f64) -> f64:
    """x to the power of y, within 2 ulp, with C's special cases.

    pow(x, 0) = pow(1, y) = 1; nan for negative x and y no integer. log2 |x| is computed to some 65 bits, as a
    sum of two floats: with z = 2⁻ᵏ |x| and u = 2 (z - 1)/(z + 1) it is k + u S/(12 log 2), where
    S = 12 + u² + u⁴ (12/80 + …). Heads of 26 bits keep the leading products exact.

    >>> pow(2.0, 10.0), pow(-8.0, 1.0 / 3.0)
    (1024.0, nan)
    """
    a = abs(x)
    shifted = split(normalised(a))
    k = normalised_exponent(a, shifted)
    z = fraction(shifted)
    f = 2.0 * (z - 1.0)
    d = z + 1.0
    d_high = head(d)
    d_low = z - (d_high - 1.0)
    reciprocal = 1.0 / d
    u = f * reciprocal
    u_high = head(u)
    u_low = ((f - u_high * d_high) - u_high * d_low) * reciprocal
    t = u * u
    series = poly_6(
        t,
        0.1500000000000001,
        0.0267857142856299,
        0.005208333344783777,
        0.0010653403272426211,
        0.00022537462647156486,
        4.865466530965802e-05,
        1.1822658752566362e-05,
    )
    square = u_high * u_high
    rest = t * t * series + u_low * (u_high + u)
    s_high = head(12.0 + square + rest)
    s_low = rest - ((s_high - 12.0) - square)
    product = u_high * s_high
    rest = u_low * s_high + u * s_low
    p_high = head(product + rest)
    p_low = rest - (p_high - product)
    l_high = LOG2_E_12_HIGH * p_high
    l_low = LOG2_E_12_LOW * p_high + LOG2_E_12 * p_low
    log_high = head(k + (l_high + l_low))
    log_low = l_low - ((log_high - k) - l_high)
    y_high = head(y)
    power = y_high * log_high
    power_low = (y - y_high) * log_high + y * log_low

    infinite_y = abs(y) == math.inf
    regular = (a > 0.0) & (a < math.inf) & (abs(y) < math.inf)
    coarse = y * select(a == 0.0, -math.inf, select(a < math.inf, log_high, a))
    power = select(regular, power, coarse)
    size = exp2_sum(power, select(regular & (abs(power) < 1100.0), power_low, 0.0))

    broken = math.trunc(y) != y
    odd = (math.trunc(0.5 * y) != 0.5 * y) & (math.trunc(y) == y)
    signed = select((bits(x) < 0) & odd, -size, size)
    defined = select((x < 0.0) & (x > -math.inf) & broken, math.nan, signed)
    return select((y == 0.0) | (x == 1.0) | ((x == -1.0) & infinite_y), 1.0, defined)


@native(exact=True, inline=True)
def rsqrt(x: f64) -> f64:
    """1/sqrt(x), within 1 ulp; infinite at 0, nan below.

    >>> rsqrt(4.0), rsqrt(0.0)
    (0.5, inf)
    """
    zero = x == 0.0
    return select(zero, math.copysign(math.inf, x), 1.0 / math.sqrt(select(zero, 1.0, x)))


@native(exact=True, inline=True)
def reciprocal(x: f64) -> f64:
    """1/x; infinite at 0 with its sign.

    >>> reciprocal(4.0), reciprocal(-0.0)
    (0.25, -inf)
    """
    zero = x == 0.0
    return select(zero, math.copysign(math.inf, x), 1.0 / select(zero, 1.0, x))


@native(exact=True, inline=True)
def hypot(x: f64, y: f64) -> f64:
    """sqrt(x² + y²), within 2 ulp, without overflow on the way; infinite where one of them is.

    >>> hypot(3e300, 4e300)
    5e+300
    """
    a, b = abs(x), abs(y)
    larger = select(a > b, a, b)
    unit = select(larger > 1e150, DOWN, select(larger < 1e-150, UP, 1.0))
    back = select(larger > 1e150, UP, select(larger < 1e-150, DOWN, 1.0))
    p, q = a * unit, b * unit
    result = back * math.sqrt(p * p + q * q)
    return select((a == math.inf) | (b == math.inf), math.inf, result)
