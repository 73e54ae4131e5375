"""Statements that make sites: `x ~ D(…)` and `observe`."""

from __future__ import annotations

from dataclasses import replace

from ppl.syntax import tree
from ppl.syntax.check.declarations import Declarations
from ppl.syntax.check.elsewhere import OPTIONS_ELSEWHERE
from ppl.syntax.check.near import near
from ppl.syntax.check.state import Site
from ppl.syntax.check.types import value_of
from ppl.syntax.format import expression_text, target_text
from ppl.syntax.values import Interval, Mismatch, Size, Value, broadcast, equal, shape_text, size_of

OPTIONS = ("grad", "dims")
STRATEGIES = ("auto", "reparam", "implicit", "score", "enum", "mvd", "rejection", "rebar", "quadrature",
              "gumbel_softmax", "straight_through")  # fmt: skip
STRATEGIES_WITH_OPTIONS = ("score", "rebar", "quadrature", "rejection", "gumbel_softmax")


class Sites(Declarations):
    """The part of `Body` that is about random choices and data."""

    def _sample(self, s: tree.Sample) -> None:
        name = s.target.name.id
        if self.kind in ("function", "objective"):
            word = "a function" if self.kind == "function" else "an objective"
            self._problem(
                "structure",
                s.span,
                f"{word} makes no random choices",
                "a model or guide" if self.kind == "function" else "simulate(q), which draws from a program",
                found="a random choice",
                edit="`model` in the place of `def`" if self.kind == "function" else f"{name} = simulate(q)",
            )
        self._sited(s.target, "a random choice")
        drawn = self.calls.law(s.distribution, target_text(s.target))
        if isinstance(s.distribution, tree.Call):
            callee = self.callees.get(expression_text(s.distribution.function))
            self.nested |= callee is not None
        if s.type is not None:
            drawn = self._typed_site(s, drawn)
        self._options(s)
        sizes = tuple(size_of(loop.stop) for loop in self.scope.open)
        self._as_declared(s, drawn, sizes)
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

    def _as_declared(self, s: tree.Sample, drawn: Value, sizes: tuple[Size, ...]) -> None:
        """A site that is an argument too has the argument's shape."""
        declared = self.declared.get(s.target.name.id)
        if (
            declared is None
            or declared.shape is None
            or drawn.shape is None
            or (not s.target.indices and sizes)
        ):
            return
        name, shape = s.target.name.id, (*sizes, *drawn.shape)
        fits = len(shape) == len(declared.shape) and all(
            equal(a, b) for a, b in zip(shape, declared.shape, strict=True)
        )
        if fits:
            return
        more = declared.shape[len(shape) :]
        if len(declared.shape) > len(shape) and not drawn.shape and all(isinstance(d, str) for d in more):
            letters = [loop.statement.index.id for loop in self.scope.open]
            inner = [str(d)[0].lower() for d in more]
            edit = f"for {inner[0]} in {more[0]}: and below it {name}[{', '.join([*letters, *inner])}] ~ …"
        elif sizes and drawn.shape:
            edit = "one element in each iteration: x[i] in the place of x"
        else:
            edit = f"{name}: real{shape_text(shape)} among the arguments"
        self._problem(
            "shape", s.span, f"`{name}` is {declared} as an argument, and here it is {shape_text(shape) or 'one number'}",
            shape_text(declared.shape) or "one number", shape_text(shape) or "one number", edit,
        )  # fmt: skip

    def _typed_site(self, s: tree.Sample, drawn: Value) -> Value:
        assert s.type is not None
        self._sizes_known(s.type)
        kind = value_of(s.type, self.report)
        if not kind.is_number:
            if kind.kind != "any":
                self._problem(
                    "type", s.type.span, f"a random choice is a number, not {kind}", "real, positive, …",
                    str(kind), "real",
                )  # fmt: skip
            return drawn
        if drawn.is_number and (drawn.interval.misses(kind.interval) or _touch(drawn, kind.interval)):
            self._problem(
                "support",
                s.type.span,
                f"{target_text(s.target)} would be {kind.interval}, but its distribution gives {drawn.interval}",
                str(drawn.interval),
                str(kind.interval),
                f"{drawn.interval}, or another distribution",
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
                    f"{s.type.name.id}{shape_text(drawn.shape)}",
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
                    OPTIONS_ELSEWHERE.get(option.name.id, "leave it out"),
                )
            elif option.name.id == "grad":
                self._strategy(option.value)
            elif option.name.id == "dims" and not isinstance(option.value, tree.List):
                text = expression_text(option.value)
                self._problem("type", option.span, "dims is a list of names", "dims = [feature]", text,
                              f"dims = [{text}]")  # fmt: skip

    def _strategy(self, e: tree.Expression) -> None:
        """A strategy's name, if it is a slip of one that is there (others can be registered from Python)."""
        called = isinstance(e, tree.Call)
        name = e.function if isinstance(e, tree.Call) else e
        known = STRATEGIES_WITH_OPTIONS if called else STRATEGIES
        if not isinstance(name, tree.Name) or name.id in known:
            return
        alike = near(name.id, known)
        if alike or called:
            edit = f"grad = {alike[0] if alike else 'score'}" + ("(…)" if called else "")
            self._problem("name", name.span, f"there is no gradient strategy `{name.id}`" + " with options" * called,
                          ", ".join(known), f"`{name.id}`", edit)  # fmt: skip

    def _observe(self, s: tree.Observe) -> None:
        self._sited(s.target, "a datum")
        value = self.expressions.numbers(s.value, "a datum")
        self.calls.law(s.distribution)
        self.sites.setdefault(s.target.name.id, Site(s.target.name.id, value, (), s.span, True))
        self._give(s.target, value, "site")
        if s.target.name.id in self.scope.names:
            self.scope.names[s.target.name.id].used = True


def _touch(drawn: Value, interval: Interval) -> bool:
    """Whether a continuous law and an interval have one point in common."""
    low, high = max(drawn.interval.low, interval.low), min(drawn.interval.high, interval.high)
    return drawn.kind == "real" and low == high and drawn.interval.low < drawn.interval.high
