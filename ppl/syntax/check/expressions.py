"""Expressions: the value of each, and what is wrong in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ppl.syntax import tree
from ppl.syntax.check.elements import Elements
from ppl.syntax.check.elsewhere import PARTS_ELSEWHERE
from ppl.syntax.check.intervals import arithmetic, least
from ppl.syntax.check.near import near
from ppl.syntax.format import expression_text
from ppl.syntax.functions import ALIASES, CONSTANTS, FUNCTIONS, OBJECTIVE_ONLY, Signature, Unfit, matmul
from ppl.syntax.limits import AXES, BITS, ELEMENTS, too_large, too_many_axes
from ppl.syntax.tree import Span
from ppl.syntax.values import (
    ANY,
    Interval,
    Mismatch,
    Shape,
    Size,
    Value,
    broadcast,
    number,
    shape_text,
)

CallRule = Callable[[tree.Call, Value], Value]


@dataclass
class Expressions(Elements):
    """Infers values under a scope; `calls` is asked about calls of what is no function of the language."""

    calls: CallRule
    lists: dict[int, list[Value]] = field(default_factory=dict)
    ratios: set[int] = field(default_factory=set)
    """Divisions of whole numbers: a count by a count, whose bounds nobody writes down."""

    def of(self, e: tree.Expression) -> Value:
        value: Value = getattr(self, f"_{type(e).__name__.lower()}")(e)
        if value.shape is not None and len(value.shape) > AXES:
            self.report(too_many_axes(e.span, len(value.shape)))
            return ANY
        return value

    def numbers(self, e: tree.Expression, place: str) -> Value:
        """An expression that has to be a number or an array of numbers."""
        return self._number_of(e, self.of(e), place)

    def _number_of(self, e: tree.Expression, value: Value, place: str) -> Value:
        if not value.is_number and value.kind != "any":
            self._problem(
                "type", e.span, f"{place} has to be a number, and this is {value}", "a number", str(value),
                self.misfit(e, value),
            )  # fmt: skip
            return ANY
        return value

    def misfit(self, e: tree.Expression, value: Value) -> str:
        """The edit for what is no number where one is wanted."""
        text = expression_text(e)
        if value.kind in ("distribution", "model", "guide"):
            binding = self.scope.names.get(text)
            if binding is not None and binding.kind != "parameter":
                return f"{text} ~ … on line {binding.span.line}, in the place of {text} = …"
            called = text if isinstance(e, tree.Call) or binding is not None else f"{text}(…)"
            return f"x ~ {called} above, and x here"
        if value.kind == "tuple":
            return "one of the values: a, b = … gives each a name"
        return {"text": text.strip("\"'") or "0", "function": f"{text}(…)"}.get(value.kind, "a number")

    def truth(self, e: tree.Expression) -> None:
        """A test."""
        value = self.of(e)
        if value.kind not in ("bool", "any"):
            edit = f"{expression_text(e)} > 0" if value.is_number else "a comparison: x > 0"
            self._problem("type", e.span, f"a test is true or false, and this is {value}", "a comparison",
                          str(value), edit)  # fmt: skip

    # leaves

    def _number(self, e: tree.Number) -> Value:
        return number(e.value)

    def _boolean(self, e: tree.Boolean) -> Value:
        return Value("bool")

    def _string(self, e: tree.String) -> Value:
        return Value("text")

    def _parenthesised(self, e: tree.Parenthesised) -> Value:
        return self.of(e.inner)

    def _name(self, e: tree.Name) -> Value:
        binding = self.scope.find(e.id)
        if binding is not None:
            if loops := self.scope.building(e.id):
                self._unfinished(e, loops[0].statement.index.id)
                return binding.value
            return binding.whole
        if e.id in self.scope.outside:
            return self.scope.outside[e.id]
        if e.id in CONSTANTS and e.id not in self.scope.given and e.id not in self.scope.left:
            constant = CONSTANTS[e.id]
            return Value("real") if math.isnan(constant) else Value("real", Interval(constant, constant))
        if loops := self.scope.building(e.id):
            self._unfinished(e, loops[0].statement.index.id)
            return ANY
        if e.id in FUNCTIONS or e.id in ALIASES:
            self._problem("type", e.span, f"{e.id} is a function", f"{e.id}(…)", f"`{e.id}`", f"{e.id}(x)")
            return ANY
        if (problem := self.scope.unknown(e)) is not None:
            self.report(problem)
        return ANY

    def _unfinished(self, e: tree.Name, index: str) -> None:
        self._problem(
            "structure",
            e.span,
            f"`{e.id}` is being built by the loop over {index}: it is not whole here",
            f"`{e.id}[{index}]`, its element, or `{e.id}[{index}-1]`, the one before",
            edit=f"{e.id}[{index}]",
        )

    def _list(self, e: tree.List) -> Value:
        if e.elements and all(isinstance(x, tree.String) for x in e.elements):
            return Value("texts")
        found = [self.of(x) for x in e.elements]
        if found and all(v.kind == "distribution" for v in found):
            return Value("distributions")
        values = [
            self._number_of(x, v, "an element of a list") for x, v in zip(e.elements, found, strict=True)
        ]
        self.lists[id(e)] = values
        if not values:
            return Value("real", shape=(0,))
        shape = values[0].shape
        for value, x in zip(values[1:], e.elements[1:], strict=True):
            if shape is not None and value.shape is not None and len(shape) != len(value.shape):
                self._problem(
                    "shape",
                    x.span,
                    "the elements of a list have one shape",
                    shape_text(shape) or "a number",
                    shape_text(value.shape) or "a number",
                    "elements that are all numbers, or all lists of one length",
                )
                return ANY
        interval = values[0].interval
        for value in values[1:]:
            interval = interval.hull(value.interval)
        kind = "int" if all(v.kind == "int" for v in values) else "real"
        return Value(kind, interval, (len(values), *shape) if shape is not None else None)

    def _tuple(self, e: tree.Tuple) -> Value:
        for x in e.elements:
            self.of(x)
        return Value("tuple", shape=None)

    # operators

    def _unary(self, e: tree.Unary) -> Value:
        if e.operator == "not":
            self.truth(e.operand)
            return Value("bool", shape=None)
        value = self.numbers(e.operand, f"what `{e.operator}` is applied to")
        if e.operator == "+" or not value.is_number:
            return value
        i = value.interval
        return replace(value, interval=Interval(-i.high, -i.low, i.open_high, i.open_low), structure="")

    def _binary(self, e: tree.Binary) -> Value:
        if e.operator in ("and", "or"):
            self.truth(e.left)
            self.truth(e.right)
            return Value("bool", shape=None)
        left = self.numbers(e.left, f"what stands before `{e.operator}`")
        if not left.is_number:
            self.of(e.right)
            return ANY
        right = self.numbers(e.right, f"what stands behind `{e.operator}`")
        if not right.is_number:
            return ANY
        if e.operator == "@":
            return self._fitting(e, lambda: matmul([left, right]))
        shape = self._common(e, [left, right])
        if self._too_big(e, left, right):
            return ANY
        kind = "int" if e.operator not in ("/",) and left.kind != "real" and right.kind != "real" else "real"
        if e.operator == "**" and kind == "int" and right.interval.low < 0:
            kind = "real"
        if e.operator == "/" and left.kind == right.kind == "int":
            self.ratios.add(id(e))
        return Value(kind, arithmetic(e.operator, left.interval, right.interval, e.left == e.right), shape)

    def _too_big(self, e: tree.Binary, left: Value, right: Value) -> bool:
        """Whether a whole number that is written out (10 ** 10 ** 10) is too large to be computed; it is reported."""
        a, b = left.interval, right.interval
        known = left.kind == right.kind == "int" and a.low == a.high and b.low == b.high
        if e.operator != "**" or not known or abs(a.low) <= 1 or b.low * math.log2(abs(a.low)) <= BITS:
            return False
        headline, edit = (
            "this number is too large",
            f"{expression_text(e.left)}.0 ** …, or a smaller exponent",
        )
        text = expression_text(e)
        self._problem("resource", e.span, headline, f"at most {BITS} binary digits", text, edit)
        return True

    def _common(self, e: tree.Expression, values: Sequence[Value]) -> Shape:
        shape = broadcast([v.shape for v in values])
        if isinstance(shape, Mismatch):
            self._mismatch(e.span, "these don't have one shape", shape, [v.shape for v in values])
            return None
        return shape

    def _mismatch(self, span: Span, headline: str, m: Mismatch, shapes: Sequence[Shape]) -> None:
        found = " and ".join(shape_text(s) or "a number" for s in shapes)
        what = f"{headline}: {_size(m.left)} against {_size(m.right)}"
        edit = "arrays of one size: an element of one (x[i]), or one name for both sizes"
        self._problem("shape", span, what, "equal sizes, or 1", found, edit)

    def _fitting(self, e: tree.Expression, rule: Callable[[], Value]) -> Value:
        try:
            return rule()
        except Unfit as unfit:
            if unfit.sizes is not None:
                what = f"{unfit.headline}: {_size(unfit.sizes.left)} against {_size(unfit.sizes.right)}"
                found, edit = expression_text(e), "arrays whose sizes agree, or transpose(…) of one"
                self._problem("shape", e.span, what, "equal sizes", found, edit)
            else:
                text = expression_text(e)
                edit = text.replace("@", "*") if "`*`" in unfit.headline else "an array with more axes"
                self._problem("shape", e.span, unfit.headline, None, text, edit)
            return ANY

    def _compare(self, e: tree.Compare) -> Value:
        values = [self.numbers(x, "what is compared") for x in (e.first, *e.operands)]
        return Value("bool", shape=self._common(e, values))

    def _conditional(self, e: tree.Conditional) -> Value:
        self.truth(e.test)
        with_test, without = (least(e.test, holds, self.scope.guards) for holds in (True, False))
        value = self._guarded(e.value, with_test)
        otherwise = self._guarded(e.otherwise, without)
        if not (value.is_number and otherwise.is_number):
            return value if value == otherwise else ANY
        kind = value.kind if value.kind == otherwise.kind else "real"
        interval = value.interval.hull(otherwise.interval)
        structure = value.structure if value.structure == otherwise.structure else ""
        return Value(kind, interval, self._common(e, [value, otherwise]), structure)

    def _guarded(self, e: tree.Expression, guards: dict[str, int]) -> Value:
        before, self.scope.guards = self.scope.guards, guards
        found = self.of(e)
        self.scope.guards = before
        return found

    # parts

    def _attribute(self, e: tree.Attribute) -> Value:
        value = self.of(e.value)
        if value.kind == "module":
            self.scope.find(e.value.id if isinstance(e.value, tree.Name) else "")
        member = self.scope.outside.get(tree.path(e))
        if member is not None:
            return member
        if value.kind == "namespace":
            prefix = expression_text(e.value) + "."
            known = [n.removeprefix(prefix) for n in self.scope.outside if n.startswith(prefix)]
            alike = near(e.name.id, known)
            listed = ", ".join((alike or sorted(known))[:6]) or None
            edit = f"{prefix}{alike[0]}" if alike else "leave it out, or one of these"
            self._problem(
                "name", e.name.span, f"{prefix[:-1]} has no `{e.name.id}`", listed, f"`{e.name.id}`", edit
            )
        elif value.kind != "any" or not self._said(e.value):
            self._problem(
                "type", e.span, f"{value} has no parts with names", "a function of it", f"`.{e.name.id}`",
                self._as_function(e),
            )  # fmt: skip
        return ANY

    def _said(self, e: tree.Expression) -> bool:
        """Whether the lack of a name was reported: nothing more is said of its parts."""
        if isinstance(e, tree.Attribute):
            return True
        names = [n.id for n in tree.walk(e) if isinstance(n, tree.Name)]
        return any(n in self.scope.reported or self.scope.outside.get(n) == ANY for n in names)

    def _as_function(self, e: tree.Attribute) -> str:
        """`x.sum` as a function of x, if there is one."""
        text, name = expression_text(e.value), e.name.id
        if name in PARTS_ELSEWHERE:
            return PARTS_ELSEWHERE[name].format(text)
        if name == "log_prob":
            return f"log_prob({text}, x)"
        return f"{name}({text})" if ALIASES.get(name, name) in FUNCTIONS else "leave it out"

    # calls

    def _call(self, e: tree.Call) -> Value:
        name = e.function.id if isinstance(e.function, tree.Name) else None
        if name is not None and name not in self.scope.names and name not in self.scope.outside:
            signature = FUNCTIONS.get(ALIASES.get(name, name))
            if signature is not None:
                return self._function(e, name, signature)
        function = (
            self.of(e.function)
            if name is None or name in self.scope.names or name in self.scope.outside
            else ANY
        )
        return self.calls(e, function)

    def _function(self, e: tree.Call, name: str, signature: Signature) -> Value:
        shown = f"{name}({signature.arguments})"
        arguments = [self.of(a) for a in e.arguments]
        for keyword in e.keywords:
            given = self.of(keyword.value)
            if keyword.name.id not in signature.keywords and "*" not in signature.keywords:
                known = ", ".join(f"{k}=" for k in signature.keywords) or "none"
                given_ = expression_text(keyword.value)
                mended = f"axis={given_}" if "axis" in signature.keywords else shown
                self._problem("type", keyword.span, f"{name} has no argument `{keyword.name.id}`", known,
                              f"`{keyword.name.id}`", mended)  # fmt: skip
            elif keyword.name.id == "axis":
                arguments.append(given)
                signature = signature.along or signature
        if not signature.least <= len(arguments) <= signature.most:
            count = f"{len(arguments)} argument{'s' if len(arguments) != 1 else ''}"
            self._problem(
                "type", e.span, f"{name} doesn't take {count}", shown, f"{name} with {count}", shown
            )
            return ANY
        if name in (
            "simulate",
            "log_density",
            "score",
            "marginal",
            "normalize",
            "importance",
            "condition",
            "log_prob",
        ):
            return self._of_program(e, name, signature, arguments) if e.arguments else ANY
        for argument, value in zip(e.arguments, arguments, strict=False):
            if not value.is_number and value.kind != "any":
                what = f"{name} takes numbers, and this is {value}"
                self._problem("type", argument.span, what, shown, str(value), self.misfit(argument, value))
                return ANY
        for argument, value in list(zip(e.arguments, arguments, strict=False))[slice(*signature.sizes)]:
            if value.interval.low == value.interval.high and value.interval.low % 1:
                what, edit = (
                    f"a size is a whole number, and this is {value}",
                    "a dim, a whole number, or a // b",
                )
                self._problem("type", argument.span, what, "int", str(value), edit)
                return ANY
        if arguments and arguments[0].is_number and arguments[0].interval.misses(signature.needs):
            self._problem(
                "support",
                e.arguments[0].span,
                f"{name} of {arguments[0].interval} is not a number",
                str(signature.needs),
                str(arguments[0].interval),
                f"{name}(abs({expression_text(e.arguments[0])})), or another function",
            )
            return ANY
        if any(a.kind == "any" for a in arguments):
            try:
                return replace(signature.result(arguments), shape=None)
            except Unfit:
                return ANY
        result = self._fitting(e, lambda: signature.result(arguments))
        sizes = [s for s in result.shape or () if isinstance(s, int)]
        if math.prod(sizes) > ELEMENTS:
            self.report(too_large(e.span, float(math.prod(sizes))))
            return ANY
        return result

    def _of_program(self, e: tree.Call, name: str, signature: Signature, arguments: list[Value]) -> Value:
        """Functions that run programs."""
        if name in OBJECTIVE_ONLY and self.scope.what in ("model", "guide"):
            what = f"`{name}` runs a program: that is for objectives, and this is a {self.scope.what}"
            edit = "x ~ program(…), which makes its choices part of this one"
            self._problem("structure", e.span, what, "an objective", expression_text(e), edit)
            return ANY
        if arguments[0].is_number or arguments[0].kind in ("text", "tuple", "trace"):
            what = f"{name} takes a program first, and this is {arguments[0]}"
            edit = f"{name}(q)" if name == "simulate" else f"{name}(p, z)"
            self._problem("type", e.arguments[0].span, what, "a model or guide", str(arguments[0]), edit)
            return ANY
        return self._fitting(e, lambda: signature.result(arguments))


def _size(size: Size) -> str:
    return "?" if size is None else str(size)
