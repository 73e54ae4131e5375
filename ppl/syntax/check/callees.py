"""Calls of programs and functions, and whether values fit where they are wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ppl.errors import closest
from ppl.syntax import tree
from ppl.syntax.check.expressions import Expressions
from ppl.syntax.check.reporting import Reporting
from ppl.syntax.format import expression_text
from ppl.syntax.values import ANY, Interval, Mismatch, Need, Size, Value, same, shape_text


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
class Callees(Reporting):
    """The part of `Calls` that is about what files define."""

    expressions: Expressions

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
            self._problem(
                "type",
                place,
                f"{callee.name} takes {count(len(names))}",
                shown,
                f"{len(values)} arguments",
                shown,
            )
        given = dict(zip(names, zip(e.arguments, values, strict=False), strict=False))
        for name, (keyword, value) in named.items():
            if name not in names:
                near = closest(name, names)
                self._problem(
                    "name",
                    keyword.name.span,
                    f"{callee.name} has no argument `{name}`",
                    shown,
                    f"`{name}`",
                    f"{near[0]}=…" if near else shown,
                )
            elif name in given:
                self._problem(
                    "type",
                    keyword.span,
                    f"the argument `{name}` is given twice",
                    shown,
                    expression_text(e),
                    f"leave `{name}=` out",
                )
            else:
                given[name] = (keyword.value, value)
        missing = [n for n, _, optional in callee.parameters if n not in given and not optional]
        if missing and len(values) <= len(names) and set(named) <= set(names):
            self._problem(
                "type",
                e.span,
                f"{callee.name} needs its argument `{missing[0]}`",
                shown,
                expression_text(e),
                f"{expression_text(e)[:-1]}{', ' if values or named else ''}{missing[0]}=…)",
            )
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
            self._problem(
                "type",
                e.span,
                f"{what} is {expected}, and this is {value}",
                str(expected),
                str(value),
                self.expressions.misfit(e, value) if expected.is_number else str(expected),
            )
            return
        if not value.is_number:
            return
        if value.shape is not None and expected.shape is not None:
            if len(value.shape) != len(expected.shape):
                self._problem(
                    "shape",
                    e.span,
                    f"{what} is {expected}, and this is {value}",
                    shape_text(expected.shape) or "a number",
                    shape_text(value.shape) or "a number",
                    f"{name}: {value} in {callee.name}, or another argument",
                )
                return
            for parameter, argument in zip(expected.shape, value.shape, strict=True):
                if isinstance(parameter, str) and parameter.isidentifier():
                    bound = same(sizes.setdefault(parameter, argument), argument)
                else:
                    bound = same(parameter, argument) if isinstance(argument, int) else argument
                if isinstance(bound, Mismatch):
                    words = f"{what}: its size {parameter} is {bound.left} by one argument and {bound.right} by this"
                    edit = f"arguments of one size, or another name for the size in {callee.name}"
                    self._problem("shape", e.span, words, str(bound.left), str(bound.right), edit)
                    return
        structure = expected.structure if expected.structure == "simplex" else ""
        self._supported(e, value, Need(expected.interval, structure=structure, words=str(expected)), what)

    def _supported(self, e: tree.Expression, value: Value, needs: Need, what: str) -> None:
        """Whether a value's interval is in the support that is needed."""
        if not value.is_number:
            return
        if isinstance(e, tree.List) and not needs.structure:
            for element, inner in zip(e.elements, self.expressions.lists.get(id(e), ()), strict=False):
                if inner.is_number and not inner.shape and inner.interval.misses(needs.interval):
                    self._supported(element, inner, replace(needs, event_dim=0), f"an element of {what}")
                    return
        if needs.structure:
            self._structured(e, value, needs, what)
            return
        interval = value.interval
        if interval.misses(needs.interval):
            mend = example(needs.interval, interval.low if interval.low == interval.high else math.nan)
            self._problem(
                "support",
                e.span,
                f"{what} has to be {needs.words}, and this is {interval}",
                needs.words,
                str(interval),
                mend,
            )
        elif id(e) in self.expressions.ratios:
            return
        elif not interval.within(needs.interval) and (value.kind == "real" or _drawn(e, interval)):
            self._problem(
                "support",
                e.span,
                f"{what} has to be {needs.words}, and this can be any {interval} number"
                if str(interval) == "real"
                else f"{what} has to be {needs.words}, and this is {interval}",
                needs.words,
                str(value),
                _mend(e, needs.interval, typed=value.kind == "real"),
            )
        elif needs.whole and value.kind == "real" and interval.low == interval.high and interval.low % 1:
            self._problem(
                "support",
                e.span,
                f"{what} has to be {needs.words}, and this is {interval.low:g}",
                needs.words,
                f"{interval.low:g}",
                f"{math.floor(interval.low)}, or {math.ceil(interval.low)}"
                if math.isfinite(interval.low)
                else "a whole number",
            )

    def _structured(self, e: tree.Expression, value: Value, needs: Need, what: str) -> None:
        near = {
            "simplex": ("simplex",),
            "cov": ("cov", "corr_matrix", "positive_definite"),
            "positive_definite": ("cov", "corr_matrix"),
            "lower_cholesky": ("lower_cholesky", "corr_cholesky"),
        }
        if needs.structure == "lower_cholesky" and value.structure in ("cov", "corr_matrix"):
            text = expression_text(e)
            headline = f"{what} is a Cholesky factor, and this is a covariance"
            edit = f"covariance_matrix={text}, or cholesky({text})"
            self._problem("support", e.span, headline, "a Cholesky factor", value.structure, edit)
            return
        fine = near.get(needs.structure, (needs.structure,))
        if value.structure in (*fine, "identity") or value.shape is None:
            return
        if needs.structure == "simplex" and value.interval.low >= 0:
            return
        wrong = (
            {"corr_cholesky": "scale_tril=", "lower_cholesky": "scale_tril="}
            if needs.structure != "simplex"
            else {}
        )
        if value.structure in wrong:
            self._problem(
                "support",
                e.span,
                f"{what} is a covariance, and this is a Cholesky factor",
                needs.words,
                value.structure,
                f"scale_tril={expression_text(e)}",
            )
        elif needs.structure == "simplex":
            self._problem(
                "support",
                e.span,
                f"{what} has to be a simplex, and this is {value}",
                "a simplex",
                str(value),
                f"softmax({expression_text(e)})",
            )


def _drawn(e: tree.Expression, interval: Interval) -> bool:
    """Whether a whole number's interval is that of what it is, and not of what it was computed from."""
    return isinstance(e, tree.Name | tree.Index) and interval != Interval()


def example(interval: Interval, value: float = math.nan) -> str:
    """A number in an interval, near to `value`."""
    if interval.low == 0 and interval.high == math.inf and value < 0:
        return f"{-value:g}"
    if interval.low == 0 and interval.high == 1:
        return "0.5"
    if interval.low == -math.inf:
        return f"{interval.high - 1:g}" if interval.high < math.inf else "0"
    return (
        f"{interval.low + (1 if interval.high > interval.low + 1 else (interval.high - interval.low) / 2):g}"
    )


def _mend(e: tree.Expression, interval: Interval, *, typed: bool = True) -> str:
    text = expression_text(e)
    bare = text.partition("[")[0]
    kind = f", or a type: {bare}: " if bare.isidentifier() and typed else ""
    if (interval.low, interval.high) == (0.0, 1.0):
        return f"sigmoid({text})" + (kind and f"{kind}unit")
    if interval.low == 0.0 and interval.high == math.inf:
        return f"exp({text}) or softplus({text})" + (kind and f"{kind}positive")
    return f"clip({text}, {interval.low:g}, {interval.high:g})"


def count(n: int) -> str:
    return {0: "no arguments", 1: "one argument"}.get(n, f"{n} arguments")
