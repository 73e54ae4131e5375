"""What a `.ppl` file says, as a tree: frozen nodes that know their place.

Equality is of meaning, not of place: two files that differ in layout and comments alone have equal trees.
"""

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


# Expressions


@node
class Expression(Node):
    pass


@node
class Number(Expression):
    """A literal. `text` is how it was written (`1e-3`), for the formatter."""

    value: int | float
    text: str = field(default="", compare=False)


@node
class Boolean(Expression):
    value: bool


@node
class String(Expression):
    value: str


@node
class Name(Expression):
    id: str


@node
class Unary(Expression):
    """`-x`, `+x`, `not x`."""

    operator: str
    operand: Expression


@node
class Binary(Expression):
    """Arithmetic `+ - * / // % @ **`, and `and`, `or`."""

    operator: str
    left: Expression
    right: Expression


@node
class Compare(Expression):
    """`a < b <= c`: as many operators as operands after the first."""

    first: Expression
    operators: tuple[str, ...]
    operands: tuple[Expression, ...]


@node
class Conditional(Expression):
    """`value if test else otherwise`."""

    value: Expression
    test: Expression
    otherwise: Expression


@node
class Keyword(Node):
    """`name = value` among arguments, options and settings."""

    name: Name
    value: Expression


@node
class Call(Expression):
    function: Expression
    arguments: tuple[Expression, ...] = ()
    keywords: tuple[Keyword, ...] = ()


@node
class Slice(Expression):
    """`start:stop` in an index; either may be left out."""

    start: Expression | None = None
    stop: Expression | None = None


@node
class Index(Expression):
    value: Expression
    indices: tuple[Expression, ...]


@node
class Attribute(Expression):
    """A name in a module: `std.priors.horseshoe`, or one of a bound program's handlers."""

    value: Expression
    name: Name


@node
class List(Expression):
    elements: tuple[Expression, ...]


@node
class Tuple(Expression):
    elements: tuple[Expression, ...]


@node
class Parenthesised(Expression):
    """Parentheses the user wrote: they mean nothing and are kept."""

    inner: Expression


# Types


@node
class Type(Node):
    """`real(lower=0)[N, D]`: a name, bounds or other arguments, and the sizes of an array's axes."""

    name: Name
    arguments: tuple[Expression, ...] = ()
    keywords: tuple[Keyword, ...] = ()
    shape: tuple[Expression, ...] = ()


# Statements


@node
class Statement(Node):
    pass


@node
class Target(Node):
    """What a statement gives a value to: `mu`, or an element `theta[j]` of what the loops build."""

    name: Name
    indices: tuple[Expression, ...] = ()


@node
class Sample(Statement):
    """`target: type ~ distribution with options`."""

    target: Target
    type: Type | None
    distribution: Expression
    options: tuple[Keyword, ...] = ()


@node
class Observe(Statement):
    """`observe target = value ~ distribution`: a value the program computes, as a datum."""

    target: Target
    value: Expression
    distribution: Expression


@node
class Assign(Statement):
    """`target = value`, `a, b = value`, `target += value`; `operator` is "" or the arithmetic one."""

    targets: tuple[Target, ...]
    type: Type | None
    operator: str
    value: Expression


@node
class Keep(Statement):
    """`deterministic target = value`: a quantity of the result. `factor target = value`: a log weight."""

    keyword: str
    target: Target
    value: Expression


@node
class Declare(Statement):
    """`param target: type = value` and `state target: type = value`."""

    keyword: str
    target: Target
    type: Type | None
    value: Expression | None


@node
class SetState(Statement):
    """`set name = value`: what a state is from the next step on."""

    target: Target
    value: Expression


@node
class For(Statement):
    """`begin` is where it was written to begin, if first elements above it were taken into it (`first.py`): those of
    the names `firsts`.
    """

    index: Name
    domain: Expression
    body: tuple[Statement, ...]
    begin: int = 0
    firsts: frozenset[str] = frozenset()


@node
class Branch(Node):
    test: Expression
    body: tuple[Statement, ...]


@node
class If(Statement):
    branches: tuple[Branch, ...]
    otherwise: tuple[Statement, ...] = ()


@node
class Return(Statement):
    value: Expression | None = None


@node
class Pass(Statement):
    pass


@node
class Docstring(Statement):
    text: str


@node
class Evaluate(Statement):
    """An expression on a line of its own; it has no meaning, and the checker says so."""

    value: Expression


# What stands at the left margin


@node
class Item(Node):
    pass


@node
class Parameter(Node):
    name: Name
    type: Type | None = None
    default: Expression | None = None


@node
class Imported(Node):
    """A name from another file, and what it is called here."""

    name: Name
    alias: Name | None = None


@node
class Import(Item):
    """`import a.b as c`; `from a.b import x as y, z` when `names` are given."""

    path: tuple[Name, ...]
    alias: Name | None = None
    names: tuple[Imported, ...] = ()


@node
class Function(Item):
    name: Name
    parameters: tuple[Parameter, ...]
    returns: Type | None
    body: tuple[Statement, ...]


@node
class Program(Item):
    """`kind` is "model", "guide" or "objective"; a guide may name its model."""

    kind: str
    name: Name
    parameters: tuple[Parameter, ...] | None
    model: Name | None
    body: tuple[Statement, ...]


@node
class Settings(Item):
    """A `data:` or `infer:` block."""

    kind: str
    entries: tuple[Keyword, ...]


@node
class Heading(Item):
    """The file's docstring."""

    text: str


@dataclass(frozen=True, slots=True)
class Comment:
    """`# …`: `own` if nothing else stands on its line. Comments are beside the tree, not in it."""

    line: int
    column: int
    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class File:
    path: str = field(compare=False)
    items: tuple[Item, ...] = ()
    comments: tuple[Comment, ...] = field(default=(), compare=False)


def children(node: Node | File) -> Iterator[Node]:
    """The nodes directly below a node, in the order of its fields."""
    for name in _parts(type(node)):  # type: ignore[arg-type]
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif type(value) is tuple and value:
            yield from _nodes(value)


def path(e: Expression) -> str:
    """`std.priors.horseshoe` of such a row of names; of any other expression nothing."""
    names: list[str] = []
    while isinstance(e, Attribute):
        names.append(e.name.id)
        e = e.value
    return ".".join([e.id, *reversed(names)]) if isinstance(e, Name) else ""


def walk(node: Node | File) -> Iterator[Node]:
    """A node's descendants and itself, parents first."""
    waiting: list[Node | File] = [node]
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
