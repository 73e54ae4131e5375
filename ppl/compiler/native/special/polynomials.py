"""Polynomials c0 + c1 x + c2 x² + … with the coefficients as arguments, evaluated by halves (Estrin 1960).

The upper half of the terms is a polynomial times a power of x, and so on, so that a processor works on several
products at once: about half the latency of Horner's rule for a few multiplications more.
"""

from __future__ import annotations

from ppl.compiler.native import f64, native

# fmt: off

@native(exact=True, inline=True)
def poly_2(x: f64, c0: f64, c1: f64, c2: f64) -> f64:
    x2 = x * x
    return (c0 + c1 * x) + c2 * x2


@native(exact=True, inline=True)
def poly_3(x: f64, c0: f64, c1: f64, c2: f64, c3: f64) -> f64:
    x2 = x * x
    return (c0 + c1 * x) + (c2 + c3 * x) * x2


@native(exact=True, inline=True)
def poly_4(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64) -> f64:
    x2 = x * x
    x4 = x2 * x2
    return poly_3(x, c0, c1, c2, c3) + c4 * x4


@native(exact=True, inline=True)
def poly_5(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64) -> f64:
    x2 = x * x
    x4 = x2 * x2
    return poly_3(x, c0, c1, c2, c3) + (c4 + c5 * x) * x4


@native(exact=True, inline=True)
def poly_6(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64) -> f64:
    x2 = x * x
    x4 = x2 * x2
    return poly_3(x, c0, c1, c2, c3) + poly_2(x, c4, c5, c6) * x4


@native(exact=True, inline=True)
def poly_7(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64) -> f64:
    x2 = x * x
    x4 = x2 * x2
    return poly_3(x, c0, c1, c2, c3) + poly_3(x, c4, c5, c6, c7) * x4


@native(exact=True, inline=True)
def poly_8(x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    return poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7) + c8 * x8


@native(exact=True, inline=True)
def poly_9(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    return poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7) + (c8 + c9 * x) * x8


@native(exact=True, inline=True)
def poly_10(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    return poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7) + poly_2(x, c8, c9, c10) * x8


@native(exact=True, inline=True)
def poly_11(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    return poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7) + poly_3(x, c8, c9, c10, c11) * x8


@native(exact=True, inline=True)
def poly_12(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    return poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7) + poly_4(x, c8, c9, c10, c11, c12) * x8


@native(exact=True, inline=True)
def poly_15(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    return poly_7(x, c0, c1, c2, c3, c4, c5, c6, c7) + poly_7(x, c8, c9, c10, c11, c12, c13, c14, c15) * x8


@native(exact=True, inline=True)
def poly_16(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64, c16: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    x16 = x8 * x8
    return poly_15(x, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15) + c16 * x16


@native(exact=True, inline=True)
def poly_24(
    x: f64, c0: f64, c1: f64, c2: f64, c3: f64, c4: f64, c5: f64, c6: f64, c7: f64, c8: f64, c9: f64,
    c10: f64, c11: f64, c12: f64, c13: f64, c14: f64, c15: f64, c16: f64, c17: f64, c18: f64, c19: f64,
    c20: f64, c21: f64, c22: f64, c23: f64, c24: f64,
) -> f64:
    x2 = x * x
    x4 = x2 * x2
    x8 = x4 * x4
    x16 = x8 * x8
    low = poly_15(x, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15)
    return low + poly_8(x, c16, c17, c18, c19, c20, c21, c22, c23, c24) * x16
