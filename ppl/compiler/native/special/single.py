"""Functions of one number at a time, with the C library's exponential and logarithm and with branches.

They serve outside loops, and in loops whose steps wait for each other: there nothing vectorises, and code without
branches only has longer chains of operations.
"""

from __future__ import annotations

from ppl.compiler.native import f64, math, native


@native(exact=True, c_library=True)
def exp(x: f64) -> f64:
    return math.exp(x)


@native(exact=True, c_library=True)
def exp2(x: f64) -> f64:
    return math.exp2(x)


@native(exact=True, c_library=True)
def expm1(x: f64) -> f64:
    return math.expm1(x)


@native(exact=True, c_library=True)
def log(x: f64) -> f64:
    return math.log(x)


@native(exact=True, c_library=True)
def log2(x: f64) -> f64:
    return math.log2(x)


@native(exact=True, c_library=True)
def log10(x: f64) -> f64:
    return math.log10(x)


@native(exact=True, c_library=True)
def log1p(x: f64) -> f64:
    return math.log1p(x)


@native(exact=True, c_library=True)
def tanh(x: f64) -> f64:
    return math.tanh(x)


@native(exact=True, c_library=True)
def pow(x: f64, y: f64) -> f64:
    return math.pow(x, y)


@native(exact=True, c_library=True)
def sigmoid(x: f64) -> f64:
    """1/(1 + e⁻ˣ), of the argument's sign that does not overflow."""
    if x >= 0.0:
        return 1.0 / (1.0 + math.exp(-x))
    e = math.exp(x)
    return e / (1.0 + e)


@native(exact=True, c_library=True)
def log_sigmoid(x: f64) -> f64:
    """−log(1 + e⁻ˣ)."""
    if x >= 0.0:
        return -math.log1p(math.exp(-x))
    return x - math.log1p(math.exp(x))


@native(exact=True, c_library=True)
def softplus(x: f64, beta: f64, threshold: f64) -> f64:
    """log(1 + exp(βx))/β, and x where βx is above the threshold."""
    scaled = x * beta
    if scaled > threshold:
        return x
    return math.log1p(math.exp(scaled)) / beta


@native(exact=True, c_library=True)
def xlogy(x: f64, y: f64) -> f64:
    """x log y, zero where x is and y is a number."""
    if x == 0.0 and y == y:
        return 0.0
    return x * math.log(y)


@native(exact=True, c_library=True)
def logaddexp(x: f64, y: f64) -> f64:
    """log(eˣ + eʸ)."""
    if x == y:
        return x + 0.6931471805599453
    gap = x - y
    if gap > 0.0:
        return x + math.log1p(math.exp(-gap))
    if gap <= 0.0:
        return y + math.log1p(math.exp(gap))
    return gap
