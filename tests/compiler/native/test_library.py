"""Compiled functions called from Python: conventions, checks of arguments, lifetimes, a library's texts."""

from __future__ import annotations

import ctypes
import gc
import re
from typing import Any

import numpy as np
import pytest
from compiler.native.both import one

from ppl.compiler.native import Density, Floats, Ints, NativeError, build, f64, from_source, i64, math, native


@native
def dot(a: Floats, b: Floats, n: i64) -> f64:
    """Sum of a[i] b[i]."""
    total = 0.0
    for i in range(n):
        total += a[i] * b[i]
    return total


@native
def fill(out: Floats, marks: Ints, x: f64, n: i64, twice: bool) -> None:
    for i in range(n):
        out[i] = x * 2.0 if twice else x
    marks[0] += n


@native
def flip(flag: bool) -> bool:
    return not flag


@native
def call(density: Density, x: Floats, out: Floats, env: Ints) -> i64:
    return density(x, out, env)


@native
def model(x: Floats, out: Floats, env: Ints) -> i64:
    out[0] = -0.5 * x[0] * x[0]
    return env[0]


@native
def logistic(x: Floats, out: Floats, n: i64) -> None:
    for i in range(n):
        out[i] = 1.0 / (1.0 + math.exp(-x[i]))


@pytest.fixture(scope="module")
def library() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PPL_CACHE", "off")
        return build([dot, fill, flip, call, model], name="conventions")


def test_results_come_as_python_numbers(library: Any) -> None:
    a = np.arange(5.0)
    assert library["dot"](a, a, 5) == 30.0
    assert type(library["dot"](a, a, 5)) is float
    assert [library["flip"](flag) for flag in (True, False, np.bool_(True))] == [False, True, False]
    out, marks = np.zeros(3), np.array([4])
    assert library["fill"](out, marks, 1.5, np.int64(2), True) is None
    assert (out.tolist(), marks[0]) == ([3.0, 3.0, 0.0], 6)


def test_any_shape_read_only_and_empty_arrays_are_taken(library: Any) -> None:
    a = np.arange(6.0).reshape(2, 3)
    fixed = np.arange(6.0)
    fixed.flags.writeable = False
    assert library["dot"](a, fixed, 6) == 55.0
    assert library["dot"](np.empty(0), fixed, 0) == 0.0
    library["fill"](np.empty(0), np.array([1]), 1.0, 0, False)


def test_signatures_say_what_is_stored(library: Any) -> None:
    assert library["fill"].signature.stored == (True, True, False, False, False)
    assert library["dot"].signature.stored == (False, False, False)
    assert library["call"].signature.stored == (False, False, True, True)
    assert str(library["dot"].signature) == "(a: Floats, b: Floats, n: i64) -> f64"
    assert list(library) == ["dot", "fill", "flip", "call", "model"]


READ_ONLY = np.zeros(3)
READ_ONLY.flags.writeable = False
F, K = np.zeros(3), np.zeros(3, dtype=np.int64)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (
            "dot",
            (F, F),
            "`dot` takes 3 arguments\n  expected: (a: Floats, b: Floats, n: i64) -> f64\n  found:    2",
        ),
        (
            "dot",
            (F.astype(np.float32), F, 3),
            "`dot` can't take this for `a`\n  expected: Floats, a C-contiguous array of float64\n"
            "  found:    float32 array of shape (3,)\n  edit:     np.ascontiguousarray(a, dtype=np.float64)",
        ),
        (
            "dot",
            (F, np.zeros((3, 2))[:, 0], 3),
            "`dot` can't take this for `b`\n  expected: Floats, a C-contiguous array of float64\n"
            "  found:    float64 array of shape (3,), not C-contiguous\n"
            "  edit:     np.ascontiguousarray(b, dtype=np.float64)",
        ),
        (
            "dot",
            ([1.0], F, 1),
            "`dot` can't take this for `a`\n  expected: Floats, a C-contiguous array of float64\n"
            "  found:    list [1.0]\n  edit:     np.ascontiguousarray(a, dtype=np.float64)",
        ),
        (
            "dot",
            (F, F, 3.0),
            "`dot` can't take this for `n`\n  expected: i64, an int\n  found:    float 3.0",
        ),
        (
            "dot",
            (F, F, 2**63),
            "`dot` can't take this for `n`\n  expected: i64, an int of 64 bits\n"
            "  found:    int 9223372036854775808",
        ),
        (
            "fill",
            (READ_ONLY, K, 1.0, 1, True),
            "`fill` can't take this for `out`\n"
            "  expected: Floats, a C-contiguous array of float64 that can be written to\n"
            "  found:    float64 array of shape (3,), read-only",
        ),
        (
            "fill",
            (F, F, 1.0, 1, True),
            "`fill` can't take this for `marks`\n"
            "  expected: Ints, a C-contiguous array of int64 that can be written to\n"
            "  found:    float64 array of shape (3,)",
        ),
        (
            "fill",
            (F, K, "1", 1, True),
            "`fill` can't take this for `x`\n  expected: f64, a float\n  found:    str '1'",
        ),
        (
            "fill",
            (F, K, 1.0, 1, 1),
            "`fill` can't take this for `twice`\n  expected: bool\n  found:    int 1",
        ),
        (
            "call",
            (model, F, F + 1, K),
            "`call` can't take this for `density`\n"
            "  expected: Density, a compiled (x: Floats, out: Floats, env: Ints) -> i64, or its address\n"
            "  found:    Native <native model>",
        ),
        (
            "call",
            (0, F, F + 1, K),
            "`call` can't take this for `density`\n"
            "  expected: Density, a compiled (x: Floats, out: Floats, env: Ints) -> i64, or its address\n"
            "  found:    int 0",
        ),
        (
            "model",
            (F, F, K),
            "`model` writes to `out`, which it gets twice\n  expected: arrays that do not overlap\n"
            "  edit:     a second array for the result",
        ),
    ],
)
def test_what_can_not_be_passed_is_refused(
    library: Any, function: str, arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(NativeError) as caught:
        library[function](*arguments)
    assert str(caught.value) == f"native error\n{message}"


def test_an_unknown_function_is_refused(library: Any) -> None:
    with pytest.raises(NativeError, match="the library `conventions` has no function `norm`"):
        library["norm"]


def test_a_density_keeps_its_convention(library: Any) -> None:
    """The address is that of a C function int64 (double*, double*, int64*)."""
    x, out, env = np.array([3.0]), np.zeros(1), np.array([5])
    pointers = [ctypes.c_void_p] * 3
    function = ctypes.CFUNCTYPE(ctypes.c_int64, *pointers)(library["model"].address)
    assert function(x.ctypes.data, out.ctypes.data, env.ctypes.data) == 5
    assert out[0] == -4.5
    assert library["call"](library["model"], x, out, env) == 5


def test_a_density_only_reads_its_position(library: Any) -> None:
    text = "def wrong(x: Floats, out: Floats, env: Ints) -> i64:\n    x[0] = 1.0\n    return 0\n"
    [wrong] = from_source(text, "wrong")
    with pytest.raises(NativeError, match="`call` can't take this for `density`"):
        library["call"](build([wrong])["wrong"], F, F + 1, K)
    passes = "def f(x: Floats, out: Floats, env: Ints) -> i64:\n    return call(wrong, x, out, env)\n"
    with pytest.raises(NativeError, match="`wrong` writes to `x`: a density only reads it"):
        build(from_source(passes, "passes", {"call": call, "wrong": wrong}))


def test_a_c_callback_is_a_density(library: Any) -> None:
    words = ctypes.POINTER(ctypes.c_int64)
    numbers = ctypes.POINTER(ctypes.c_double)

    @ctypes.CFUNCTYPE(ctypes.c_int64, numbers, numbers, words)
    def density(x: Any, out: Any, env: Any) -> int:
        out[0] = x[0] + 1.0
        return env[0] + 1

    out = np.zeros(1)
    address = ctypes.cast(density, ctypes.c_void_p).value
    assert library["call"](address, np.array([2.0]), out, np.array([7])) == 8
    assert out[0] == 3.0


def test_a_function_keeps_its_library_in_memory() -> None:
    compiled = build([dot])["dot"]
    gc.collect()
    for _ in range(5):
        build([model])  # memory that was freed would be used again
    a = np.arange(4.0)
    assert compiled(a, a, 4) == 14.0


def test_the_same_function_is_built_twice_and_beside_others() -> None:
    a = np.arange(4.0)
    libraries = [build([dot]), build([dot]), build([fill, dot])]
    assert [library["dot"](a, a, 4) for library in libraries] == [14.0] * 3


def test_the_texts_of_a_library(library: Any) -> None:
    assert "total += a[i] * b[i]" in library.ir  # source lines are comments
    assert re.search(r"%total\.\d+ = fadd reassoc nsz arcp contract afn double", library.ir)
    header = next(line for line in library.ir.splitlines() if "@fill." in line)
    assert "ptr noalias nocapture align 8 %out" in header
    assert "readonly %a" in library.ir
    assert re.search(r"zeroext i1 @flip\.[0-9a-f]+\(i1 zeroext %flag\)", library.ir)  # as C passes a bool
    assert "define" in library.optimised_ir
    assert "vaddpd" in library.assembly or "fadd" in library.assembly or "addpd" in library.assembly


@pytest.mark.parametrize("function", [dot, logistic])
def test_loops_become_vector_code(function: Any) -> None:
    """Sums, and calls of `exp`, on two doubles at a time or more."""
    body = build([function]).optimised_ir
    assert re.search(r"fmul [a-z ]*<\d+ x double>", body)
    assert not re.search(r"call .*@exp", body)


def test_an_exact_function_has_no_flags_and_keeps_the_order_of_a_sum() -> None:
    source = """
@native(exact=True)
def f(a: Floats, n: i64) -> f64:
    total = 0.0
    for i in range(n):
        total += a[i] * a[i]
    return total
"""
    python, compiled = one(source)
    text = compiled.library.ir
    assert "reassoc" not in text and "contract" not in text
    a = np.random.default_rng(0).normal(size=1000)
    assert compiled(a, 1000) == python(a, 1000)


def test_a_function_of_math_is_ours_where_there_is_one() -> None:
    _, compiled = one("def f(x: f64) -> f64:\n    return math.exp(x) + math.sin(x)\n")
    text = compiled.library.ir
    assert re.search(r"call double @exp\.[0-9a-f]{12}\(", text)
    assert "declare double @sin(double)" in text


def test_inline_is_as_asked() -> None:
    text = one("""
@native(inline=True)
def g(x: f64) -> f64:
    return x + 1.0

@native(inline=False)
def h(x: f64) -> f64:
    return x + 2.0

def f(x: f64) -> f64:
    return g(x) + h(x)
""")[1].library
    assert re.search(r"@g\..*alwaysinline", text.ir)
    assert re.search(r"@h\..*noinline", text.ir)
    assert not re.search(r"call .*@g\.", text.optimised_ir)
    assert re.search(r"call .*@h\.", text.optimised_ir)


def test_a_long_sum_is_no_deep_recursion() -> None:
    terms = " + ".join(["x"] * 2000)
    _, compiled = one(f"def f(x: f64) -> f64:\n    return {terms}\n")
    assert compiled(0.5) == 1000.0


def test_threads_build_and_run_at_the_same_time() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(k: int) -> float:
        source = f"def f(a: Floats, n: i64) -> f64:\n    return a[n] + {k}.0\n"
        return one(source)[1](np.arange(10.0), k)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(8))) == [2.0 * k for k in range(8)]
