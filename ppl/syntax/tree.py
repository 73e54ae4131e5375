"""What a `.ppl` file says, as a tree: frozen nodes that know their place.

Equality is of meaning, not of place: two files that differ in layout and comments alone have equal trees.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ppl.syntax.nodes import NOWHERE as NOWHERE
from ppl.syntax.nodes import Node as Node
from ppl.syntax.nodes import Span as Span
from ppl.syntax.nodes import children as children
from ppl.syntax.nodes import node
from ppl.syntax.nodes import rewritten as rewritten
from ppl.syntax.nodes import walk as walk

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


def path(e: Expression) -> str:
    """`std.priors.horseshoe` of such a row of names; of any other expression nothing."""
    names: list[str] = []
    while isinstance(e, Attribute):
        names.append(e.name.id)
        e = e.value
    return ".".join([e.id, *reversed(names)]) if isinstance(e, Name) else ""
