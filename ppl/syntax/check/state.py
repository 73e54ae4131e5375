"""One `def` or program while its statements are checked: what is known so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from ppl.syntax import tree
from ppl.syntax.blocks import statements, targets
from ppl.syntax.check.callees import Callee
from ppl.syntax.check.expressions import Expressions
from ppl.syntax.check.laws import Calls
from ppl.syntax.check.reporting import Reporting
from ppl.syntax.check.scope import Scope
from ppl.syntax.loops import Structure
from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span
from ppl.syntax.values import ANY, Size, Value


@dataclass(frozen=True, slots=True)
class Site:
    """A site as the rest of a file sees it: a draw, and the sizes of the loops around it."""

    name: str
    value: Value
    sizes: tuple[Size, ...]
    span: Span
    observed: bool = False


@dataclass
class State(Reporting):
    """What the parts of `Body` share. `kind` is "function", "model", "guide" or "objective"."""

    kind: str
    structure: Structure
    scope: Scope
    callees: dict[str, Callee]
    parameters: frozenset[str] = frozenset()
    sites: dict[str, Site] = field(default_factory=dict)
    dims_of: dict[Span, tuple[str, ...]] = field(default_factory=dict)
    returns: Value = ANY
    nested: bool = False
    """Whether a site is a program, with choices of its own."""
    in_branch: int = 0

    errors: int = 0
    """How many were reported so far."""

    def __post_init__(self) -> None:
        outer = self.report

        def report(problem: Problem) -> None:
            self.errors += problem.severity == "error"
            outer(problem)

        self.report = report
        self.declared = {
            n: b.value for n, b in self.scope.names.items() if b.kind == "parameter" and b.value.is_number
        }
        self.scope.what = self.kind
        for statement in statements(self.structure.body):
            for target in targets(statement):
                self.scope.given.setdefault(target.name.id, target.name.span)
        self.expressions = Expressions(self.report, self.scope, self._call)
        self.calls = Calls(self.report, self.expressions, self.callees)

    def _call(self, e: tree.Call, function: Value) -> Value:
        return self.calls(e, function)
