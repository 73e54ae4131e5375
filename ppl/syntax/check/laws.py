"""Calls of distributions, programs and functions: arguments by place and name, supports, shapes of a draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ppl.syntax import tree
from ppl.syntax.check.callees import Callee, Callees, count
from ppl.syntax.check.elsewhere import FUNCTIONS_ELSEWHERE, OPTIONS_ELSEWHERE, PARAMETERS_ELSEWHERE
from ppl.syntax.check.near import near
from ppl.syntax.families import Family, families
from ppl.syntax.format import expression_text
from ppl.syntax.values import (
    ANY,
    Interval,
    Mismatch,
    Shape,
    Value,
    broadcast,
    need,
    of_need,
    shape_text,
    size_of,
)

_COUNTS = frozenset({"Binomial", "BetaBinomial", "BoundedZipf", "Categorical", "DirichletMultinomial", "Multinomial",
                     "OrderedLogistic", "OrderedProbit"})  # fmt: skip
"""Families of counts and categories whose largest value is a parameter's."""


@dataclass
class Calls(Callees):
    """Checks calls in one body."""

    callees: dict[str, Callee]

    def law(self, e: tree.Expression, name: str = "x") -> Value:
        """What stands behind `~`: the value of a draw. `name` is what is drawn."""
        if isinstance(e, tree.Parenthesised):
            return self.law(e.inner, name)
        value = self.expressions.of(e)
        if value.kind in ("distribution", "model", "guide") and isinstance(
            e, tree.Call | tree.Name | tree.Attribute
        ):
            return value.of if value.of is not None else ANY
        if value.kind == "any":
            return ANY
        if isinstance(e, tree.Conditional) and value.kind == "distribution":
            branch = f"if {expression_text(e.test)}: {name} ~ {expression_text(e.value)}"
            edit = f"one family, its parameters with `if`; or {branch}, and else: below it"
            self._problem("type", e.span, "this is one of two distributions", "one distribution", edit=edit)
            return ANY
        self._problem(
            "type",
            e.span,
            f"a random choice needs a distribution, and this is {value}",
            expected="a distribution such as Normal(0, 1), or a model with its arguments",
            found=str(value),
            edit=f"{name} = {expression_text(e)}, if it is computed" if value.is_number else "Normal(0, 1)",
        )
        return ANY

    def __call__(self, e: tree.Call, function: Value) -> Value:
        path = tree.path(e.function)
        callee = self.callees.get(path)
        if callee is not None and path not in self.expressions.scope.names:
            return self._called(e, callee)
        known = families()
        if path in known and function.kind == "any":
            return self._distribution(e, known[path])
        arguments = [self.expressions.of(a) for a in e.arguments] + [
            self.expressions.of(k.value) for k in e.keywords
        ]
        if function.kind in ("module", "distribution"):
            return ANY
        if function.is_number or function.kind in ("text", "trace", "tuple"):
            path = expression_text(e.function)
            inside = ", ".join(expression_text(a) for a in e.arguments)
            single = bool(e.arguments) and isinstance(e.arguments[0], tree.Name | tree.Number)
            edit = (
                f"{path}[{inside}]" if function.shape else f"{path} * {inside if single else f'({inside})'}"
            )
            what = f"`{path}` is {function if not path.isdigit() else 'a number'}, not a function"
            self._problem("type", e.span, what, "a function", expression_text(e), edit)
            return ANY
        if isinstance(e.function, tree.Name) and path not in self.expressions.scope.names:
            if path in self.expressions.scope.outside:
                return ANY
            self._unknown(e.function, len(arguments))
        return ANY

    def _unknown(self, name: tree.Name, count: int) -> None:
        from ppl.syntax.functions import ALIASES, FUNCTIONS

        foreign = FUNCTIONS_ELSEWHERE.get(name.id.lower())
        alike = near(name.id, [*families(), *FUNCTIONS, *ALIASES, *self.callees])
        edit = foreign or (alike[0] if alike else f"a function of the language, or def {name.id}(…): above")
        self._problem(
            "name",
            name.span,
            f"there is no function or distribution `{name.id}`",
            expected=" or ".join(f"`{n}`" for n in alike) or None,
            found=f"`{name.id}`",
            edit=f"{edit}(…)" if edit.isidentifier() else edit,
        )

    # distributions

    def _distribution(self, e: tree.Call, family: Family) -> Value:
        shown = family.signature()
        if self._misbegun(e, family):
            drawn = of_need(family.support, family.event_dim, family.discrete)
            return Value("distribution", shape=(), of=replace(drawn, shape=None))
        given: dict[str, tuple[tree.Expression, Value]] = {}
        for at, argument in enumerate(e.arguments):
            value = self.expressions.of(argument)
            given[family.parameters[at].name] = (argument, value)
        for keyword in e.keywords:
            value = self.expressions.of(keyword.value)
            name = keyword.name.id
            if family.parameter(name) is None:
                self._no_parameter(keyword, family)
            elif name in given:
                twice = f"`{name}` of {family.name} is given twice"
                edit = f"leave `{name}=` out"
                self._problem("type", keyword.span, twice, shown, expression_text(e), edit)
            else:
                given[name] = (keyword.value, value)
        self._complete(e, family, given, bool(len(e.arguments) + len(e.keywords) > len(given)))
        return Value("distribution", shape=(), of=self._draw(e, family, given))

    def _misbegun(self, e: tree.Call, family: Family) -> bool:
        """Too many arguments, or a name before the others: the rest would be compared with the wrong parameters."""
        most = len(family.parameters)
        if e.arguments and isinstance(e.arguments[0], tree.String):
            rest = replace(e, arguments=e.arguments[1:])
            first = e.arguments[0].value
            name = first if first.isidentifier() else "x"
            headline = f"{family.name} takes no name: it stands before `~`"
            edit = f"{name} ~ {expression_text(rest)}"
            found = expression_text(e.arguments[0])
            self._problem("type", e.arguments[0].span, headline, family.signature(), found, edit)
        elif len(e.arguments) > most:
            place = e.arguments[most].span.to(e.arguments[-1].span)
            headline = f"{family.name} takes {count(most)}"
            found = expression_text(e)
            self._problem("type", place, headline, family.signature(), found, family.signature())
        else:
            return False
        return True

    def _no_parameter(self, keyword: tree.Keyword, family: Family) -> None:
        names = [p.name for p in family.parameters]
        alike = PARAMETERS_ELSEWHERE.get(keyword.name.id.lower(), [])
        foreign = OPTIONS_ELSEWHERE.get(keyword.name.id.lower())
        found = [n for n in alike if n in names] or ([] if foreign else near(keyword.name.id, names))
        self._problem(
            "name",
            keyword.name.span,
            f"{family.name} has no parameter `{keyword.name.id}`",
            expected=family.signature(),
            found=f"`{keyword.name.id}`",
            edit=f"{found[0]}={expression_text(keyword.value)}" if found else foreign or family.signature(),
        )

    def _complete(self, e: tree.Call, family: Family, given: Mapping[str, object], wrong: bool) -> None:
        names = {p.name for p in family.parameters}
        missing = [p.name for p in family.parameters if not p.optional and p.name not in given]
        if missing and not wrong:
            self._problem(
                "type",
                e.span,
                f"{family.name} needs `{missing[0]}`",
                family.signature(),
                expression_text(e),
                family.signature(),
            )
        if {"probs", "logits"} <= names:
            both = [n for n in ("probs", "logits") if n in given]
            if len(both) == 2:
                self._problem(
                    "type",
                    e.span,
                    f"{family.name} takes probs or logits, not both",
                    family.signature(),
                    edit=f"{family.name}(probs=…)",
                )
            elif not both and not wrong:
                self._problem(
                    "type",
                    e.span,
                    f"{family.name} needs probs or logits",
                    family.signature(),
                    edit=f"{family.name}(probs=0.5)",
                )

    def _draw(self, e: tree.Call, family: Family, given: dict[str, tuple[tree.Expression, Value]]) -> Value:
        shapes: list[Shape] = []
        events: list[Shape] = []
        if self._swapped(e, family, given):
            return replace(of_need(family.support, family.event_dim, family.discrete), shape=None)
        for name, (argument, value) in given.items():
            parameter = family.parameter(name)
            assert parameter is not None
            if parameter.support is None:
                continue
            needs = need(parameter.support)
            if not value.is_number and value.kind != "any":
                self._problem(
                    "type",
                    argument.span,
                    f"`{name}` of {family.name} is {needs.words}, and this is {value}",
                    needs.words,
                    str(value),
                    self.expressions.misfit(argument, value),
                )
                continue
            if value.shape is not None and len(value.shape) < needs.event_dim:
                what = {1: "a vector", 2: "a matrix"}[needs.event_dim]
                text = expression_text(argument)
                whole = {(1, 0): f"full({text}, K)", (2, 0): f"{text} * eye(K)", (2, 1): f"diag({text} ** 2)"}
                self._problem(
                    "shape",
                    argument.span,
                    f"`{name}` of {family.name} is {what}, and this is {value}",
                    what,
                    str(value),
                    whole[needs.event_dim, len(value.shape)],
                )
                continue
            self._supported(argument, value, needs, f"`{name}` of {family.name}")
            if value.shape is None:
                shapes.append(None)
            else:
                cut = len(value.shape) - needs.event_dim
                shapes.append(value.shape[:cut])
                if needs.event_dim:
                    events.append(value.shape[cut:])
        batch = broadcast(shapes)
        if isinstance(batch, Mismatch):
            words = (
                f"the parameters of {family.name} don't have one shape: {batch.left} against {batch.right}"
            )
            self._problem(
                "shape",
                e.span,
                words,
                "equal sizes, or 1",
                " and ".join(map(shape_text, shapes)),
                "an element of one of them (x[i]), or one name for both sizes",
            )
            batch = None
        drawn = of_need(family.support, family.event_dim, family.discrete)
        if family.name in _COUNTS:
            drawn = replace(drawn, interval=Interval(0.0))
        if any(p.support is None for p in family.parameters) and family.support is None:
            drawn, batch = self._special(e, family, given, batch)
        event = drawn.shape or ()
        sized = next((s for s in events if s is not None and len(s) == family.event_dim), None)
        length = next((given[name][0] for name in ("num_steps", "dim") if name in given), None)
        if length is not None:
            event = (size_of(length),) * family.event_dim
        elif family.event_dim and sized is not None:
            event = sized
        return replace(drawn, shape=(*batch, *event) if batch is not None else None)

    def _swapped(self, e: tree.Call, family: Family, given: dict[str, tuple[tree.Expression, Value]]) -> bool:
        """Two arguments in each other's place: the second does not fit its parameter, and would fit the first's."""
        if len(e.arguments) != 2 or len(given) != 2:
            return False
        (first, a), (second, b) = given.values()
        supports = [family.parameters[at].support for at in (0, 1)]
        if any(s is None for s in supports) or not (a.is_number and b.is_number):
            return False
        x, y = (need(str(s)) for s in supports)
        fits = a.interval.within(y.interval) and b.interval.within(x.interval)
        plain = not (x.structure or y.structure) and a.kind == b.kind == "real"
        if not plain or b.interval.within(y.interval) or not fits:
            return False
        names = [p.name for p in family.parameters]
        self._problem(
            "support",
            e.arguments[1].span,
            f"`{names[1]}` of {family.name} has to be {y.words}, and this is {b}: the two look swapped",
            family.signature(),
            expression_text(e),
            f"{family.name}({expression_text(second)}, {expression_text(first)})",
        )
        return True

    def _special(
        self,
        e: tree.Call,
        family: Family,
        given: dict[str, tuple[tree.Expression, Value]],
        batch: Shape,
    ) -> tuple[Value, Shape]:
        """Families whose support or shape is that of their arguments."""
        values = {name: value for name, (_, value) in given.items()}
        if {"low", "high"} <= set(values) and family.name in ("Uniform", "DiscreteUniform"):
            low, high = values["low"], values["high"]
            known = all(v.interval.low == v.interval.high for v in (low, high))
            if known and not low.interval.low < high.interval.low:
                place = given["high"][0].span
                self._problem(
                    "support",
                    place,
                    f"there is nothing between {low.interval.low:g} and {high.interval.low:g}",
                    "low < high",
                    expression_text(e),
                    f"{family.name}({high.interval.low:g}, {low.interval.low:g})"
                    if low.interval.low > high.interval.low
                    else f"{family.name}({low.interval.low:g}, {low.interval.low + 1:g})",
                )
            shape = broadcast([low.shape, high.shape])
            interval = Interval(low.interval.low, high.interval.high)
            return Value("int" if family.discrete else "real", interval, ()), None if isinstance(
                shape, Mismatch
            ) else shape
        if family.discrete:
            return Value(
                "int", Interval(0.0), (None,) * family.event_dim
            ), batch if family.event_dim == 0 else None
        return Value("any", shape=None), None
