"""Derivatives of ψ: the first without branches, higher ones through the Hurwitz zeta function."""

from __future__ import annotations

from ppl.compiler.native import f64, i64, math, native, round_even

from .gamma import trigamma

TERMS_FROM = 20.0


@native(exact=True)
def inverse_power(x: f64, n: i64) -> f64:
    """x⁻ⁿ for n >= 0 and x > 0."""
    base, result = 1.0 / x, 1.0
    while n > 0:
        if n & 1 == 1:
            result *= base
        base *= base
        n >>= 1
    return result


@native(exact=True)
def hurwitz_zeta(n: i64, a: f64) -> f64:
    """The sum of (a + k)⁻ⁿ over k >= 0, for n >= 2 and a > 0.

    Terms are added up to a + k >= 20 + n, the rest is the Euler-Maclaurin series, whose j-th term is
    B_2j/(2j)! n (n + 1) … (n + 2j - 2) a^(1 - n - 2j).
    """
    total = 0.0
    while a < TERMS_FROM + n:
        total += inverse_power(a, n)
        a += 1.0
    power = inverse_power(a, n)
    w2 = 1.0 / (a * a)
    factor = power * n / a
    tail = power * (a / (n - 1.0) + 0.5)
    tail += factor / 12.0
    factor *= (n + 1.0) * (n + 2.0) * w2
    tail -= factor / 720.0
    factor *= (n + 3.0) * (n + 4.0) * w2
    tail += factor / 30240.0
    factor *= (n + 5.0) * (n + 6.0) * w2
    tail -= factor / 1209600.0
    factor *= (n + 7.0) * (n + 8.0) * w2
    tail += factor / 47900160.0
    factor *= (n + 9.0) * (n + 10.0) * w2
    tail -= factor * (691.0 / 1307674368000.0)
    factor *= (n + 11.0) * (n + 12.0) * w2
    tail += factor / 74724249600.0
    factor *= (n + 13.0) * (n + 14.0) * w2
    tail -= factor * (3617.0 / 10670622842880000.0)
    return total + tail


@native(exact=True)
def higher_polygamma(n: i64, x: f64) -> f64:
    """The n-th derivative of ψ, (-1)ⁿ⁺¹ n! ζ(n + 1, x).

    Below 0 the sum over k >= 0 is the one over all integers less that over k < 0.
    """
    if x != x or x == -math.inf:
        return math.nan
    if x == math.inf:
        return 0.0
    order = n + 1
    sign = 2.0 * (n & 1) - 1.0  # (-1)ⁿ⁺¹
    factorial = sign
    for k in range(2, order):
        factorial *= k
    if x > 0.0:
        return factorial * hurwitz_zeta(order, x)
    r = x - round_even(x)
    if r == 0.0:
        return factorial * math.inf
    nearest = inverse_power(abs(r), order) * (1.0 if r > 0.0 else sign)
    mirrored = hurwitz_zeta(order, 1.0 - r) - hurwitz_zeta(order, 1.0 - x)
    return factorial * (nearest + hurwitz_zeta(order, 1.0 + r) + sign * mirrored)


@native(exact=True, inline=True)
def polygamma(n: i64, x: f64) -> f64:
    """The n-th derivative of ψ for n >= 1, to 1e-14 of itself for x > 0; infinite at the poles.

    >>> polygamma(1, 1.0) == math.pi**2 / 6
    True
    """
    if n == 1:
        return trigamma(x)
    return higher_polygamma(n, x)
