"""Functions of many short loops, and those that are not vectorised: what they become, and that they mean the same."""

from __future__ import annotations

import re

import numpy as np
import pytest
from compiler.native.both import one, same

from ppl.compiler.native import NativeError

LONG = "    for j in range(n):\n        out[j] = 0.5 * out[j]\n"


def many(count: int, loop: str) -> str:
    return "def f(out: Floats, n: i64) -> None:\n" + loop * count + LONG


@pytest.mark.parametrize("count", (64, 65))
def test_many_short_loops_are_left_as_they_are(count: int) -> None:
    """More than 64 loops of a few rounds are neither unrolled nor vectorised; a long loop among them may be."""
    source = many(count, "    for i in range(8):\n" + "        out[i] += 1.0\n" * 4)
    compiled = one(source)[1]
    marked = re.findall(r"label %for\.\d+, label %done\.\d+, !llvm\.loop !\d+\n", compiled.library.ir)
    assert len(marked) == (0 if count == 64 else 65)
    same(source, np.zeros(9), 9)


@pytest.mark.parametrize(
    ("loop", "written_out"),
    (
        ("    for i in range(3):\n        out[i] += 1.0\n", True),
        ("    for i in range(4):\n        for k in range(3):\n            out[i + 2 * k] += out[i]\n", True),
        ("    for i in range(4):\n" + "        out[i] += 1.0\n" * 7, False),  # 28 statements
        ("    for i in range(5):\n        out[i] += 1.0\n", False),
        ("    for i in range(n // 4):\n        out[i] += 1.0\n", False),
        ("    for i in range(2):\n        if out[i] < 9.0:\n            out[i] += 1.0\n", False),
    ),
)
def test_among_many_short_loops_the_shortest_are_written_out(loop: str, written_out: bool) -> None:
    short = "    for i in range(3):\n        out[i] += 0.5\n"
    source = many(65, short) + loop
    assert one(source)[1].library.ir.count("\nfor.") == (1 if written_out else 2)
    same(source, np.arange(12.0), 9)


def test_a_written_out_counter_is_a_local_like_any_other() -> None:
    """It keeps its last value, may be assigned to, and what is first assigned inside is not known after."""
    body = """
    i = -1
    for i in range(3):
        out[i] += 1.0
        i = i + 10
    for i in range(4):
        out[i] += float(i)
    out[7] = float(i)
"""
    same(many(65, "    for i in range(2):\n        out[i] += 1.0\n") + body, np.arange(12.0), 9)
    with pytest.raises(NativeError, match="may be read before it is assigned"):
        one(
            many(65, "    for i in range(2):\n        x = out[i]\n        out[i] = 2.0 * x\n")
            + "    out[3] = x\n"
        )


SUM = """
@native(vectorise=False)
def half(x: f64) -> f64:
    return 0.5 * x

@native({options})
def f(a: Floats, n: i64) -> f64:
    total = 0.0
    for i in range(n):
        total += half(a[i]) * a[i]
    for i in range(9, 1, -2):
        a[i] = total
    return total
"""


def test_what_is_not_vectorised_has_no_vectors() -> None:
    """The sum of i² / 2 to 999: every term and partial sum is a whole number of halves, so that the order is no matter."""
    for options, vectors in (("", True), ("vectorise=False", False)):
        source = SUM.format(options=options)
        assert same(source, np.arange(1000.0), 1000) == 999 * 1000 * 1999 / 12
        assert (re.search(r"<\d+ x double>", one(source)[1].library.optimised_ir) is not None) is vectors
