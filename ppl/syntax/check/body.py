"""Statements of one body, in order: what names they give, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from ppl.syntax import tree
from ppl.syntax.blocks import statements
from ppl.syntax.check.control import Control
from ppl.syntax.check.sites import Sites
from ppl.syntax.check.types import value_of
from ppl.syntax.families import families
from ppl.syntax.format import expression_text, target_text
from ppl.syntax.functions import ALIASES, CONSTANTS, FUNCTIONS, OBJECTIVE_ONLY
from ppl.syntax.values import ANY, Interval, Mismatch, Value, broadcast, shape_text


class Body(Sites, Control):
    """Checks one `def` or program."""

    def run(self) -> None:
        self.block(self.structure.body)
        self._unused()

    def block(self, body: Sequence[tree.Statement]) -> None:
        ended: tree.Statement | None = None
        for at, statement in enumerate(body):
            if ended is not None and not isinstance(ended, tree.If):
                self._problem(
                    "structure", statement.span, "nothing is run behind a `return`", edit="move it above"
                )
                break
            if id(statement) in self.structure.skipped:
                assert isinstance(statement, tree.Assign)
                self.expressions.numbers(statement.value, "a value before the first")
                continue
            getattr(self, f"_{type(statement).__name__.lower()}")(statement)
            if isinstance(statement, tree.Return):
                ended = statement
            elif _returns(statement) and (at + 1 < len(body) or not _always_returns(statement)):
                place = next(s for s in statements([statement]) if isinstance(s, tree.Return))
                self._problem(
                    "structure",
                    place.span,
                    "a `return` ends a body, or every branch of an `if` that ends it",
                    edit="give the result a name in the branches, and return it at the end",
                )

    # statements

    def _assign(self, s: tree.Assign) -> None:
        value = self.expressions.of(s.value)
        if len(s.targets) > 1:
            elements = s.value.elements if isinstance(s.value, tree.Tuple) else ()
            if elements and len(elements) != len(s.targets):
                what = f"{len(s.targets)} names for {len(elements)} values"
                few = ", ".join(expression_text(x) for x in elements[: len(s.targets)])
                edit = f"{', '.join(map(target_text, s.targets))} = {few}"
                self._problem("type", s.span, what, "as many of both", f"{len(elements)} values", edit)
            for at, target in enumerate(s.targets):
                given = self.expressions.of(elements[at]) if at < len(elements) else ANY
                self._give(target, given, "local")
            return
        target = s.targets[0]
        if s.operator:
            previous = self.scope.find(target.name.id)
            if previous is None:
                self._augments_nothing(target, s)
            elif previous.value.is_number and value.is_number:
                shape = broadcast([previous.value.shape, value.shape])
                wide = None if isinstance(shape, Mismatch) else shape
                value = Value("real", Interval(), wide)
        if s.type is not None:
            value = self._typed(s, value)
        if target.name.id in self.parameters and not target.indices and self.kind != "function":
            self._problem(
                "name",
                target.span,
                f"`{target.name.id}` is an argument, and is given another value here",
                edit=f"{target.name.id}_2 = …",
                severity="warning",
            )
        self._give(target, value, "element" if target.indices else "local")

    def _augments_nothing(self, target: tree.Target, s: tree.Assign) -> None:
        name = target.name.id
        self.scope.reported.add(name)
        if name == "target":
            indices = (
                f"[{', '.join(loop.statement.index.id for loop in self.scope.open)}]"
                if self.scope.open
                else ""
            )
            self._problem("name", target.span, "there is no `target`: a log weight is a factor, and has a name",
                          "factor name = …", f"{name} {s.operator}= …",
                          f"factor penalty{indices} = {expression_text(s.value)}")  # fmt: skip
            return
        if target.indices:
            text = target_text(target)
            self._problem("name", target.span, f"`{text}` has no value yet in this iteration", f"{text} = …",
                          f"{text} {s.operator}= …", f"{text} = {expression_text(s.value)}")  # fmt: skip
            return
        where = "above the loop" if self.scope.open else "above"
        found = f"{target_text(target)} {s.operator}= …"
        self._problem("name", target.span, f"`{name}` has no value yet", f"{name} = … {where}", found,
                      f"{name} = 0 {where}")  # fmt: skip

    def _typed(self, s: tree.Assign, value: Value) -> Value:
        assert s.type is not None
        self._sizes_known(s.type)
        kind = value_of(s.type, self.report)
        if kind.is_number and value.is_number:
            if value.interval.misses(kind.interval):
                self._problem(
                    "support",
                    s.value.span,
                    f"this is {value.interval}, and its type says {kind.interval}",
                    str(kind.interval),
                    str(value.interval),
                    "real, or another value",
                )
            joined = broadcast([value.shape, kind.shape])
            longer = value.shape is not None and kind.shape is not None and len(value.shape) > len(kind.shape)
            if isinstance(joined, Mismatch) or longer:
                self._problem(
                    "shape",
                    s.value.span,
                    "this doesn't have the shape of its type",
                    shape_text(kind.shape),
                    shape_text(value.shape),
                    f"{s.type.name.id}{shape_text(value.shape)}",
                )
        return kind

    def _return(self, s: tree.Return) -> None:
        if self.scope.open:
            self._problem(
                "structure", s.span, "a loop can't be left before its end", edit="return behind the loop"
            )
        value = self.expressions.of(s.value) if s.value is not None else ANY
        if self.kind == "objective" and value.is_number and value.shape:
            self._problem(
                "shape",
                s.span,
                f"an objective is one number, and this is {value}",
                "a number",
                str(value),
                f"return mean({expression_text(s.value)})" if s.value is not None else None,
            )
        self.returns = value

    def _pass(self, s: tree.Pass) -> None:
        pass

    def _docstring(self, s: tree.Docstring) -> None:
        pass

    def _evaluate(self, s: tree.Evaluate) -> None:
        before = self.errors
        self.expressions.of(s.value)
        if self.errors > before:
            return
        text = expression_text(s.value)
        edit = f"x ~ {text}" if text.partition("(")[0] in families() else f"x = {text}"
        self._problem("structure", s.span, "this value is not used: the line has no effect", edit=edit)

    def _unused(self) -> None:
        if self.errors or (self.kind == "function" and not _any_return(self.structure.body)):
            return  # what uses a name may be what could not be read
        for name, binding in self.scope.names.items():
            if binding.used or name.startswith("_"):
                continue
            words = {
                "local": "a quantity",
                "element": "a quantity",
                "parameter": "an argument",
                "param": "a param",
            }
            if binding.kind in words and not (binding.kind == "parameter" and self.kind == "guide"):
                self._problem(
                    "name",
                    binding.span,
                    f"`{name}` is not used",
                    edit=f"leave it out, or call it _{name}",
                    severity="warning",
                )


def _returns(s: tree.Statement) -> bool:
    return isinstance(s, tree.If) and any(isinstance(x, tree.Return) for x in statements([s]))


def _any_return(body: Sequence[tree.Statement]) -> bool:
    return any(isinstance(s, tree.Return) for s in statements(body))


def _always_returns(s: tree.Statement) -> bool:
    if isinstance(s, tree.Return):
        return True
    if not isinstance(s, tree.If) or not s.otherwise:
        return False
    return all(b and _always_returns(b[-1]) for b in [*(x.body for x in s.branches), s.otherwise])


def reserved(name: str) -> str | None:
    """What of the language a name hides, if any."""
    if name in FUNCTIONS or name in ALIASES or name in OBJECTIVE_ONLY:
        return "a function"
    if name in families():
        return "a distribution"
    return "a constant" if name in CONSTANTS and name not in ("e",) else None
