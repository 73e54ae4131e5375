"""Statements and functions of the subset mean, compiled, what they mean in Python."""

from __future__ import annotations

import importlib
import linecache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiler.native.both import one, same

from ppl.compiler.native import build, f64, from_source, math, native


@pytest.mark.parametrize("n", [0, 1, 2, 7])
@pytest.mark.parametrize(
    "loop",
    [
        "range(n)", "range(2, n)", "range(0, n, 3)", "range(n, 0, -1)", "range(n, -3, -2)", "range(-n, n)",
        "range(5, 5)", "short_range(n)",
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


@pytest.mark.parametrize(
    "lines",
    [
        "a[0] = 1.0", "a[2] += 1.0", "p = a\np[0] = 1.0", "p = a[1:]\np[0] = 1.0", "put(a[1:])",
        "p = a\nif n > 1:\n    p = b\np[0] = 1.0", "p = b\nfor i in range(n):\n    p[0] = 1.0\n    p = a",
        "p, q = a, b\nfor i in range(n):\n    p, q = q, p\nput(q)", "p = a if n > 1 else b[n:]\np[0] = 1.0",
        "p = select(n > 1, b, a)\np[0] = 1.0",
        "p = select(n > 1, a, b)\np[0] = 1.0", "p = a[2:] if b[0] > 0.0 else b\np[0] = 1.0", "d(b, a, k)",
    ],
)  # fmt: skip
def test_an_array_is_known_to_be_stored_to_by_whatever_name(lines: str) -> None:
    """Callers then have to give one that can be written to, and LLVM is not told that it is only read."""
    put = "def put(x: Floats) -> None:\n    x[0] = 2.0\n\n"
    head = "def f(a: Floats, b: Floats, c: Floats, k: Ints, d: Density, n: i64) -> f64:\n"
    body = "".join(f"    {line}\n" for line in [*lines.split("\n"), "return a[0] + b[0] + c[0]"])
    _, compiled = one(put + head + body)
    assert compiled.signature.stored[0]
    assert not compiled.signature.stored[2]
    assert "readonly %a" not in compiled.library.ir


def test_letters_beyond_ascii_are_names() -> None:
    source = (
        "def f(μ: f64, σ: f64) -> f64:\n    Δ = μ - σ\n    while Δ > 1.0:\n        Δ -= 1.0\n    return Δ\n"
    )
    same(source, 7.5, 2.25)


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
    for _ in range(2):  # what is emitted once is used again
        library = build([scaled, factorial, even])
    assert library["scaled"](4.0) == scaled(4.0) == 45.0
    assert library["factorial"](10.0) == 3628800.0
    assert [library["even"](float(n)) for n in range(4)] == [True, False, True, False]


def test_the_text_is_that_of_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file edited after it was imported is compiled as it runs."""
    text = (
        "from ppl.compiler.native import f64, native\n\n@native\ndef f(x: f64) -> f64:\n    return x + {}.0\n"
    )
    path = tmp_path / "edited_module.py"
    path.write_text(text.format(1), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("edited_module").f
    path.write_text("# a new line\n" + text.format(2), "utf-8")
    linecache.checkcache()
    assert build([function])["f"](1.0) == function(1.0) == 2.0


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


def test_functions_that_are_alike_share_their_code() -> None:
    """Two models may bring the same helper, each its own."""
    helper = "def h(x: f64) -> f64:\n    return x + 1.0\n"
    [a], [b] = from_source(helper, "a"), from_source(helper, "b")
    [f] = from_source("def f(x: f64) -> f64:\n    return p(x) * q(x)\n", "f", {"p": a, "q": b})
    library = build([f, b])
    assert library["f"](1.0) == 4.0
    assert library.ir.count("define dso_local double @h.") == 1
    assert library.ir.count("define") == 2
