"""Statements of one body, in order: what names they give, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ppl.syntax import tree
from ppl.syntax.check.callees import Callee
from ppl.syntax.check.control import Control
from ppl.syntax.check.declarations import Declarations
from ppl.syntax.check.expressions import Expressions
from ppl.syntax.check.laws import Calls
from ppl.syntax.check.scope import Binding, Scope
from ppl.syntax.check.types import value_of
from ppl.syntax.families import families
from ppl.syntax.format import expression_text, target_text
from ppl.syntax.functions import ALIASES, CONSTANTS, FUNCTIONS, OBJECTIVE_ONLY
from ppl.syntax.loops import Structure, statements, targets
from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span
from ppl.syntax.values import ANY, Interval, Mismatch, Size, Value, broadcast, same, shape_text, size_of

OPTIONS = ("grad", "dims")


@dataclass(frozen=True, slots=True)
class Site:
    """A site as the rest of a file sees it: a draw, and the sizes of the loops around it."""

    name: str
    value: Value
    sizes: tuple[Size, ...]
    span: Span
    observed: bool = False


@dataclass
class Body(Control, Declarations):
    """Checks one `def` or program. `kind` is "function", "model", "guide" or "objective"."""

    kind: str
    structure: Structure
    scope: Scope
    callees: dict[str, Callee]
    report: Callable[[Problem], None]
    parameters: frozenset[str] = frozenset()
    sites: dict[str, Site] = field(default_factory=dict)
    dims_of: dict[Span, tuple[str, ...]] = field(default_factory=dict)
    returns: Value = ANY
    nested: bool = False
    """Whether a site is a program, with choices of its own."""
    in_branch: int = 0

    def __post_init__(self) -> None:
        self.expressions = Expressions(self.scope, self.report, self._call)
        self.calls = Calls(self.report, self.expressions, self.callees)

    def _call(self, e: tree.Call, function: Value) -> Value:
        return self.calls(e, function)

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

    def _problem(
        self,
        kind: str,
        span: Span,
        headline: str,
        expected: str | None = None,
        found: str | None = None,
        edit: str | None = None,
        severity: str = "error",
    ) -> None:
        self.report(Problem(kind, span, headline, expected, found, edit, severity))

    # giving names

    def _give(self, target: tree.Target, value: Value, kind: str) -> None:
        """Bind a target. In loops its indices are those of all the loops, or none."""
        name = target.name.id
        if name.startswith("__"):
            self._problem(
                "name",
                target.name.span,
                "names that begin with two underscores are the language's own",
                edit=name.lstrip("_") or "x",
            )
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

    # statements

    def _sample(self, s: tree.Sample) -> None:
        name = s.target.name.id
        if self.kind in ("function", "objective"):
            word = "a function" if self.kind == "function" else "an objective"
            self._problem(
                "structure",
                s.span,
                f"{word} makes no random choices",
                "a model or guide" if self.kind == "function" else "simulate(q), which draws from a program",
                edit=f"model {name}_model(…): …" if self.kind == "function" else f"{name} = simulate(q)",
            )
        self._sited(s.target, "a random choice")
        drawn = self.calls.law(s.distribution)
        if isinstance(s.distribution, tree.Call):
            callee = self.callees.get(expression_text(s.distribution.function))
            self.nested |= callee is not None
        if s.type is not None:
            drawn = self._typed_site(s, drawn)
        self._options(s)
        sizes = tuple(size_of(loop.stop) for loop in self.scope.open)
        self.sites.setdefault(name, Site(name, drawn, sizes, s.span, name in self.parameters))
        if drawn.shape and all(isinstance(d, str) and d.isidentifier() for d in drawn.shape):
            dims = tuple(str(d) for d in drawn.shape)
            taken = {loop.name for loop in self.scope.open}
            if len(set(dims)) == len(dims) and not taken & set(dims):
                self.dims_of[s.span] = dims
        if name in self.parameters and name in self.scope.names:
            self.scope.names[name].used = True
        self._give(s.target, drawn, "site")
        if name in self.scope.names:
            self.scope.names[name].used = True

    def _typed_site(self, s: tree.Sample, drawn: Value) -> Value:
        assert s.type is not None
        self._sizes_known(s.type)
        kind = value_of(s.type, self.report)
        if not kind.is_number:
            if kind.kind != "any":
                self._problem(
                    "type", s.type.span, f"a random choice is a number, not {kind}", "real, positive, …"
                )
            return drawn
        if drawn.is_number and drawn.interval.misses(kind.interval):
            self._problem(
                "support",
                s.type.span,
                f"{target_text(s.target)} would be {kind.interval}, but its distribution gives {drawn.interval}",
                str(drawn.interval),
                str(kind.interval),
            )
        if drawn.kind == "int" and kind.kind == "real" and kind.interval != Interval():
            self._problem("type", s.type.span, "a whole number has no such type", "int", str(kind), "int")
        if drawn.shape and kind.shape is not None:
            joined = broadcast([drawn.shape, kind.shape])
            if isinstance(joined, Mismatch) or len(drawn.shape) > len(kind.shape):
                self._problem(
                    "shape",
                    s.type.span,
                    "the type and the distribution don't have one shape",
                    shape_text(drawn.shape),
                    shape_text(kind.shape),
                )
        if not drawn.is_number:
            return kind
        if not kind.structure and kind.kind == "real" and kind.interval == Interval():
            return replace(drawn, shape=kind.shape)  # the type says the shape alone
        return kind if drawn.kind != "int" else replace(drawn, shape=kind.shape)

    def _options(self, s: tree.Sample) -> None:
        for option in s.options:
            if option.name.id not in OPTIONS:
                self._problem(
                    "name",
                    option.name.span,
                    f"a site has no option `{option.name.id}`",
                    "grad = …, dims = [ … ]",
                    f"`{option.name.id}`",
                    f"grad = {expression_text(option.value)}",
                )
            elif option.name.id == "dims" and not isinstance(option.value, tree.List):
                self._problem("type", option.span, "dims is a list of names", "dims = [feature]")

    def _observe(self, s: tree.Observe) -> None:
        self._sited(s.target, "a datum")
        value = self.expressions.numbers(s.value, "a datum")
        self.calls.law(s.distribution)
        self.sites.setdefault(s.target.name.id, Site(s.target.name.id, value, (), s.span, True))
        self._give(s.target, value, "site")
        if s.target.name.id in self.scope.names:
            self.scope.names[s.target.name.id].used = True

    def _assign(self, s: tree.Assign) -> None:
        value = self.expressions.of(s.value)
        if len(s.targets) > 1:
            elements = s.value.elements if isinstance(s.value, tree.Tuple) else ()
            if elements and len(elements) != len(s.targets):
                self._problem("type", s.span, f"{len(s.targets)} names for {len(elements)} values")
            for at, target in enumerate(s.targets):
                given = self.expressions.of(elements[at]) if at < len(elements) else ANY
                self._give(target, given, "local")
            return
        target = s.targets[0]
        if s.operator:
            previous = self.scope.find(target.name.id)
            if previous is None:
                self._problem(
                    "name",
                    target.span,
                    f"`{target.name.id}` has no value yet",
                    edit=f"{target.name.id} = 0 above",
                )
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
                )
            joined = broadcast([value.shape, kind.shape])
            if isinstance(joined, Mismatch):
                self._problem(
                    "shape",
                    s.value.span,
                    "this doesn't have the shape of its type",
                    shape_text(kind.shape),
                    shape_text(value.shape),
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
                "sum(…) or mean(…)",
            )
        self.returns = value

    def _pass(self, s: tree.Pass) -> None:
        pass

    def _docstring(self, s: tree.Docstring) -> None:
        pass

    def _evaluate(self, s: tree.Evaluate) -> None:
        self.expressions.of(s.value)
        text = expression_text(s.value)
        edit = f"x ~ {text}" if text.partition("(")[0] in families() else f"x = {text}"
        self._problem("structure", s.span, "this value is not used: the line has no effect", edit=edit)

    def _unused(self) -> None:
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
    return isinstance(s, tree.If | tree.For) and any(isinstance(x, tree.Return) for x in statements([s]))


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


def equal(a: Size, b: Size) -> bool:
    return not isinstance(same(a, b), Mismatch)


__all__ = ["Body", "Site", "equal", "reserved", "targets"]
