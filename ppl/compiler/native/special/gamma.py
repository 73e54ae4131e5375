"""log Γ, ψ and ψ′: a ratio of polynomials with positive coefficients below 4 (5), Stirling's series above.

Both are evaluated and one is selected, and a negative argument is reflected on the way, so that nothing
branches. The series is not the asymptotic one but fitted from 4 (5) to infinity.
"""

from __future__ import annotations

from ppl.compiler.native import f64, math, native, round_even, select

from .logarithm import log_at_most_1, log_normal, log_positive
from .polynomials import poly_8, poly_9

LOG_2_PI_E = 0.4189385332046727  # (log(2 pi) - 1)/2
DIGAMMA_ROOT = 0.46163214496836236  # of psi(1 + z), and what it lacks
DIGAMMA_ROOT_LOW = -1.5522348162858677e-17


@native(exact=True, inline=True)
def sinpi_ratio(r: f64) -> f64:
    """sin(pi r)/(pi r) for |r| <= 1/2 (`sinpi` in tests/compiler/native/minimax.py: 4e-17)."""
    return poly_8(
        r * r,
        1.0,
        -1.6449340668482264,
        0.8117424252833393,
        -0.19075182412149616,
        0.02614784780555096,
        -0.0023460808954639607,
        0.0001484278414189103,
        -6.972099660851199e-06,
        2.4502943624559793e-07,
    )


@native(exact=True, inline=True)
def cospi(r: f64) -> f64:
    """cos(pi r) for |r| <= 1/2, exact at both ends (`cospi` in minimax.py: 1e-17)."""
    quotient = poly_8(
        r * r,
        1.0,
        -0.9348022005446793,
        0.3195033242380492,
        -0.05724947190231324,
        0.006332742747862203,
        -0.00047592037539358493,
        2.589262194384223e-05,
        -1.0666850970497326e-06,
        3.3478866930384306e-08,
    )
    return (1.0 - 2.0 * r) * (1.0 + 2.0 * r) * quotient


@native(exact=True, inline=True)
def lgamma_middle(z: f64) -> f64:
    """log Γ(1 + z) for 0 <= z <= 3: z (z - 1) times a ratio (`lgamma_middle` in minimax.py: 3e-17)."""
    above = poly_9(
        z,
        0.5772156649015329,
        1.9184491240724417,
        2.5482869266894705,
        1.7353784145854594,
        0.6475379331820537,
        0.1315475077115862,
        0.013646965686628166,
        0.0006254321099418796,
        9.052065947579509e-06,
        8.282713446174468e-09,
    )
    below = poly_9(
        z,
        1.0,
        3.748513119379957,
        5.738202953731988,
        4.6346276830093025,
        2.1337997969050173,
        0.5661283333714182,
        0.08367193812940361,
        0.006335723831552411,
        0.00020761819740754223,
        1.979616037398412e-06,
    )
    return z * (z - 1.0) * (above / below)


@native(exact=True, inline=True)
def lgamma_tail(x: f64, log_x: f64) -> f64:
    """log Γ(x) for x >= 4: (x - 1/2) (log x - 1) + (log(2 pi) - 1)/2 + Stirling's series.

    The series is a polynomial in 1/x² over x (`lgamma_tail` in minimax.py: 3e-16 of itself).
    """
    w = 1.0 / x
    series = poly_8(
        w * w,
        0.08333333333333331,
        -0.0027777777777176055,
        0.0007936507676291937,
        -0.0005952337085914222,
        0.0008413741438815142,
        -0.0018988790775843355,
        0.005842830219816524,
        -0.018529842349409912,
        0.03686739114470535,
    )
    return (x - 0.5) * (log_x - 1.0) + (LOG_2_PI_E + w * series)


@native(exact=True, inline=True)
def lgamma_positive(x: f64) -> f64:
    """log Γ(x) for x > 0: half the price of `lgamma`, where the sign is known.

    >>> lgamma_positive(1.0)
    0.0
    """
    near = x < 4.0
    below_1 = x < 1.0
    log_x = log_positive(x)
    z = select(below_1, x, select(near, x - 1.0, 3.0))
    middle = lgamma_middle(z) + select(below_1, -log_x, 0.0)
    return select(near, middle, lgamma_tail(select(near, 4.0, x), log_x))


@native(exact=True, inline=True)
def lgamma(x: f64) -> f64:
    """log |Γ(x)|, to 1e-15 of max(1, |log Γ|), and of itself near the zeros at 1 and 2.

    Below 0: log |Γ(x)| = -log |sin(pi x)/pi| - log Γ(1 - x).

    >>> lgamma(1.0), lgamma(0.0)
    (0.0, inf)
    """
    reflected = x < 0.0
    direct = lgamma_positive(select(reflected, 1.0 - x, x))
    nearest = round_even(x)
    r = x - nearest
    sine = log_at_most_1(abs(r * sinpi_ratio(r)))
    pole = (nearest == x) & (x <= 0.0)
    return select(pole, math.inf, select(reflected, -sine - direct, direct))


@native(exact=True, inline=True)
def digamma(x: f64) -> f64:
    """ψ(x), the derivative of log Γ, to 1e-15 of max(1, |ψ|), and of itself near the zero at 1.46.

    Below 0: ψ(x) = ψ(1 - x) - pi cot(pi x). Poles: -inf at 0, inf at -0, nan at negative integers, as torch.

    >>> digamma(0.0)
    -inf
    """
    reflected = x < 0.0
    y = select(reflected, 1.0 - x, x)
    near = y < 4.0
    low = y < 1.0
    w = 1.0 / select(x == 0.0, 1.0, y)
    z = select(low, y, select(near, y - 1.0, 3.0))
    middle = digamma_middle(z) - select(low, w, 0.0)
    far = select(near, 4.0, y)
    v = select(near, 0.25, w)
    tail = (log_normal(far) - 0.5 * v) - v * v * digamma_series(v * v)
    direct = select(near, middle, tail)
    r = x - round_even(x)
    pole = r == 0.0
    cotangent = cospi(r) / select(pole, 1.0, r * sinpi_ratio(r))
    edge = select(pole, math.nan, direct - cotangent)
    result = select(reflected, edge, select(y < math.inf, direct, y))
    return select(x == 0.0, math.copysign(math.inf, -x), result)


@native(exact=True, inline=True)
def digamma_middle(z: f64) -> f64:
    """ψ(1 + z) for 0 <= z <= 3: (z - root) times a ratio (`digamma_middle` in minimax.py: 7e-17)."""
    above = poly_8(
        z,
        1.2503801375034054,
        2.1350035194250303,
        1.3724956245607915,
        0.42758767493194716,
        0.06856679098671349,
        0.005496586877455192,
        0.00019453544844483928,
        2.1917144654830184e-06,
        1.402613434700157e-09,
    )
    below = poly_8(
        z,
        1.0,
        2.3910303677697975,
        2.13025227505565,
        0.9306500781833718,
        0.21686606427381228,
        0.027105081389092216,
        0.0017139346932061438,
        4.713007993540955e-05,
        3.8347125324643785e-07,
    )
    return ((z - DIGAMMA_ROOT) - DIGAMMA_ROOT_LOW) * (above / below)


@native(exact=True, inline=True)
def digamma_series(t: f64) -> f64:
    """(log x - 1/(2 x) - ψ(x)) x² at t = 1/x² for x >= 4 (`digamma_tail` in minimax.py: 5e-15)."""
    return poly_8(
        t,
        0.08333333333333295,
        -0.008333333332362195,
        0.003968253547733588,
        -0.004166595597256864,
        0.007569628806402783,
        -0.020787300608348224,
        0.07392821575261915,
        -0.25668496075487657,
        0.5365319953712206,
    )


@native(exact=True, inline=True)
def trigamma(x: f64) -> f64:
    """ψ′(x), within 1e-15 of itself for x > 0; below, pi²/sin²(pi x) - ψ′(1 - x), inf at the poles.

    >>> trigamma(0.0)
    inf
    """
    reflected = x < 0.0
    y = select(reflected, 1.0 - x, x)
    near = y < 5.0
    low = y < 1.0
    w = 1.0 / select(x == 0.0, 1.0, y)
    z = select(low, y, select(near, y - 1.0, 4.0))
    middle = trigamma_middle(z) + select(low, w * w, 0.0)
    tail = w + w * w * (0.5 + w * trigamma_series(w * w))
    direct = select(near, middle, tail)
    r = x - round_even(x)
    pole = r == 0.0
    cosecant = 1.0 / select(pole, 1.0, r * sinpi_ratio(r))
    result = select(reflected, cosecant * cosecant - direct, direct)
    return select(pole & (x <= 0.0), math.inf, result)


@native(exact=True, inline=True)
def trigamma_middle(z: f64) -> f64:
    """ψ′(1 + z) for 0 <= z <= 4 (`trigamma_middle` in minimax.py: 3e-17)."""
    above = poly_8(
        z,
        1.6449340668482264,
        5.396931443165136,
        7.837714367139642,
        6.556926612380214,
        3.455104279611162,
        1.1762308296975932,
        0.2534190224727808,
        0.03173189115479479,
        0.001778480479146454,
    )
    below = poly_9(
        z,
        1.0,
        4.742466829951128,
        9.722076386042811,
        11.355451850442563,
        8.371935566038694,
        4.063013312262545,
        1.3055105619801943,
        0.2694331747492558,
        0.03262113139463814,
        0.0017784804791417125,
    )
    return above / below


@native(exact=True, inline=True)
def trigamma_series(t: f64) -> f64:
    """(ψ′(x) - 1/x - 1/(2 x²)) x³ at t = 1/x² for x >= 5 (`trigamma_tail` in minimax.py: 1e-15)."""
    return poly_8(
        t,
        0.16666666666666646,
        -0.03333333333245281,
        0.0238095232158422,
        -0.03333317761542219,
        0.07573682913900798,
        -0.25152742376389575,
        1.0927492670863812,
        -4.93068788052531,
        14.394841800203729,
    )
