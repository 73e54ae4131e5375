"""Index expressions: integer constants plus multiples of loop variables, with known ranges.

Views (slices, permutations, reshapes) become arithmetic on these, so that a view costs nothing at run time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Index:
    """const + Σ coefficient · atom; an atom is a loop variable or an integer computed before, in [0, size).

    >>> str(Index.atom("i").scaled(3).plus(2))
    '3*i + 2'
    """

    terms: tuple[tuple[str, int], ...] = ()
    const: int = 0

    @staticmethod
    def of(value: int) -> Index:
        return Index((), value)

    @staticmethod
    def atom(name: str) -> Index:
        return Index(((name, 1),), 0)

    @property
    def is_const(self) -> bool:
        return not self.terms

    def plus(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.terms, self.const + other)
        if not other.terms:
            return Index(self.terms, self.const + other.const)
        merged = dict(self.terms)
        for name, coefficient in other.terms:
            merged[name] = merged.get(name, 0) + coefficient
        return _from(merged, self.const + other.const)

    def scaled(self, factor: int) -> Index:
        if factor == 1:
            return self
        if factor == 0:
            return Index()
        return Index(tuple((n, c * factor) for n, c in self.terms), self.const * factor)

    def is_atom(self, name: str) -> bool:
        return self.const == 0 and self.terms == ((name, 1),)

    def bounds(self, sizes: Mapping[str, int]) -> tuple[int, int]:
        """The least and the largest value, inclusive."""
        low = high = self.const
        for name, c in self.terms:
            reach = c * (sizes[name] - 1)
            low, high = (low, high + reach) if c > 0 else (low + reach, high)
        return low, high

    def __str__(self) -> str:
        return render(self, str)


def _from(merged: Mapping[str, int], const: int) -> Index:
    return Index(tuple(sorted((n, c) for n, c in merged.items() if c)), const)


def render(index: Index, number: object) -> str:
    """The expression as source text; `number(n)` writes a whole number."""
    write = number  # a callable: literals may be lifted to parameters
    parts = []
    for name, c in index.terms:
        term = name if abs(c) == 1 else f"{write(abs(c))}*{name}"  # type: ignore[operator]
        parts.append(("- " if c < 0 else "+ ") + term)
    if index.const or not parts:
        parts.append(("- " if index.const < 0 else "+ ") + write(abs(index.const)))  # type: ignore[operator]
    text = " ".join(parts)
    return text[2:] if text.startswith("+ ") else "-" + text[2:]


def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides, in elements.

    >>> strides((2, 3, 4))
    (12, 4, 1)
    """
    result, step = [], 1
    for n in reversed(shape):
        result.append(step)
        step *= n
    return tuple(reversed(result))


def linear(idx: Sequence[Index], shape: Sequence[int]) -> Index:
    """The row-major position of the element at `idx`."""
    total = Index()
    for i, n, step in zip(idx, shape, strides(shape), strict=True):
        if n != 1:
            total = total.plus(i.scaled(step))
    return total


def split(position: Index, step: int, sizes: Mapping[str, int]) -> tuple[Index, Index] | None:
    """(position // step, position % step) where that is plain from the ranges of the atoms, else None.

    >>> q, r = split(Index.atom("i").scaled(4).plus(Index.atom("j")), 4, {"i": 9, "j": 4})
    >>> str(q), str(r)
    ('i', 'j')
    """
    whole = tuple((n, c // step) for n, c in position.terms if c % step == 0)
    rest = tuple((n, c) for n, c in position.terms if c % step != 0)
    const_whole, const_rest = divmod(position.const, step)
    remainder = Index(rest, const_rest)
    low, high = remainder.bounds(sizes)
    if low < 0 or high >= step:
        return None
    return Index(whole, const_whole), remainder
