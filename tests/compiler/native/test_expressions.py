"""Every expression of the subset means, compiled, what it means in Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from compiler.native.both import close, one, same

from ppl.compiler.native import math as c_math

INF, NAN = math.inf, math.nan
FLOATS = (0.0, -0.0, 1.0, -1.5, 2.5, 3.5, 1e300, -7.25, INF, -INF, NAN)
INTS = (0, 1, -1, 2, 3, -5, 7, 64, -64, 2**40 + 3, -(2**40) - 3)


def f64_function(expression: str, exact: bool = True) -> str:
    return f"@native(exact={exact})\ndef f(x: f64, y: f64) -> f64:\n    return {expression}\n"


@pytest.mark.parametrize(
    "expression",
    [
        "x + y", "x - y", "x * y", "-x", "+x", "x / (y + 0.125)", "x ** 0", "x ** 1",
        "abs(x)", "min(x, y)", "max(x, y)", "min(x, 1)", "max(0, y)", "2 * x + 1", "x - 3",
        "x if x < y else y", "x / 3.0 if y > 0 else x * 7.0", "1 if x < 0.0 else y", "select(x <= y, x, -y)",
        "math.sqrt(x)", "math.floor(x)", "math.ceil(x)", "math.trunc(x)", "math.fabs(x)",
        "math.copysign(x, y)",
        "math.fma(x, y, 1.5)", "round_even(x)", "math.inf", "-math.inf + x", "math.pi * 1.0", "math.nan",
        "from_bits(bits(x) ^ bits(y))", "from_bits(bits(x) & 0x7FFFFFFFFFFFFFFF)", "float(3)", "float(x < y)",
        "from_bits(0x8000000000000000)", "0.1 + x", "0.0 + x", "-0.0 + x", "0.0 if x < y else -0.0",
        "1e-310 * x", "123456789.125 - x",
    ],
)  # fmt: skip
def test_an_exact_float_expression_agrees_to_the_bit(expression: str) -> None:
    python, compiled = one(f64_function(expression))
    for x in FLOATS:
        for y in FLOATS:
            with np.errstate(all="ignore"):
                close(compiled(x, y), python(x, y), 0.0)


@pytest.mark.parametrize("n", range(9))
def test_a_power_is_a_product(n: int) -> None:
    """At most seven roundings apart from Python's, which rounds once."""
    _, compiled = one(f64_function(f"x ** {n} + 0.0 * y"))
    for x in (0.0, -1.1, 3.7, 1e-3):
        close(compiled(x, 1.0), x**n + 0.0, 8 * 2.0**-53)


@pytest.mark.parametrize("expression", ["x // y", "x % y", "(x - 0.5) // y", "(x + 0.1) % -y"])
def test_float_division_rounds_down_as_pythons(expression: str) -> None:
    python, compiled = one(f64_function(expression))
    for x in (0.0, -0.0, 1.0, -1.0, 7.5, -7.5, 1e300, -3.25):
        for y in (1.0, -1.0, 2.5, -2.5, 1e-3, 7.0):
            close(compiled(x, y), python(x, y), 0.0)
    close(compiled(1.0, 0.0), NAN, 0.0)


@pytest.mark.parametrize(
    "expression",
    [
        "a + b", "a - b", "a * b", "-a", "+a", "~a", "a & b", "a | b", "a ^ b", "a << 3", "a >> 3",
        "a >> (b & 63)",
        "1 << (b & 15)", "a // 7", "a % 7", "a // -7", "a % -7", "a // 8", "a % 8", "a // 1", "a % 1",
        "a ** 3 if a < 1000 and a > -1000 else 0", "abs(a)", "min(a, b)", "max(a, b)", "int(a < b)",
        "int(a <= b)", "int(a > b)", "int(a >= b)", "int(a == b)", "int(a != b)",
        "int(float(a) / 2.0)", "int(-2.9)", "int(2.9)", "a if a == b else b", "select(a != b, a, 7)",
        "int(True)",
        "bits(float(a))", "wrap(a)", "0x7FFFFFFFFFFFFFFF & a", "int(bool(a)) + int(bool(float(b)))",
    ],
)  # fmt: skip
def test_an_integer_expression_agrees(expression: str) -> None:
    python, compiled = one(f"def f(a: i64, b: i64) -> i64:\n    return {expression}\n")
    for a in INTS:
        for b in INTS:
            expected = python(a, b)
            if -(2**63) <= expected < 2**63:
                assert compiled(a, b) == expected, (a, b)


@pytest.mark.parametrize("operator", ["//", "%"])
def test_integer_division_by_a_variable_rounds_down(operator: str) -> None:
    python, compiled = one(f"def f(a: i64, b: i64) -> i64:\n    return a {operator} b\n")
    for a in INTS:
        for b in INTS:
            if b != 0:
                assert compiled(a, b) == python(a, b), (a, b)


def test_integer_division_never_stops_the_process() -> None:
    """Where Python raises, or the result needs 65 bits, there is some number."""
    _, quotient = one("def f(a: i64, b: i64) -> i64:\n    return a // b\n")
    _, remainder = one("def f(a: i64, b: i64) -> i64:\n    return a % b\n")
    least = -(2**63)
    assert (quotient(7, 0), remainder(7, 0)) == (0, 7)
    assert (quotient(least, -1), remainder(least, -1)) == (least, 0)


def test_integers_wrap_at_64_bits() -> None:
    """The linear congruential generator of MMIX (Knuth), whose modulus is 2⁶⁴."""
    source = """
def f(seed: i64, n: i64) -> i64:
    x = seed
    for i in range(n):
        x = wrap(x * 6364136223846793005 + 1442695040888963407)
    return x
"""
    x = 12345
    for _ in range(100):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
    assert same(source, 12345, 100) % 2**64 == x
    same(source, -(2**63), 7)


@pytest.mark.parametrize(
    "expression",
    [
        "x < y", "x <= y", "x > y", "x >= y", "x == y", "x != y", "not x < y", "x < y < 2.0",
        "x < 1.0 <= y != 3.5",
        "x < y and y < 3.0", "x < y or y < 3.0", "x < 0.0 and y < 0.0 and x < y",
        "x > 0.0 or y > 0.0 or x == y",
        "not (x < y or x > 1.0)", "(x < y) & (y < 3.0)", "(x < y) | (y < 3.0)", "(x < y) ^ (y < 3.0)",
        "(x < y) == (y < 3.0)", "(x < y) != (y < 3.0)", "bool(x)", "math.isnan(x)", "math.isinf(x)",
        "math.isfinite(y)", "True", "x < 1 and (y / 2.0 > 1 or not math.isnan(x))",
        "x < y if y > 0.0 else x > y",
    ],
)  # fmt: skip
def test_a_condition_agrees_also_on_nan(expression: str) -> None:
    for exact in (True, False):
        python, compiled = one(
            f"@native(exact={exact})\ndef f(x: f64, y: f64) -> bool:\n    return {expression}\n"
        )
        for x in FLOATS:
            for y in FLOATS:
                assert compiled(x, y) is bool(python(x, y)), (x, y)


def test_what_follows_and_or_is_evaluated_only_if_it_matters() -> None:
    """Reading a[n] would leave the array: here it is outside memory altogether."""
    source = """
def f(a: Floats, n: i64, far: i64) -> i64:
    hits = 0
    if n > 0 and a[far] > 0.0:
        hits += 1
    if n <= 0 or a[far] > 0.0:
        hits += 2
    x = a[far] if n > 0 else 5.0
    if 0 < n < a[far]:
        hits += 4
    return hits + int(x)
"""
    assert same(source, np.ones(3), 0, 2**45) == 7


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])  # what `special` replaces is tested there
def test_the_c_library_is_called(name: str) -> None:
    source = f64_function(f"math.{name}(x) + 0.0 * y")
    for x in (0.3, -2.0, 10.0):
        same(source, x, 1.0)


def test_a_pair_that_llvm_computes_together_is_found() -> None:
    """On Linux it calls `sincos`, which is no part of C."""
    same("def f(x: f64) -> f64:\n    return math.sin(x) - 2.0 * math.cos(x)\n", 0.3, rtol=1e-15)


def test_math_of_whole_numbers_is_of_their_floats() -> None:
    same("def f(n: i64) -> f64:\n    return math.sqrt(n) + math.floor(n) + math.exp(n)\n", 4, rtol=1e-15)


@pytest.mark.usefixtures("fused")
def test_muladd_is_fma_where_machines_fuse() -> None:
    python, compiled = one("def f(x: f64, y: f64, z: f64) -> f64:\n    return muladd(x, y, z)\n")
    for x in FLOATS:
        for y in FLOATS:
            for z in (0.0, -0.0, -1.0, 1e300, INF):
                close(compiled(x, y, z), python(x, y, z), 0.0)
                close(python(x, y, z), c_math.fma(x, y, z), 0.0)


@pytest.mark.parametrize("exact", [True, False])
def test_muladd_of_integers_and_in_fast_functions(exact: bool) -> None:
    _, compiled = one(f"@native(exact={exact})\ndef f(x: f64, n: i64) -> f64:\n    return muladd(x, n, 1)\n")
    assert compiled(2.5, 3) == 8.5


def test_python_mode_gives_inf_and_nan_where_pythons_math_raises() -> None:
    assert c_math.exp(1e3) == INF
    assert c_math.log(0.0) == -INF
    assert math.isnan(c_math.log(-1.0))
    assert math.isnan(c_math.sqrt(-1.0))
    assert c_math.pow(0.0, -1.0) == INF
    assert isinstance(c_math.floor(2.5), float)


@pytest.mark.parametrize(
    ("x", "y", "z"),
    [(0.1, 10.0, -1.0), (1e300, 1e300, -INF), (1e300, 1e10, 0.0), (0.0, -5.0, 0.0), (2.0, 3.0, -6.0)],
)
def test_fma_rounds_once(x: float, y: float, z: float) -> None:
    expected = same("def f(x: f64, y: f64, z: f64) -> f64:\n    return math.fma(x, y, z)\n", x, y, z)
    if (x, y) == (0.1, 10.0):
        assert expected == 2.0**-54  # 0.1 is 2⁻⁵⁴/10 too large
