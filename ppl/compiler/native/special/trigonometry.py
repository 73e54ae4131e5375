"""Trigonometric functions and their inverses.

sin, cos and tan are the C library's: huge arguments need more digits of pi than code without branches can
hold. The inverse functions are ours, and nothing in them branches.
"""

from __future__ import annotations

from ppl.compiler.native import bits, f64, math, native, select

from .polynomials import poly_10, poly_12

PI = 3.141592653589793  # and what the float lacks
PI_LOW = 1.2246467991473532e-16
HALF_PI = 1.5707963267948966
HALF_PI_LOW = 6.123233995736766e-17
QUARTER_PI = 0.7853981633974483
QUARTER_PI_LOW = 3.061616997868383e-17
TAN_EIGHTH_PI = 0.41421356237309503


@native(exact=True)
def sin(x: f64) -> f64:
    """Sine, the C library's."""
    return math.sin(x)


@native(exact=True)
def cos(x: f64) -> f64:
    """Cosine, the C library's."""
    return math.cos(x)


@native(exact=True)
def tan(x: f64) -> f64:
    """Tangent, the C library's."""
    return math.tan(x)


@native(exact=True, inline=True)
def angle(n: f64, d: f64) -> f64:
    """atan(n/d) for 0 <= n <= d and 0 < d < inf, within 2 ulp.

    Above tan(pi/8), pi/4 + atan((n - d)/(n + d)); atan(r) - r is r³ times a polynomial in r² (`atan` in
    tests/compiler/native/minimax.py: 1e-16 of itself).
    """
    steep = n > TAN_EIGHTH_PI * d
    r = select(steep, n - d, n) / select(steep, n + d, d)
    t = r * r
    series = poly_10(
        t,
        -0.3333333333333333,
        0.1999999999999552,
        -0.14285714284666542,
        0.11111111015256361,
        -0.09090904578123903,
        0.07692183190826087,
        -0.06664511447381948,
        0.0585814891280221,
        -0.0508544973794026,
        0.03923165829558718,
        -0.019176887119062253,
    )
    rest = select(steep, QUARTER_PI_LOW, 0.0) + r * (t * series)
    return select(steep, QUARTER_PI, 0.0) + (r + rest)


@native(exact=True, inline=True)
def atan(x: f64) -> f64:
    """Inverse tangent, within 2 ulp.

    >>> atan(0.0), atan(math.inf) == HALF_PI
    (0.0, True)
    """
    a = abs(x)
    inverted = a > 1.0
    b = select(a > 1e300, 1e300, a)
    t = angle(select(inverted, 1.0, b), select(inverted, b, 1.0))
    return math.copysign(select(inverted, HALF_PI - (t - HALF_PI_LOW), t), x)


@native(exact=True, inline=True)
def atan2(y: f64, x: f64) -> f64:
    """The angle of the point (x, y), from -pi to pi, within 3 ulp; C's values for zeros and infinities.

    >>> atan2(0.0, -1.0) == PI, atan2(-0.0, 1.0)
    (True, -0.0)
    """
    a, b = abs(y), abs(x)
    infinite = (a == math.inf) | (b == math.inf)
    p = select(infinite, select(a == math.inf, 1.0, 0.0), a)
    q = select(infinite, select(b == math.inf, 1.0, 0.0), b)
    unit = select((p > 1e300) | (q > 1e300), 0.25, 1.0)
    p, q = p * unit, q * unit
    inverted = p > q
    d = select(inverted, p, q)
    t = angle(select(inverted, q, p), select(d == 0.0, 1.0, d))
    t = select(inverted, HALF_PI - (t - HALF_PI_LOW), t)
    t = select(bits(x) < 0, PI - (t - PI_LOW), t)
    return select((x == x) & (y == y), math.copysign(t, y), math.nan)


@native(exact=True, inline=True)
def asin_small(x: f64) -> f64:
    """asin(x) for |x| <= 1/2, within 1 ulp (`asin` in minimax.py: 1e-16 of asin(x) - x)."""
    t = x * x
    series = poly_12(
        t,
        0.16666666666666669,
        0.07499999999998433,
        0.04464285714635543,
        0.030381944138531247,
        0.02237217294214989,
        0.017352392720869973,
        0.013971212973552933,
        0.011479177415184906,
        0.01032281435018578,
        0.005457506718640358,
        0.01740087944269402,
        -0.014851887071247204,
        0.028757851367421566,
    )
    return x + x * (t * series)


@native(exact=True, inline=True)
def asin(x: f64) -> f64:
    """Inverse sine, within 3 ulp; nan beyond ±1. Above 1/2: pi/2 - 2 asin(sqrt((1 - x)/2)).

    >>> asin(1.0) == HALF_PI
    True
    """
    a = abs(x)
    near = a <= 0.5
    inside = a <= 1.0
    half = 0.5 * (1.0 - select(inside, a, 1.0))
    s = asin_small(select(near, a, math.sqrt(half)))
    result = select(near, s, HALF_PI - (2.0 * s - HALF_PI_LOW))
    return math.copysign(select(inside, result, math.nan), x)


@native(exact=True, inline=True)
def acos(x: f64) -> f64:
    """Inverse cosine, within 3 ulp; nan beyond ±1.

    >>> acos(1.0), acos(-1.0) == PI
    (0.0, True)
    """
    a = abs(x)
    near = a <= 0.5
    inside = a <= 1.0
    half = 0.5 * (1.0 - select(inside, a, 1.0))
    s = asin_small(select(near, x, math.sqrt(half)))
    far = select(x < 0.0, PI - (2.0 * s - PI_LOW), 2.0 * s)
    return select(inside, select(near, HALF_PI - (s - HALF_PI_LOW), far), math.nan)
