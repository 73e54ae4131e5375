"""The names of one body while it is checked: what they are, where they can be used, whether they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ppl.errors import closest
from ppl.syntax import tree
from ppl.syntax.loops import Loop
from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span
from ppl.syntax.values import Size, Value


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

    def find(self, name: str) -> Binding | None:
        found = self.names.get(name)
        if found is not None:
            found.used = True
        return found

    def building(self, name: str) -> list[Loop]:
        """The open loops that build a name, outermost first."""
        return [loop for loop in self.open if name in loop.elements]

    def unknown(self, name: tree.Name) -> Problem:
        """The problem of a name that nothing here is called."""
        near = [n for n in closest(name.id, [*self.names, *self.outside]) if not n.startswith("__")]
        rows = []
        if name.id in self.left:
            index = self.left[name.id]
            return Problem(
                "name",
                name.span,
                f"`{name.id}` belongs to one iteration of the loop over {index}, which is over",
                expected=f"`{name.id}[{index}]` in the loop, if all of them are wanted here",
                edit=f"{name.id}[{index}] = … in the loop",
            )
        if self.open:
            indices = ", ".join(f"{loop.statement.index.id} (over {loop.name})" for loop in self.open)
            rows.append(f"Loop indices here: {indices}.")
        headline = " ".join([f"`{name.id}` is not a name in scope.", *rows])
        return Problem("name", name.span, headline, expected=_words(near), edit=near[0] if near else None)


def _words(names: Iterable[str]) -> str | None:
    listed = list(names)
    return " or ".join(f"`{n}`" for n in listed) if listed else None
