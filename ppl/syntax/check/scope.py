"""The names of one body while it is checked: what they are, where they can be used, whether they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ppl.syntax import tree
from ppl.syntax.check.elsewhere import NAMES_ELSEWHERE
from ppl.syntax.check.near import near
from ppl.syntax.loops import Loop
from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span
from ppl.syntax.values import Size, Value

_PROGRAMS = ("model", "guide", "objective", "function", "namespace")


@dataclass
class Binding:
    """One name: what it is called in errors, its value, where it was given; for what loops build, the value is that of
    one element and `sizes` are those of the loops.
    """

    kind: str
    value: Value
    span: Span
    sizes: tuple[Size, ...] = ()
    used: bool = False

    @property
    def whole(self) -> Value:
        """The value after all loops: an array of the elements."""
        if not self.sizes or self.value.shape is None:
            return self.value
        return Value(
            self.value.kind,
            self.value.interval,
            (*self.sizes, *self.value.shape),
            self.value.structure,
            self.value.of,
        )


@dataclass
class Scope:
    """What is known at a point of a body. `outside` are the names of the file and of the language."""

    outside: dict[str, Value]
    names: dict[str, Binding] = field(default_factory=dict)
    open: list[Loop] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    """Names that were local to a loop that is over, with its index."""
    guards: dict[str, int] = field(default_factory=dict)
    """The least value a loop's index can have here, from the tests around."""
    what: str = "model"
    """The kind of body, for errors."""
    given: dict[str, Span] = field(default_factory=dict)
    """Where the body gives names values for the first time."""
    partial: set[str] = field(default_factory=set)
    """Names that some branches of an `if` gave."""
    reported: set[str] = field(default_factory=set)
    """Names whose lack was reported: once is enough."""

    def find(self, name: str) -> Binding | None:
        found = self.names.get(name)
        if found is not None:
            found.used = True
        return found

    def building(self, name: str) -> list[Loop]:
        """The open loops that build a name, outermost first."""
        return [loop for loop in self.open if name in loop.elements]

    def unknown(self, name: tree.Name) -> Problem | None:
        """The problem of a name that nothing here is called; None if that was said already."""
        if name.id in self.reported:
            return None
        self.reported.add(name.id)
        special = self._indexed(name) or self._given_elsewhere(name)
        if special is not None:
            return special
        rows = [f"`{name.id}` is not a name in scope."]
        if self.open:
            indices = ", ".join(f"{loop.statement.index.id} (over {loop.name})" for loop in self.open)
            rows.append(f"Loop indices here: {indices}.")
        values = [n for n, v in self.outside.items() if v.kind not in _PROGRAMS]
        alike = near(name.id, [*self.names, *values])
        foreign = NAMES_ELSEWHERE.get(name.id) or NAMES_ELSEWHERE.get(name.id.lower())
        above = f"an argument of the {self.what}, or a statement above: {name.id} ~ … or {name.id} = …"
        edit = alike[0] if alike else foreign or above
        return Problem("name", name.span, " ".join(rows), _words(alike), f"`{name.id}`", edit)

    def _indexed(self, name: tree.Name) -> Problem | None:
        """A loop's index or local name behind the loop."""
        if name.id not in self.left:
            return None
        index = self.left[name.id]
        if index == name.id:
            headline = f"`{index}` is the index of a loop that is over"
            return Problem("name", name.span, headline, "a statement in that loop, or a number", f"`{index}`",
                           "move the statement into the loop, or write a number: 0, -1")  # fmt: skip
        return Problem(
            "name",
            name.span,
            f"`{name.id}` belongs to one iteration of the loop over {index}, which is over",
            f"`{name.id}[{index}]` in the loop, if all of them are wanted here",
            f"`{name.id}`",
            f"{name.id}[{index}] = … in the loop",
        )

    def _given_elsewhere(self, name: tree.Name) -> Problem | None:
        """A name that gets its value below, or in some branches of an `if` only."""
        span = self.given.get(name.id)
        if span is None:
            return None
        if (span.line, span.column) > (name.span.line, name.span.column):
            headline = f"`{name.id}` gets its value only below, on line {span.line}"
            edit = f"move line {span.line} above this one"
            return Problem("name", name.span, headline, "a value before it is used", f"`{name.id}`", edit)
        if name.id in self.partial:
            headline = f"`{name.id}` has a value in some branches of an `if` only"
            edit = f"{name.id} = … (or ~ …) in every branch, `else` too"
            return Problem(
                "name", name.span, headline, "a value in every branch", f"line {span.line} only", edit
            )
        return None


def _words(names: Iterable[str]) -> str | None:
    listed = list(names)
    return " or ".join(f"`{n}`" for n in listed) if listed else None
