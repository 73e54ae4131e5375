"""What operators do to intervals, and what tests say of indices."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ppl.syntax import tree
from ppl.syntax.values import NONNEGATIVE, REAL, Interval


def least(test: tree.Expression, holds: bool, known: Mapping[str, int]) -> dict[str, int]:
    """The least values that names have where a test holds (or fails): {"t": 1} of `t > 0`, with those `known`."""
    if isinstance(test, tree.Parenthesised):
        return least(test.inner, holds, known)
    if isinstance(test, tree.Unary) and test.operator == "not":
        return least(test.operand, not holds, known)
    if isinstance(test, tree.Binary) and test.operator == ("and" if holds else "or"):
        return least(test.right, holds, least(test.left, holds, known))
    if isinstance(test, tree.Compare) and len(test.operators) == 1:
        left, operator, right = _without_offset(test.first, test.operators[0], test.operands[0])
        if isinstance(left, tree.Number):
            turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
            left, operator, right = right, turned.get(operator, operator), left
        if isinstance(left, tree.Name) and isinstance(right, tree.Number) and isinstance(right.value, int):
            value = right.value
            table = {
                (">", True): value + 1,
                (">=", True): value,
                ("==", True): value,
                ("!=", False): value,
                ("<", False): value,
                ("<=", False): value + 1,
            }
            if (operator, holds) in table:
                return {**known, left.id: max(table[operator, holds], known.get(left.id, 0))}
            if (operator, holds) in (("==", False), ("!=", True)) and value == known.get(left.id, 0):
                return {**known, left.id: value + 1}
    return dict(known)


def _without_offset(
    left: tree.Expression, operator: str, right: tree.Expression
) -> tuple[tree.Expression, str, tree.Expression]:
    """`t - 1 >= 0` as `t >= 1`."""
    if isinstance(left, tree.Binary) and left.operator in "+-" and isinstance(right, tree.Number):
        offset, value = left.right, right.value
        if isinstance(offset, tree.Number) and isinstance(offset.value, int) and isinstance(value, int):
            return (
                left.left,
                operator,
                tree.Number(value + (1 if left.operator == "-" else -1) * offset.value),
            )
    return left, operator, right


def arithmetic(operator: str, a: Interval, b: Interval, same_operand: bool) -> Interval:
    """The interval of a result."""
    if operator == "+":
        return Interval(
            _add(a.low, b.low), _add(a.high, b.high), a.open_low or b.open_low, a.open_high or b.open_high
        )
    if operator == "-":
        return Interval(_add(a.low, -b.high), _add(a.high, -b.low), a.open_low or b.open_high)
    if operator in ("*", "/", "//"):
        if operator == "*" and same_operand:
            return NONNEGATIVE
        if operator != "*":
            if b.low < 0 or (b.low == 0 and b.high == 0):
                return REAL
            b = Interval(
                0.0 if b.high == math.inf else 1 / b.high,
                math.inf if b.low == 0 else 1 / b.low,
                b.high == math.inf,
            )
        ends = [_times(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        low = min(ends)
        opened = low == 0 and (a.open_low or a.low > 0) and (b.open_low or b.low > 0)
        return REAL if operator == "//" and low < 0 else Interval(low, max(ends), opened)
    if operator == "**":
        if a.low == a.high and b.low == b.high and (a.low > 0 or (a.low < 0 and b.low % 1 == 0)):
            exact = raised(a.low, b.low)
            return Interval(exact, exact)
        if a.low >= 0 and b.low >= 0:
            low = 1.0 if a.low >= 1 else 0.0
            return Interval(low, 1.0 if a.high <= 1 else math.inf, low == 0 and (a.open_low or a.low > 0))
        if a.low >= 0:
            return Interval(0.0, math.inf, a.open_low or a.low > 0)
        even = b.low == b.high and b.low % 2 == 0
        return NONNEGATIVE if even else REAL
    if operator == "%":
        return Interval(0.0, b.high, False, True) if b.low >= 0 else REAL
    return REAL


def raised(x: float, y: float) -> float:
    """x ** y, infinite where it is too large."""
    try:
        return float(x**y)
    except OverflowError:
        return math.inf


def _add(x: float, y: float) -> float:
    total = x + y
    return total if not math.isnan(total) else -math.inf


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y
