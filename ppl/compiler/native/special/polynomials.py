"""Polynomials c0 + c1 x + c2 x² + … with the coefficients as arguments.

Even and odd terms are two polynomials in x², each by Horner's rule, so that a processor works on two chains of
products at once; long ones are two such polynomials. Every operation is one of `muladd`.
"""

from __future__ import annotations

from ppl.compiler.native import f64, muladd, native

# fmt: off

@native(exact=True, inline=True)
def poly_2(x: f64, c0: f64, c1: f64, c2: f64) -> f64:
    return muladd(x, muladd(x, c2, c1), c0)


@native(exact=True, inline=True)
def poly_3(x: f64, c0: f64, c1: f64, c2: f64, c3: f64) -> f64:
    x2 = x * x
    even = muladd(x2, c2, c0)
    odd = muladd(x2, c3, c1)
    return muladd(x, odd, even)


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
def poly_7(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64,
) -> f64:
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
    even = muladd(x2, muladd(x2, muladd(x2, muladd(x2, c8, c6), c4), c2), c0)
    odd = muladd(x2, muladd(x2, muladd(x2, muladd(x2, c9, c7), c5), c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_10(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64,
) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, muladd(x2, muladd(x2, muladd(x2, c10, c8), c6), c4), c2), c0)
    odd = muladd(x2, muladd(x2, muladd(x2, muladd(x2, c9, c7), c5), c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_11(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64,
) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, muladd(x2, muladd(x2, muladd(x2, c10, c8), c6), c4), c2), c0)
    odd = muladd(x2, muladd(x2, muladd(x2, muladd(x2, muladd(x2, c11, c9), c7), c5), c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_12(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64,
) -> f64:
    x2 = x * x
    even = muladd(x2, muladd(x2, muladd(x2, muladd(x2, muladd(x2, muladd(x2, c12, c10), c8), c6), c4), c2), c0)
    odd = muladd(x2, muladd(x2, muladd(x2, muladd(x2, muladd(x2, c11, c9), c7), c5), c3), c1)
    return muladd(x, odd, even)


@native(exact=True, inline=True)
def poly_15(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64,
) -> f64:
    x4 = (x * x) * (x * x)
    low = poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7)
    high = poly_7(x, c8, c9, c10, c11, c12, c13, c14, c15)
    return muladd(x4 * x4, high, low)


@native(exact=True, inline=True)
def poly_16(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64, c16: f64,
) -> f64:
    x4 = (x * x) * (x * x)
    low = poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7)
    high = poly_8(x, c8, c9, c10, c11, c12, c13, c14, c15, c16)
    return muladd(x4 * x4, high, low)


@native(exact=True, inline=True)
def poly_24(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64, c16: f64, c17: f64, c18: f64, c19: f64,
    c20: f64, c21: f64, c22: f64, c23: f64, c24: f64,
) -> f64:
    x4 = (x * x) * (x * x)
    low = poly_11(x, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11)
    high = poly_12(x, c12, c13, c14, c15, c16, c17, c18, c19, c20, c21, c22, c23, c24)
    return muladd(x4 * x4 * x4, high, low)
