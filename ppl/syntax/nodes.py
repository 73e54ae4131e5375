"""What all nodes of the tree have in common: a place, equality of meaning, and the nodes below them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, NamedTuple, TypeVar, dataclass_transform


class Span(NamedTuple):
    """A stretch of source: lines and columns from 1, the end exclusive."""

    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0

    def to(self, other: Span) -> Span:
        """From the beginning of this one to the end of the other."""
        return Span(self.line, self.column, other.end_line, other.end_column)


NOWHERE = Span()
N = TypeVar("N", bound="Node")
T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def node(kind: type[T]) -> type[T]:
    """A class of nodes. That they are frozen the type checker sees to: code that did would take longer to make, at every
    start, than most files take to be checked. For the same reason comparing and showing are written once, in `Node`.
    """
    return dataclass(slots=True, eq=False, repr=False)(kind)


@node
class Node:
    span: Span = field(default=NOWHERE, compare=False, repr=False, kw_only=True)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _compared(type(self)))  # type: ignore[arg-type]

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in _compared(type(self)))))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
        return f"{type(self).__name__}({', '.join(shown)})"


@cache
def _compared(kind: type) -> tuple[str, ...]:
    """The fields of a class that are its meaning."""
    return tuple(f.name for f in fields(kind) if f.compare)


def children(node: Any) -> Iterator[Node]:
    """The nodes directly below a node, in the order of its fields."""
    for name in _parts(type(node)):  # type: ignore[arg-type]
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif type(value) is tuple and value:
            yield from _nodes(value)


def walk(node: Any) -> Iterator[Node]:
    """A node's descendants and itself, parents first."""
    waiting: list[Any] = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Node):
            yield each
        waiting.extend(reversed(list(children(each))))


@cache
def _parts(kind: type) -> tuple[str, ...]:
    """The fields of a class that can hold nodes."""
    return tuple(f.name for f in fields(kind) if f.name not in ("span", "text", "path"))


def rewritten(node: N, rule: Callable[[Node], Node]) -> N:
    """A copy in which every node, from the leaves up, is what `rule` makes of it."""
    changes: dict[str, Any] = {}
    for each in fields(node):
        value = getattr(node, each.name)
        if isinstance(value, Node):
            changes[each.name] = rewritten(value, rule)
        elif isinstance(value, tuple) and any(isinstance(v, Node) for v in value):
            changes[each.name] = tuple(rewritten(v, rule) if isinstance(v, Node) else v for v in value)
    copied: Any = replace(node, **changes) if changes else node
    result: Any = rule(copied)
    return result  # type: ignore[no-any-return]


def _nodes(values: tuple[Any, ...]) -> Iterator[Node]:
    for value in values:
        if isinstance(value, Node):
            yield value
        elif type(value) is tuple:
            yield from _nodes(value)
