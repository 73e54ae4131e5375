"""What the checker knows of a value: kind of number, interval, named sizes, structure. Unknown is always allowed; an error
is something that is wrong whatever the data are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from ppl.syntax import tree

Size = str | int | None
"""A size: a dim or an expression of dims by its text ("N", "N - 1"), a number, or unknown."""

Shape = tuple[Size, ...] | None
"""Sizes of the axes; None if not even their number is known."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of what a number can be. `open` of an end says that it is not itself possible."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __str__(self) -> str:
        words = {(-math.inf, math.inf): "real", (0.0, math.inf): "positive" if self.open_low else "nonnegative",
                 (0.0, 1.0): "unit"}  # fmt: skip
        if (self.low, self.high) in words:
            return words[self.low, self.high]
        if self.low == self.high:
            return f"{self.low:g}"
        if self.high == math.inf:
            return f"{'greater than' if self.open_low else 'at least'} {self.low:g}"
        if self.low == -math.inf:
            return f"{'less than' if self.open_high else 'at most'} {self.high:g}"
        return f"between {self.low:g} and {self.high:g}"

    def within(self, other: Interval) -> bool:
        """Whether all of it is in the other one; an open end of the other is taken as closed (a zero of measure zero)."""
        return self.low >= other.low and self.high <= other.high

    def misses(self, other: Interval) -> bool:
        """Whether nothing of it is in the other one."""
        below = self.high < other.low or (self.high == other.low and other.open_low)
        above = self.low > other.high or (self.low == other.high and other.open_high)
        return below or above

    def hull(self, other: Interval) -> Interval:
        """The smallest that holds both."""
        low, high = min(self.low, other.low), max(self.high, other.high)
        return Interval(
            low,
            high,
            all(i.open_low for i in (self, other) if i.low == low),
            all(i.open_high for i in (self, other) if i.high == high),
        )


REAL = Interval()
POSITIVE = Interval(0.0, math.inf, open_low=True)
NONNEGATIVE = Interval(0.0)
UNIT = Interval(0.0, 1.0)

VECTORS = {
    "simplex": UNIT,
    "ordered": REAL,
    "positive_ordered": POSITIVE,
    "unit_vector": Interval(-1.0, 1.0),
    "sum_to_zero": REAL,
}
"""Vectors with structure, and what their elements are."""


@dataclass(frozen=True, slots=True)
class Value:
    """`kind`: "real", "int", "bool" for numbers; "model", "trace", "distribution", "text", … for other things, "any" for
    what is not known. `structure` is about the last axes ("simplex", "ordered", …).
    """

    kind: str = "any"
    interval: Interval = REAL
    shape: Shape = ()
    structure: str = ""
    of: Value | None = None
    """For a distribution or program: what a draw from it, or its return value, is."""

    @property
    def is_number(self) -> bool:
        return self.kind in ("real", "int", "bool")

    @property
    def rank(self) -> int | None:
        return len(self.shape) if self.shape is not None else None

    def __str__(self) -> str:
        if not self.is_number:
            return {
                "any": "a value of unknown type",
                "text": "a text",
                "texts": "a list of texts",
                "tuple": "several values",
            }.get(self.kind, f"a {self.kind}" if self.kind[0] not in "aeiou" else f"an {self.kind}")
        name = self.structure or ("int" if self.kind == "int" else self.kind)
        if not self.structure and self.kind == "real":
            name = str(self.interval)
        elif self.kind == "int" and self.interval.low == self.interval.high:
            name = f"{self.interval.low:g}"
        return name + shape_text(self.shape)


ANY = Value(shape=None)
NUMBER = Value("real", shape=None)
SCALAR = Value("real")


def shape_text(shape: Shape) -> str:
    """`[N, D]`; an unknown size is a `?`."""
    if not shape:
        return "" if shape is not None else "[…]"
    return f"[{', '.join('?' if s is None else str(s) for s in shape)}]"


def number(value: float | int) -> Value:
    """A literal."""
    return Value("int" if isinstance(value, int) else "real", Interval(float(value), float(value)))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two sizes that should be one."""

    left: Size
    right: Size
    axis: int


def broadcast(shapes: Sequence[Shape]) -> Shape | Mismatch:
    """The shape of an operation on elements, as torch has it: from the last axis, 1 fits all."""
    if any(s is None for s in shapes):
        return None
    known = [s for s in shapes if s is not None]
    result: list[Size] = []
    for axis in range(max((len(s) for s in known), default=0)):
        size: Size = 1
        for shape in known:
            if axis < len(shape):
                joined = same(size, shape[-1 - axis], broadcasting=True)
                if isinstance(joined, Mismatch):
                    return replace(joined, axis=-1 - axis)
                size = joined
        result.append(size)
    return tuple(reversed(result))


def same(a: Size, b: Size, *, broadcasting: bool = False) -> Size | Mismatch:
    """The size that two axes share, or that they can't: two numbers, or two different dims."""
    if a == b:
        return a
    if broadcasting and (a == 1 or b == 1):
        return b if a == 1 else a
    if a is None or b is None:
        return a if b is None else b
    if isinstance(a, int) and isinstance(b, int):
        return Mismatch(a, b, 0)
    if isinstance(a, str) and isinstance(b, str) and a.isidentifier() and b.isidentifier():
        return Mismatch(a, b, 0)
    return a if isinstance(a, int) else b


def equal(a: Size, b: Size) -> bool:
    """Whether two sizes can be one."""
    return not isinstance(same(a, b), Mismatch)


def size_of(e: tree.Expression) -> Size:
    """A size from the expression in a type or a loop."""
    from ppl.syntax.format import expression_text

    if isinstance(e, tree.Parenthesised):
        return size_of(e.inner)
    if isinstance(e, tree.Number):
        return e.value if isinstance(e.value, int) else None
    return expression_text(e)


@dataclass(frozen=True, slots=True)
class Need:
    """A support that a parameter of a distribution needs: of numbers, or of vectors and matrices (`structure`)."""

    interval: Interval = REAL
    whole: bool = False
    event_dim: int = 0
    structure: str = ""
    words: str = field(default="", compare=False)


_STRUCTURES = {
    "simplex": 1, "ordered": 1, "positive_ordered": 1, "unit_vector": 1, "sum_to_zero": 1, "one_hot": 1,
    "corr_cholesky": 2, "lower_cholesky": 2, "cov": 2, "corr_matrix": 2, "positive_definite": 2,
}  # fmt: skip


@cache
def need(support: str) -> Need:
    """A support in the words of `families.json`."""
    base, _, rest = support.partition("[")
    event = int(rest[:-1]) if rest else 0
    if base in _STRUCTURES:
        return Need(VECTORS.get(base, REAL), structure=base, event_dim=_STRUCTURES[base], words=base)
    if base == "real":
        return Need(event_dim=event, words="real")
    kind, low, high = base.split()
    interval = Interval(float(low), float(high), open_low=kind == "open")
    said = "between 0 and 1" if interval == UNIT else str(interval)
    words = f"a whole number, {said}" if kind == "whole" else said
    return Need(interval, kind == "whole", event, words=words)


def of_need(support: str | None, event_dim: int, discrete: bool) -> Value:
    """What a draw is, from the support of its family; sizes of an event are not known."""
    shape: Shape = (None,) * event_dim
    if support is None:
        return Value("int" if discrete else "real", shape=shape)
    found = need(support)
    return Value("int" if discrete else "real", found.interval, shape, found.structure)
