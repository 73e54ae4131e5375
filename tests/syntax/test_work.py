"""Reading and checking a file takes work in proportion to its size, whatever it is full of. Lines that run are counted."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from ppl.syntax.check import check
from ppl.syntax.check.near import near
from ppl.syntax.limits import AXES, BLOCKS, FIRST
from ppl.syntax.parse import _item

LINES = {
    "sites": ("model m():\n", "    x{0} ~ Normal(0, 1)\n", ""),
    "a chain of quantities": ("model m(x0: real):\n", "    x{1} = x{0} + 1\n", ""),
    "loops": ("model m(N: int):\n", "    for i in N:\n        x{0}[i] ~ Normal(0, 1)\n", ""),
    "loops that begin later": ("model m(N: int):\n", "    for i in range(1, N):\n        x{0}[i] = 1\n", ""),
    "their elements read": ("model m(N: int):\n", "    for i in range(1, N):\n        x{0}[i] = 1\n    y{0} = sum(x{0})\n", ""),
    "first elements": (
        "model m(T: int):\n", "    z{0}[0] ~ Normal(0, 1)\n    for t in range(1, T):\n        z{0}[t] ~ Normal(0, 1)\n", "",
    ),
    "branches": ("model m(a: real):\n", "    x{0} = a\n    if a > {0}:\n        y{0} = x{0}\n    else:\n        y{0} = 1\n", ""),
    "one row of branches": ("model m(a: real):\n    if a > 0:\n        x = 1\n", "    elif a > {0}:\n        x{0} = 1\n", ""),
    "long names": ("model m():\n", "    " + "quantity" * 12 + "{0} = " + "quantty" * 12 + "{0}\n", ""),
    "a guide with other names": (
        "model m():\n    pass\n\nguide g for m:\n", "    x{0} ~ Normal(0, 1)\n", "",
    ),
    "data without a model's names": ("model m():\n    xyzzy ~ Normal(0, 1)\n\ndata:\n", "    xyzy{0} = 1\n", ""),
    "loops with one index": ("model m():\n", "    for i in {1}:\n        x{0}[i] ~ Normal(0, 1)\n", ""),
    "a list": ("model m():\n    x = [", "1, ", "2]\n"),
    "a name that is not imported": ("from std.objectives import elbo", ", elb{0}", "\n"),
    "items that are broken": ("", "model m{0}():\n    x ~ ~ 1\n", ""),
    "broken items at the end": ("", "\n\n\n\n", "model m():\n    x = f(]\n\nmodel n():\n    x = 1 1\n" * 20),
    "unclosed": ("model m():\n    x = f(\n", "    y{0} = 1\n", ""),
}  # fmt: skip


def work(function: Callable[[], object]) -> int:
    """How many lines run, those of loops as often as they do."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", LINES)
def test_three_times_the_text_is_three_times_the_work(name: str):
    head, line, end = LINES[name]

    def taken(n: int) -> int:
        text = head + "".join(line.format(k, k + 1) for k in range(n)) + end
        _item.cache_clear()
        return work(lambda: check(text))

    taken(20)  # tables and patterns that are kept
    some, more = taken(30), taken(90)
    assert more < 3.4 * some


def test_a_name_is_compared_with_few_names():
    def taken(n: int) -> int:
        return work(lambda: near("quantty", [f"quantity{k:04}" for k in range(n)]))

    taken(20)
    assert taken(900) < 1.3 * taken(150)


@pytest.mark.parametrize("part", ["(0)", "[0]", ".b"])
def test_a_longer_chain_is_as_much_more_work(part: str):
    def taken(n: int) -> int:
        _item.cache_clear()
        return work(lambda: check(f"model m(a):\n    x = a{part * n}\n"))

    taken(20)
    assert taken(180) < 3 * taken(90)


@pytest.mark.parametrize(
    "text",
    [
        "model m(T: int):\n    z[0] ~ Normal(0, 1)\n    for t in range(1000000000, T):\n        z[t] ~ Normal(z[t-1], 1)\n",
        "model m(T: int):\n"
        + "".join(f"    z[{k}] ~ Normal(0, 1)\n" for k in range(FIRST + 1))
        + f"    for t in range({FIRST + 1}, T):\n        z[t] ~ Normal(z[t-1], 1)\n",
        "model m(x0: int[N, N]):\n" + "".join(f"    x{k + 1} = x{k}[x{k}]\n" for k in range(40)),
        f"model m(x: real[{', '.join(f'N{k}' for k in range(AXES + 1))}]):\n    y ~ Normal(sum(x), 1)\n",
        "model m(N: int):\n" + "".join(f"{' ' * (k + 1)}for i{k} in N:\n" for k in range(BLOCKS + 1)) + " " * 60 + "pass\n",
    ],
    ids=["a first index that is large", "many first elements", "axes that double", "axes of a type", "loops in loops"],
)  # fmt: skip
def test_what_grows_faster_than_the_text_is_bounded(text: str):
    assert "resource" in [e.kind for e in check(text).errors]


def test_lists_in_lists_are_looked_at_once():
    def taken(n: int) -> int:
        _item.cache_clear()
        return work(lambda: check(f"model m():\n    x = {'[' * n}1{']' * n}\n"))

    taken(2)
    assert taken(16) < 3 * taken(8)


def test_guides_of_each_other_are_checked():
    check("guide a for b:\n    x ~ Normal(0, 1)\n\nguide b for a:\n    x ~ Normal(0, 1)\n")
