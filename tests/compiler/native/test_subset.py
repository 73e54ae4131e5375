"""Every statement and expression of the subset means, compiled, what it means in Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from compiler.native.both import close, one, same

from ppl.compiler.native import build, f64, from_source, native
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
        "math.sqrt(x)", "math.floor(x)", "math.ceil(x)", "math.trunc(x)", "math.fabs(x)", "math.copysign(x, y)",
        "math.fma(x, y, 1.5)", "round_even(x)", "math.inf", "-math.inf + x", "math.pi * 1.0", "math.nan",
        "from_bits(bits(x) ^ bits(y))", "from_bits(bits(x) & 0x7FFFFFFFFFFFFFFF)", "float(3)", "float(x < y)",
        "from_bits(0x8000000000000000)", "0.1 + x", "1e-310 * x", "123456789.125 - x",
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
        "a + b", "a - b", "a * b", "-a", "+a", "~a", "a & b", "a | b", "a ^ b", "a << 3", "a >> 3", "a >> (b & 63)",
        "1 << (b & 15)", "a // 7", "a % 7", "a // -7", "a % -7", "a // 8", "a % 8", "a // 1", "a % 1",
        "a ** 3 if a < 1000 and a > -1000 else 0", "abs(a)", "min(a, b)", "max(a, b)", "int(a < b)",
        "int(float(a) / 2.0)", "int(-2.9)", "int(2.9)", "a if a == b else b", "select(a != b, a, 7)", "int(True)",
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
    assert same(source, 12345, 100) == same(source, 12345 - 2**62 * 0, 100)
    assert same(source, -(2**63), 7) != 0


@pytest.mark.parametrize(
    "expression",
    [
        "x < y", "x <= y", "x > y", "x >= y", "x == y", "x != y", "not x < y", "x < y < 2.0", "x < 1.0 <= y != 3.5",
        "x < y and y < 3.0", "x < y or y < 3.0", "x < 0.0 and y < 0.0 and x < y", "x > 0.0 or y > 0.0 or x == y",
        "not (x < y or x > 1.0)", "(x < y) & (y < 3.0)", "(x < y) | (y < 3.0)", "(x < y) ^ (y < 3.0)",
        "(x < y) == (y < 3.0)", "(x < y) != (y < 3.0)", "bool(x)", "math.isnan(x)", "math.isinf(x)",
        "math.isfinite(y)", "True", "x < 1 and (y / 2.0 > 1 or not math.isnan(x))", "x < y if y > 0.0 else x > y",
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


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize(
    "loop",
    [
        "range(n)", "range(2, n)", "range(0, n, 3)", "range(n, 0, -1)", "range(n, -3, -2)", "range(-n, n)",
        "range(5, 5)",
    ],
)  # fmt: skip
def test_a_loop_takes_pythons_rounds(loop: str, n: int) -> None:
    body = f"""
def f(out: Ints, n: i64) -> i64:
    k = 0
    i = -1
    for i in {loop}:
        out[k] = i
        k += 1
        i = 100  # the counter is another
    return 10 * k + i
"""
    same(body, np.full(20, -7), n)


def test_loops_break_continue_and_nest() -> None:
    source = """
def f(a: Ints, n: i64) -> i64:
    total = 0
    last = -1
    for i in range(n):
        if a[i] == 3:
            continue
        j = 0
        while True:
            j += 1
            if j > a[i]:
                break
            if j % 2 == 0:
                continue
            for k in range(j):
                if k == 4:
                    break
                total += k
            last = j
        if total > 40:
            break
        total += 1
    while total > 100:
        total -= 10
        if last == total:
            return -total
    return 1000 * total + last
"""
    rng = np.random.default_rng(1)
    for n in range(10):
        same(source, rng.integers(0, 9, 10), n)


def test_a_branch_may_return_and_leave_the_rest_unreachable() -> None:
    source = """
def f(x: f64) -> f64:
    if x > 10.0:
        return 10.0
        x = 3.0
    elif x < 0.0:
        y = -x
    elif x == 5.0:
        while True:
            x += 1.0
            if x > 8.0:
                return x
    else:
        y = x * 2.0
        pass
    return y + 1.0
"""
    for x in (11.0, -3.0, 5.0, 1.0):
        same(source, x)


def test_assignment_in_all_its_forms() -> None:
    source = """
def f(a: Floats, k: Ints, flag: bool) -> f64:
    x = y = 2.0
    x, y = y + a[0], x - a[1]
    a[0], a[1] = a[1], a[0]
    n: i64 = k[0]
    z: f64 = x * 2.0
    x += 1
    x -= y
    x *= 3.0
    x /= 7.0
    n <<= 2
    n >>= 1
    n |= 8
    n &= 13
    n ^= 5
    n //= 2
    n %= 5
    a[n] += 0.5
    a[n + 1] *= x
    k[1] -= 4
    flag &= x > 0.0
    x **= 2
    return x + y + z + float(n) + float(flag)
"""
    same(source.replace("    x **= 2\n", ""), np.arange(8.0), np.array([5, 6]), True, rtol=1e-15)


def test_pointers_move_swap_and_choose() -> None:
    source = """
def g(p: Floats, n: i64) -> f64:
    total = 0.0
    for i in range(n):
        total += p[i]
        p[i] = -p[i]
    return total

def f(a: Floats, b: Floats, n: i64) -> f64:
    p = a[2:]
    q = b
    total = 0.0
    for i in range(n):
        p, q = q, p
        p[0] += 1.0
        total += p[1] * q[0]
        if i % 3 == 2:
            p = p[1:]
    r = p if n > 3 else q
    s = select(n > 2, a, b)
    s[0] = 17.0
    return total + r[0] + g(r[1:3], 2) + g(a[:1], 1)
"""
    for n in range(6):
        same(source, np.arange(10.0), np.arange(10.0) * 0.5, n)


def test_letters_beyond_ascii_are_names() -> None:
    source = "def f(μ: f64, σ: f64) -> f64:\n    Δ = μ - σ\n    while Δ > 1.0:\n        Δ -= 1.0\n    return Δ\n"
    same(source, 7.5, 2.25)


@pytest.mark.parametrize(
    "name", ["sin", "cos", "tan"]
)  # the C library's, in Python and compiled; what `special` replaces is tested there
def test_the_c_library_is_called(name: str) -> None:
    source = f64_function(f"math.{name}(x) + 0.0 * y")
    for x in (0.3, -2.0, 10.0):
        same(source, x, 1.0)


def test_math_of_whole_numbers_is_of_their_floats() -> None:
    same("def f(n: i64) -> f64:\n    return math.sqrt(n) + math.floor(n) + math.exp(n)\n", 4, rtol=1e-15)


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


SCALE = 2.5
COUNT = 3
FAST = True


@native
def square(x: f64) -> f64:
    return x * x


@native
def factorial(n: f64) -> f64:
    if n <= 1.0:
        return 1.0
    return n * factorial(n - 1.0)


@native
def even(n: f64) -> bool:
    return n == 0.0 or odd(n - 1.0)


@native
def odd(n: f64) -> bool:
    return n != 0.0 and even(n - 1.0)


@native
def scaled(x: float) -> float:
    """Globals, the standard library's math, and another native."""
    return SCALE * square(x) + COUNT + math.sqrt(x) if FAST else math.pi


def test_functions_of_a_file_see_its_globals() -> None:
    library = build([scaled, factorial, even])
    assert library["scaled"](4.0) == scaled(4.0) == 45.0
    assert library["factorial"](10.0) == 3628800.0
    assert [library["even"](float(n)) for n in range(4)] == [True, False, True, False]


def test_a_function_may_name_what_encloses_it() -> None:
    power = 3.0

    @native
    def inner(x: f64) -> f64:
        return x * power

    @native
    def outer(x: f64) -> f64:
        # a comment at the end
        return inner(x) + square(x)

        # and after it

    assert build([outer])["outer"](2.0) == outer(2.0) == 10.0
    assert set(outer.uses) == {inner, square}
    assert outer.source.startswith("    @native\n    def outer")


def test_a_text_has_numbers_and_several_functions() -> None:
    text = '''
"""Generated."""
K = 4
SHIFT = -0.5

def twice(x: f64) -> f64:
    return 2.0 * x

@native(exact=True, inline=False)
def f(x: f64) -> f64:
    return twice(x) * K + SHIFT + OUTSIDE + square(x)
'''
    twice, f = from_source(text, "numbers", {"OUTSIDE": 100.0, "square": square})
    assert (twice.name, twice.exact, f.exact, f.inline) == ("twice", False, True, False)
    assert f.uses == (twice, square)
    assert build([f])["f"](3.0) == f(3.0) == 24.0 - 0.5 + 100.0 + 9.0


def test_a_traceback_shows_generated_text() -> None:
    import traceback

    [f] = from_source("def f(x: f64) -> f64:\n    return 1.0 / x\n", "shown")
    try:
        f(0.0)
    except ZeroDivisionError:
        assert "return 1.0 / x" in traceback.format_exc()


def density_sum(x: Any, out: Any, env: Any) -> int:
    out[0] = x[0] + x[1]
    return int(env[0])


def test_a_density_is_called_by_address_compiled_and_as_a_callable_in_python() -> None:
    text = """
def model(x: Floats, out: Floats, env: Ints) -> i64:
    out[0] = x[0] + x[1]
    return env[0]

def twice(density: Density, x: Floats, out: Floats, env: Ints) -> i64:
    code = density(x, out, env)
    total = out[0]
    x[0] += 1.0
    return code + density(x, out, env) + int(total)

def known(x: Floats, out: Floats, env: Ints) -> i64:
    return twice(model, x, out, env)
"""
    model, twice, known = from_source(text, "densities")
    library = build([model, twice, known])
    expected = 2 * 7 + 3
    for function, density in (
        (twice, density_sum),
        (twice, model),
        (library["twice"], library["model"]),
        (library["twice"], library["model"].address),
    ):
        x, out = np.array([1.0, 2.0]), np.zeros(1)
        assert function(density, x, out, np.array([7])) == expected
        assert out[0] == 4.0
    x, out = np.array([1.0, 2.0]), np.zeros(1)
    assert library["known"](x, out, np.array([7])) == expected


def test_memory_is_reached_by_address() -> None:
    text = """
def f(env: Ints) -> f64:
    x = as_floats(env[0])
    k = as_ints(env[1])
    x[1] = 7.0
    k[0] += 1
    return x[0] + x[1:][1] + float(k[0])
"""
    python, compiled = one(text)
    for function in (python, compiled):
        x, k = np.array([1.0, 2.0, 3.0]), np.array([5])
        assert function(np.array([x.ctypes.data, k.ctypes.data])) == 10.0
        assert (x[1], k[0]) == (7.0, 6)
