"""Giving names their values; statements that declare: `deterministic`, `factor`, `param`, `state`, and `set`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ppl.syntax import tree
from ppl.syntax.check.callees import example
from ppl.syntax.check.scope import Binding
from ppl.syntax.check.state import State
from ppl.syntax.check.types import value_of
from ppl.syntax.format import expression_text, target_text, type_text
from ppl.syntax.limits import ELEMENTS, too_large
from ppl.syntax.values import ANY, Value, size_of


class Declarations(State):
    """The part of `Body` that is about declarations."""

    def _keep(self, s: tree.Keep) -> None:
        what = "a deterministic quantity" if s.keyword == "deterministic" else "a factor"
        if self.kind == "function":
            self._problem("structure", s.span, f"a function has no {what[2:]}s", "a model", edit="x = …")
        self._sited(s.target, what)
        value = self.expressions.numbers(s.value, f"{what}")
        if s.keyword == "factor" and value.shape:
            self._problem(
                "shape",
                s.value.span,
                f"a factor is one number, and this is {value}",
                "a number",
                str(value),
                f"sum({expression_text(s.value)})",
            )
        self._give(s.target, value, s.keyword)
        if s.target.name.id in self.scope.names:
            self.scope.names[s.target.name.id].used = True

    def _declare(self, s: tree.Declare) -> None:
        name = s.target.name.id
        if self.scope.open or s.target.indices:
            self._problem(
                "structure", s.span, f"a {s.keyword} is declared once, above the loops", edit=self._above(s)
            )
        if s.keyword == "state" and self.kind != "objective":
            self._problem(
                "structure",
                s.span,
                f"only an objective keeps a state; this is a {self.kind}",
                "an objective",
                edit=f"param {name}: … = …",
            )
        if self.kind == "function":
            self._problem(
                "structure", s.span, f"a function has no {s.keyword}s", "a model, guide or objective",
                "a function", f"{name} as an argument of the function",
            )  # fmt: skip
        value = ANY
        if s.type is not None:
            self._sizes_known(s.type)
            value = value_of(s.type, self.report)
        if s.value is None:
            self._problem(
                "syntax",
                s.span,
                f"a {s.keyword} needs a value to begin with",
                f"{s.keyword} {name}: real = 0",
                "no value",
                f"{s.keyword} {name}{f': {type_text(s.type)}' if s.type is not None else ''} = {example(value.interval)}",
            )
        else:
            start = self.expressions.numbers(s.value, "what it begins with")
            if value.is_number and start.is_number and start.interval.misses(value.interval):
                self._problem(
                    "support",
                    s.value.span,
                    f"`{name}` is {value.interval}, and begins at {start.interval}",
                    str(value.interval),
                    str(start.interval),
                    f"{s.keyword} {name}: … = {example(value.interval, start.interval.low)}",
                )
            value = value if s.type is not None else start
        self._give(replace(s.target, indices=()), value, s.keyword)

    def _above(self, s: tree.Declare) -> str:
        """The edit for a declaration in a loop: one array above it."""
        name = s.target.name.id
        loops = self.scope.open
        sizes = ", ".join(expression_text(loop.stop) for loop in loops) or "N"
        indices = ", ".join(loop.statement.index.id for loop in loops) or "i"
        kind = s.type.name.id if s.type is not None else "real"
        value = expression_text(s.value) if s.value is not None else "0"
        return f"{s.keyword} {name}: {kind}[{sizes}] = {value} above the loop, and {name}[{indices}] in it"

    def _setstate(self, s: tree.SetState) -> None:
        found = self.scope.find(s.target.name.id)
        if found is None or found.kind != "state":
            states = [n for n, b in self.scope.names.items() if b.kind == "state"]
            self._problem(
                "name",
                s.target.span,
                f"`{s.target.name.id}` is no state",
                ", ".join(states) or "a state of this objective",
                f"`{s.target.name.id}`",
                f"state {s.target.name.id}: real = 0 above",
            )
        self.expressions.numbers(s.value, "a state")

    def _sizes_known(self, kind: tree.Type) -> None:
        total = 1.0
        for size in kind.shape:
            value = self.expressions.of(size)
            total *= (
                value.interval.low if value.kind == "int" and value.interval.low == value.interval.high else 1
            )
            if value.kind not in ("int", "any"):
                self._problem(
                    "type", size.span, f"a size is a whole number, and this is {value}", "int", str(value),
                    "a dim, or a whole number",
                )  # fmt: skip
        if total > ELEMENTS:
            self.report(too_large(kind.span, total))

    # giving names

    def _give(self, target: tree.Target, value: Value, kind: str) -> None:
        """Bind a target. In loops its indices are those of all the loops, or none."""
        name = target.name.id
        if not target.indices:
            previous = self.scope.names.get(name)
            if previous is not None and previous.kind in ("index", "dim"):
                what = "a loop's index" if previous.kind == "index" else "a size"
                self._problem(
                    "name", target.name.span, f"`{name}` is {what} here", edit=f"another name: {name}_"
                )
            self.scope.names[name] = Binding(kind, value, target.name.span, (), self._was_used(name))
            return
        indices = [i.id if isinstance(i, tree.Name) else None for i in target.indices]
        around = [loop.statement.index.id for loop in self.scope.open]
        if indices != around:
            self._wrong_indices(target, indices, around)
            return
        sizes = tuple(size_of(loop.stop) if loop.start is None else None for loop in self.scope.open)
        self.scope.names[name] = Binding(kind, value, target.name.span, sizes, self._was_used(name))

    def _was_used(self, name: str) -> bool:
        previous = self.scope.names.get(name)
        return previous is not None and previous.used

    def _wrong_indices(
        self, target: tree.Target, indices: Sequence[str | None], around: Sequence[str]
    ) -> None:
        name = target.name.id
        good = f"{name}[{', '.join(around)}]" if around else name
        if not around:
            headline = f"`{target_text(target)}`: elements are given values in a loop"
            edit = f"for i in N: and below it {name}[i] …"
        elif None in indices:
            headline = f"an iteration gives a value to its own element of `{name}`, and to no other"
            edit = good
        elif set(filter(None, indices)) < set(around):
            lost = next(i for i in around if i not in indices)
            headline, edit = f"this is done once for every {lost}: `{name}` needs that index too", good
        else:
            headline, edit = (
                f"the indices of `{name}` are those of the loops around it, outermost first",
                good,
            )
        self._problem("structure", target.span, headline, good, target_text(target), edit)

    def _sited(self, target: tree.Target, what: str) -> None:
        """A site's name: one statement only, and an index for every loop."""
        name = target.name.id
        around = [loop.statement.index.id for loop in self.scope.open]
        if not target.indices and around:
            good = f"{name}[{', '.join(around)}]"
            self._problem(
                "structure",
                target.span,
                f"{what} in a loop has the loop's index: there is one for every {around[-1]}",
                good,
                name,
                good,
            )
        previous = self.sites.get(name)
        if previous is not None and not self.in_branch:
            self._problem(
                "name",
                target.span,
                f"`{name}` is sampled twice; the first is on line {previous.span.line}",
                "one statement for a name",
                edit=f"{name}_2 ~ …",
            )
