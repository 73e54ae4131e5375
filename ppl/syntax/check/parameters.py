"""The parameters of a `def` or program: types, defaults, and the sizes they bind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ppl.syntax import tree
from ppl.syntax.check.body import Body, reserved
from ppl.syntax.check.callees import Callee, example
from ppl.syntax.check.reporting import Report
from ppl.syntax.check.scope import Binding, Scope
from ppl.syntax.check.types import value_of
from ppl.syntax.loops import structure
from ppl.syntax.problems import Problem
from ppl.syntax.values import ANY, Interval, Value


class Parameters:
    """The part of a file's check that is about parameters."""

    callees: dict[str, Callee]
    outside: dict[str, Value]

    def _parameters(self, parameters: Sequence[tree.Parameter], scope: Scope, report: Report) -> None:
        say = report
        for p in parameters:
            name = p.name.id
            if name in scope.names:
                say(
                    Problem(
                        "name",
                        p.name.span,
                        f"the argument `{name}` is named twice",
                        edit=f"another name: {name}_2",
                    )
                )
            if what := reserved(name):
                say(
                    Problem(
                        "name",
                        p.name.span,
                        f"`{name}` hides {what} of the language",
                        edit=f"another name: {name}_",
                        severity="warning",
                    )
                )
            value = value_of(p.type, say) if p.type is not None else ANY
            scope.names[name] = Binding("parameter", value, p.name.span)
            if p.default is not None:
                self._default(p, value, say)
        bound = self._bound(parameters)
        for p in parameters:
            for size in p.type.shape if p.type is not None else ():
                self._size(size, bound, scope, say)

    def _default(self, p: tree.Parameter, value: Value, say: Report) -> None:
        assert p.default is not None
        scope = Scope(dict(self.outside))
        body = Body(say, "function", structure(()), scope, self.callees)
        given = body.expressions.of(p.default)
        if value.is_number and given.is_number and given.interval.misses(value.interval):
            say(
                Problem(
                    "support",
                    p.default.span,
                    f"`{p.name.id}` is {value.interval}, and this is {given.interval}",
                    str(value.interval),
                    str(given.interval),
                    example(value.interval, given.interval.low),
                )
            )
        elif value.is_number and not given.is_number and given.kind != "any":
            say(
                Problem(
                    "type",
                    p.default.span,
                    f"`{p.name.id}` is {value}, and this is {given}",
                    str(value),
                    str(given),
                    "a number",
                )
            )

    def _bound(self, parameters: Sequence[tree.Parameter]) -> set[str]:
        """The sizes that some argument gives: plain ones, and whole-number arguments."""
        plain = {
            s.id for p in parameters if p.type is not None for s in p.type.shape if isinstance(s, tree.Name)
        }
        return plain | {p.name.id for p in parameters}

    def _size(self, size: tree.Expression, bound: set[str], scope: Scope, say: Report) -> None:
        for node in tree.walk(size):
            if not isinstance(node, tree.Name):
                continue
            known = scope.names.get(node.id)
            if known is not None and known.kind == "parameter":
                known.used = True
                if known.value.kind == "int" and known.value.interval.low < 0:
                    known.value = replace(known.value, interval=Interval(0.0, known.value.interval.high))
                if known.value.kind not in ("int", "any") or known.value.shape:
                    say(
                        Problem(
                            "type",
                            node.span,
                            f"a size is a whole number, and `{node.id}` is {known.value}",
                            "int",
                            str(known.value),
                            f"{node.id}: int",
                        )
                    )
                    known.value = Value("int", Interval(0.0))  # it is said once
            elif node.id not in bound:
                say(
                    Problem(
                        "shape",
                        node.span,
                        f"nothing says what the size `{node.id}` is",
                        f"an argument with the plain size {node.id}, or {node.id}: int",
                        found="no argument that has it",
                        edit=f"{node.id}: int",
                    )
                )
            elif known is None:
                scope.names[node.id] = Binding("dim", Value("int", Interval(0.0)), node.span, used=True)
