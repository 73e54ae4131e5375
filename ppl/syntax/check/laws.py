"""Calls of distributions, programs and functions: arguments by place and name, supports, shapes of a draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ppl.errors import closest
from ppl.syntax import tree
from ppl.syntax.check.expressions import Expressions
from ppl.syntax.families import Family, families
from ppl.syntax.format import expression_text
from ppl.syntax.problems import Problem
from ppl.syntax.values import (
    ANY,
    Interval,
    Mismatch,
    Need,
    Shape,
    Size,
    Value,
    broadcast,
    need,
    of_need,
    same,
    shape_text,
)


@dataclass(frozen=True, slots=True)
class Callee:
    """A `def` or program that can be called: `parameters` with their types and whether they may be left out (None:
    not known), and what it returns.
    """

    kind: str
    name: str
    parameters: tuple[tuple[str, Value, bool], ...] | None
    returns: Value = ANY


@dataclass
class Calls:
    """Checks calls in one body."""

    callees: dict[str, Callee]
    report: Callable[[Problem], None]
    expressions: Expressions

    def law(self, e: tree.Expression) -> Value:
        """What stands behind `~`: the value of a draw."""
        if isinstance(e, tree.Parenthesised):
            return self.law(e.inner)
        value = self.expressions.of(e)
        if value.kind in ("distribution", "model", "guide") and isinstance(
            e, tree.Call | tree.Name | tree.Attribute
        ):
            return value.of if value.of is not None else ANY
        if value.kind == "any":
            return ANY
        self.report(
            Problem(
                "type",
                e.span,
                f"a random choice needs a distribution, and this is {value}",
                expected="a distribution such as Normal(0, 1), or a model with its arguments",
                found=str(value),
                edit="x = … for a quantity that is computed" if value.is_number else "Normal(0, 1)",
            )
        )
        return ANY

    def __call__(self, e: tree.Call, function: Value) -> Value:
        path = expression_text(e.function)
        callee = self.callees.get(path)
        if callee is not None:
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
            self.report(
                Problem("type", e.span, f"`{path}` is {function}, not a function", edit=f"{path} * (…)")
            )
            return ANY
        if isinstance(e.function, tree.Name) and path not in self.expressions.scope.names:
            if path in self.expressions.scope.outside:
                return ANY
            self._unknown(e.function, len(arguments))
        return ANY

    def _unknown(self, name: tree.Name, count: int) -> None:
        from ppl.syntax.functions import ALIASES, FUNCTIONS

        foreign = _FOREIGN.get(name.id.lower())
        near = closest(name.id, [*families(), *FUNCTIONS, *ALIASES, *self.callees])
        edit = foreign or (near[0] if near else None)
        self.report(
            Problem(
                "name",
                name.span,
                f"there is no function or distribution `{name.id}`",
                expected=" or ".join(f"`{n}`" for n in near) or None,
                edit=f"{edit}(…)" if edit and "(" not in edit else edit,
            )
        )

    # programs and functions

    def _called(self, e: tree.Call, callee: Callee) -> Value:
        values = [self.expressions.of(a) for a in e.arguments]
        named = {k.name.id: (k, self.expressions.of(k.value)) for k in e.keywords}
        if callee.parameters is not None:
            self._arguments(e, callee, values, named)
        if callee.kind == "function":
            return callee.returns
        return Value(callee.kind, shape=(), of=callee.returns)

    def _arguments(
        self,
        e: tree.Call,
        callee: Callee,
        values: Sequence[Value],
        named: dict[str, tuple[tree.Keyword, Value]],
    ) -> None:
        assert callee.parameters is not None
        names = [p[0] for p in callee.parameters]
        shown = f"{callee.name}({', '.join(n + ('=' if o else '') for n, _, o in callee.parameters)})"
        if len(values) > len(names):
            place = e.arguments[len(names)].span
            self.report(Problem("type", place, f"{callee.name} takes {_count(len(names))}", shown,
                                f"{len(values)} arguments", shown))  # fmt: skip
        given = dict(zip(names, zip(e.arguments, values, strict=False), strict=False))
        for name, (keyword, value) in named.items():
            if name not in names:
                near = closest(name, names)
                self.report(Problem("name", keyword.name.span, f"{callee.name} has no argument `{name}`", shown,
                                    f"`{name}`", f"{near[0]}=…" if near else shown))  # fmt: skip
            elif name in given:
                self.report(Problem("type", keyword.span, f"the argument `{name}` is given twice", shown))
            else:
                given[name] = (keyword.value, value)
        missing = [n for n, _, optional in callee.parameters if n not in given and not optional]
        if missing and len(values) <= len(names):
            self.report(Problem("type", e.span, f"{callee.name} needs its argument `{missing[0]}`", shown,
                                edit=f"{missing[0]}=…"))  # fmt: skip
        sizes: dict[str, Size] = {}
        for name, expected, _ in callee.parameters:
            if name in given:
                self._fits(given[name][0], given[name][1], expected, name, callee, sizes)

    def _fits(
        self,
        e: tree.Expression,
        value: Value,
        expected: Value,
        name: str,
        callee: Callee,
        sizes: dict[str, Size],
    ) -> None:
        if "any" in (value.kind, expected.kind):
            return
        what = f"`{name}` of {callee.name}"
        if value.is_number != expected.is_number or (not value.is_number and value.kind != expected.kind):
            self.report(
                Problem(
                    "type", e.span, f"{what} is {expected}, and this is {value}", str(expected), str(value)
                )
            )
            return
        if not value.is_number:
            return
        if value.shape is not None and expected.shape is not None:
            if len(value.shape) != len(expected.shape):
                self.report(Problem("shape", e.span, f"{what} is {expected}, and this is {value}",
                                    shape_text(expected.shape) or "a number", shape_text(value.shape) or "a number"))  # fmt: skip
                return
            for parameter, argument in zip(expected.shape, value.shape, strict=True):
                if isinstance(parameter, str) and parameter.isidentifier():
                    bound = same(sizes.setdefault(parameter, argument), argument)
                else:
                    bound = same(parameter, argument) if isinstance(argument, int) else argument
                if isinstance(bound, Mismatch):
                    words = f"{what}: its size {parameter} is {bound.left} by one argument and {bound.right} by this"
                    self.report(Problem("shape", e.span, words, str(bound.left), str(bound.right)))
                    return
        self._supported(e, value, Need(expected.interval, words=str(expected)), what)

    # distributions

    def _distribution(self, e: tree.Call, family: Family) -> Value:
        shown = family.signature()
        given: dict[str, tuple[tree.Expression, Value]] = {}
        for at, argument in enumerate(e.arguments):
            value = self.expressions.of(argument)
            if at >= len(family.parameters):
                self.report(Problem("type", argument.span, f"{family.name} takes {_count(len(family.parameters))}",
                                    shown, f"{len(e.arguments)} arguments", shown))  # fmt: skip
                break
            given[family.parameters[at].name] = (argument, value)
        for keyword in e.keywords:
            value = self.expressions.of(keyword.value)
            name = keyword.name.id
            if family.parameter(name) is None:
                self._no_parameter(keyword, family)
            elif name in given:
                self.report(Problem("type", keyword.span, f"`{name}` of {family.name} is given twice", shown))
            else:
                given[name] = (keyword.value, value)
        self._complete(e, family, given, bool(len(e.arguments) + len(e.keywords) > len(given)))
        return Value("distribution", shape=(), of=self._draw(e, family, given))

    def _no_parameter(self, keyword: tree.Keyword, family: Family) -> None:
        names = [p.name for p in family.parameters]
        near = _PARAMETERS.get(keyword.name.id.lower(), [])
        found = [n for n in near if n in names] or closest(keyword.name.id, names)
        self.report(
            Problem(
                "name",
                keyword.name.span,
                f"{family.name} has no parameter `{keyword.name.id}`",
                expected=family.signature(),
                found=f"`{keyword.name.id}`",
                edit=f"{found[0]}={expression_text(keyword.value)}" if found else family.signature(),
            )
        )

    def _complete(self, e: tree.Call, family: Family, given: Mapping[str, object], wrong: bool) -> None:
        names = {p.name for p in family.parameters}
        missing = [p.name for p in family.parameters if not p.optional and p.name not in given]
        if missing and not wrong:
            self.report(Problem("type", e.span, f"{family.name} needs `{missing[0]}`", family.signature(),
                                expression_text(e), family.signature()))  # fmt: skip
        if {"probs", "logits"} <= names:
            both = [n for n in ("probs", "logits") if n in given]
            if len(both) == 2:
                self.report(Problem("type", e.span, f"{family.name} takes probs or logits, not both", family.signature(),
                                    edit=f"{family.name}(probs=…)"))  # fmt: skip
            elif not both and not wrong:
                self.report(Problem("type", e.span, f"{family.name} needs probs or logits", family.signature(),
                                    edit=f"{family.name}(probs=0.5)"))  # fmt: skip

    def _draw(self, e: tree.Call, family: Family, given: dict[str, tuple[tree.Expression, Value]]) -> Value:
        shapes: list[Shape] = []
        events: list[Shape] = []
        for name, (argument, value) in given.items():
            parameter = family.parameter(name)
            assert parameter is not None
            if parameter.support is None:
                continue
            needs = need(parameter.support)
            if not value.is_number and value.kind != "any":
                self.report(Problem("type", argument.span, f"`{name}` of {family.name} is {needs.words}, and this is {value}",
                                    needs.words, str(value)))  # fmt: skip
                continue
            if value.shape is not None and len(value.shape) < needs.event_dim:
                what = {1: "a vector", 2: "a matrix"}[needs.event_dim]
                self.report(Problem("shape", argument.span, f"`{name}` of {family.name} is {what}, and this is {value}",
                                    what, str(value)))  # fmt: skip
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
            self.report(
                Problem("shape", e.span, words, "equal sizes, or 1", " and ".join(map(shape_text, shapes)))
            )
            batch = None
        drawn = of_need(family.support, family.event_dim, family.discrete)
        if any(p.support is None for p in family.parameters) and family.support is None:
            drawn, batch = self._special(family, given, batch)
        event = drawn.shape or ()
        sized = next((s for s in events if s is not None and len(s) == family.event_dim), None)
        if family.event_dim and sized is not None:
            event = sized
        return replace(drawn, shape=(*batch, *event) if batch is not None else None)

    def _special(
        self, family: Family, given: dict[str, tuple[tree.Expression, Value]], batch: Shape
    ) -> tuple[Value, Shape]:
        """Families whose support or shape is that of their arguments."""
        values = {name: value for name, (_, value) in given.items()}
        if {"low", "high"} <= set(values) and family.name in ("Uniform", "DiscreteUniform"):
            low, high = values["low"], values["high"]
            if low.interval.low == low.interval.high and high.interval.low == high.interval.high:
                if not low.interval.low < high.interval.low:
                    place = given["high"][0].span
                    self.report(Problem("support", place, f"there is nothing between {low.interval.low:g} and {high.interval.low:g}",
                                        "low < high", edit="Uniform(0, 1)"))  # fmt: skip
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

    def _supported(self, e: tree.Expression, value: Value, needs: Need, what: str) -> None:
        """Whether a value's interval is in the support that is needed."""
        if not value.is_number:
            return
        if needs.structure:
            self._structured(e, value, needs, what)
            return
        interval = value.interval
        if interval.misses(needs.interval):
            mend = f"{abs(interval.low):g}" if interval.low == interval.high and interval.low < 0 else None
            self.report(Problem("support", e.span, f"{what} has to be {needs.words}, and this is {interval}", needs.words,
                                str(interval), mend))  # fmt: skip
        elif value.kind == "real" and not interval.within(needs.interval):
            self.report(Problem("support", e.span, f"{what} has to be {needs.words}, and this can be any {interval} number"
                                if str(interval) == "real" else f"{what} has to be {needs.words}, and this is {interval}",
                                needs.words, str(value), _mend(e, needs.interval)))  # fmt: skip
        elif needs.whole and value.kind == "real" and interval.low == interval.high and interval.low % 1:
            self.report(
                Problem(
                    "support", e.span, f"{what} has to be {needs.words}", needs.words, f"{interval.low:g}"
                )
            )

    def _structured(self, e: tree.Expression, value: Value, needs: Need, what: str) -> None:
        near = {"simplex": ("simplex",), "cov": ("cov", "corr_matrix", "positive_definite"),
                "positive_definite": ("cov", "corr_matrix"), "lower_cholesky": ("lower_cholesky", "corr_cholesky")}  # fmt: skip
        fine = near.get(needs.structure, (needs.structure,))
        if value.structure in fine or value.shape is None:
            return
        if needs.structure == "simplex" and value.interval.low >= 0:
            return
        wrong = (
            {"corr_cholesky": "scale_tril=", "lower_cholesky": "scale_tril="}
            if needs.structure != "simplex"
            else {}
        )
        if value.structure in wrong:
            self.report(Problem("support", e.span, f"{what} is a covariance, and this is a Cholesky factor", needs.words,
                                value.structure, f"scale_tril={expression_text(e)}"))  # fmt: skip
        elif needs.structure == "simplex":
            self.report(Problem("support", e.span, f"{what} has to be a simplex, and this is {value}", "a simplex",
                                str(value), f"softmax({expression_text(e)})"))  # fmt: skip


def _mend(e: tree.Expression, interval: Interval) -> str:
    text = expression_text(e)
    if (interval.low, interval.high) == (0.0, 1.0):
        return f"sigmoid({text}), or a type: {_bare(text)}: unit"
    if interval.low == 0.0 and interval.high == math.inf:
        return f"exp({text}) or softplus({text}), or a type: {_bare(text)}: positive"
    return f"clip({text}, {interval.low:g}, {interval.high:g})"


def _bare(text: str) -> str:
    return text.partition("[")[0] if text.partition("[")[0].isidentifier() else "x"


def _count(n: int) -> str:
    return {0: "no arguments", 1: "one argument"}.get(n, f"{n} arguments")


_FOREIGN = {
    "gaussian": "Normal", "halfcauchy": "HalfCauchy", "student_t": "StudentT", "lkj_corr_cholesky": "LKJCholesky",
    "multi_normal": "MultivariateNormal", "mvnormal": "MultivariateNormal", "bernoulli_logit": "Bernoulli(logits=…)",
    "neg_binomial_2": "NegativeBinomial2", "std_normal": "Normal(0, 1)", "double_exponential": "Laplace",
    "inv_gamma": "InverseGamma", "poisson_log": "Poisson(exp(…))", "categorical_logit": "Categorical(logits=…)",
    "len": "size", "ln": "log", "pow": "x ** y", "std": "sd", "logistic_sigmoid": "sigmoid", "invlogit": "sigmoid",
    "int": "floor", "float": "x", "print": "deterministic x = …", "power": "x ** y", "fabs": "abs", "expit": "sigmoid",
}  # fmt: skip
_PARAMETERS = {
    "mu": ["loc", "mean"], "mean": ["loc"], "sigma": ["scale"], "sd": ["scale"], "std": ["scale"], "stddev": ["scale"],
    "alpha": ["concentration1", "concentration", "alpha"], "beta": ["concentration0", "rate", "scale"], "p": ["probs"],
    "n": ["total_count"], "nu": ["df"], "lower": ["low"], "upper": ["high"], "lam": ["rate"], "mu0": ["loc"],
    "cov": ["covariance_matrix"], "tau": ["precision_matrix"], "chol": ["scale_tril"], "location": ["loc"], "a": ["concentration"],
    "b": ["rate"], "eta": ["concentration"], "logit_p": ["logits"], "prob": ["probs"],
}  # fmt: skip
