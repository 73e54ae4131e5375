"""Polynomials c0 + c1 x + c2 x² + … with the coefficients as arguments, every operation a `muladd`.

Short ones are two polynomials in x², of the even and of the odd terms, each by Horner's rule. Longer ones are
taken by fours: a polynomial in x⁴ whose coefficients are cubics, so that a processor works on several products at
once, for one multiplication more.
"""

from __future__ import annotations

from ppl.compiler.native import f64, muladd, native

# fmt: off

@native(exact=True, inline=True)
def cubic(x: f64, x2: f64, c0: f64, c1: f64, c2: f64, c3: f64) -> f64:
    return muladd(x2, muladd(x, c3, c2), muladd(x, c1, c0))


@native(exact=True, inline=True)
def poly_2(x: f64, c0: f64, c1: f64, c2: f64) -> f64:
    return muladd(x, muladd(x, c2, c1), c0)


@native(exact=True, inline=True)
def poly_3(x: f64, c0: f64, c1: f64, c2: f64, c3: f64) -> f64:
    return cubic(x, x * x, c0, c1, c2, c3)


@native(exact=True, inline=True)
def poly_4(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, c4, c2), c0)
    odd = muladd(x2, c3, c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_5(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, c4, c2), c0)
    odd = muladd(x2, muladd(x2, c5, c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_6(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, muladd(x2, c6, c4), c2), c0)
    odd = muladd(x2, muladd(x2, c5, c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_7(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, muladd(x2, c6, c4), c2), c0)
    odd = muladd(x2, muladd(x2, muladd(x2, c7, c5), c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_8(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64,
) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, muladd(x2, muladd(x2, c8, c6), c4), c2), c0)
    odd = muladd(x2, muladd(x2, muladd(x2, c7, c5), c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_9(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    rest = muladd(x, c9, c8)
    rest = muladd(x4, rest, cubic(x, x2, c4, c5, c6, c7))
    return muladd(x4, rest, cubic(x, x2, c0, c1, c2, c3))


@native(exact=True, inline=True)
def poly_10(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    rest = muladd(x2, c10, muladd(x, c9, c8))
    rest = muladd(x4, rest, cubic(x, x2, c4, c5, c6, c7))
    return muladd(x4, rest, cubic(x, x2, c0, c1, c2, c3))


@native(exact=True, inline=True)
def poly_11(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    rest = cubic(x, x2, c8, c9, c10, c11)
    rest = muladd(x4, rest, cubic(x, x2, c4, c5, c6, c7))
    return muladd(x4, rest, cubic(x, x2, c0, c1, c2, c3))


@native(exact=True, inline=True)
def poly_12(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    rest = muladd(x4, c12, cubic(x, x2, c8, c9, c10, c11))
    rest = muladd(x4, rest, cubic(x, x2, c4, c5, c6, c7))
    return muladd(x4, rest, cubic(x, x2, c0, c1, c2, c3))


@native(exact=True, inline=True)
def poly_15(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    rest = cubic(x, x2, c12, c13, c14, c15)
    rest = muladd(x4, rest, cubic(x, x2, c8, c9, c10, c11))
    rest = muladd(x4, rest, cubic(x, x2, c4, c5, c6, c7))
    return muladd(x4, rest, cubic(x, x2, c0, c1, c2, c3))


@native(exact=True, inline=True)
def poly_16(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64, c16: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    rest = muladd(x4, c16, cubic(x, x2, c12, c13, c14, c15))
    rest = muladd(x4, rest, cubic(x, x2, c8, c9, c10, c11))
    rest = muladd(x4, rest, cubic(x, x2, c4, c5, c6, c7))
    return muladd(x4, rest, cubic(x, x2, c0, c1, c2, c3))


@native(exact=True, inline=True)
def poly_24(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64, c16: f64, c17: f64, c18: f64, c19: f64,
    c20: f64, c21: f64, c22: f64, c23: f64, c24: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    rest = muladd(x4, c24, cubic(x, x2, c20, c21, c22, c23))
    rest = muladd(x4, rest, cubic(x, x2, c16, c17, c18, c19))
    rest = muladd(x4, rest, cubic(x, x2, c12, c13, c14, c15))
    rest = muladd(x4, rest, cubic(x, x2, c8, c9, c10, c11))
    rest = muladd(x4, rest, cubic(x, x2, c4, c5, c6, c7))
    return muladd(x4, rest, cubic(x, x2, c0, c1, c2, c3))
