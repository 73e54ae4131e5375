"""Random functions of the subset, as Python and compiled: exact ones agree to the bit, fast ones nearly."""

from __future__ import annotations

import numpy as np
from compiler.native.both import same
from hypothesis import given, settings
from hypothesis import strategies as st

SIZE = 8
FLOAT_LOCALS = ("x", "y", "z")
INT_LOCALS = ("n", "m", "k")


class Writer:
    """Writes a random function whose Python never raises: integers are wrapped to 64 bits, divisors are not
    zero, indices are taken modulo the length. No sign of a nan is looked at: it is not specified.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.loops = 0

    def pick(self, *options: str) -> str:
        return self.draw(st.sampled_from(options))

    def number(self, depth: int) -> str:
        if depth == 0:
            return self.pick(*FLOAT_LOCALS, "0.1", "-2.5", "1e-3", "3.0", f"a[{self.index(0)}]")
        e = lambda: self.number(depth - 1)  # noqa: E731
        kind = self.pick("+", "-", "*", "/", "//", "%", "neg", "if", "call", "int", "array", "clip", "cast")
        match kind:
            case "+" | "-" | "*":
                return f"({e()} {kind} {e()})"
            case "/" | "//" | "%":
                return f"({e()} {kind} (abs({e()}) + 1.0))"
            case "neg":
                return f"(-{e()})"
            case "if":
                return f"({e()} if {self.condition(depth - 1)} else {e()})"
            case "call":
                f = self.pick("min({}, {})", "max({}, {})", "helper({}, {})", "select({c}, {}, {})")
                return f.format(e(), e(), c=self.condition(depth - 1))
            case "int":
                return f"({self.integer(depth - 1)} {self.pick('+', '*', '/')} ({e()} * {e()} + 1.5))"
            case "array":
                return self.pick(f"a[{self.index(depth - 1)}]", f"p[{self.index(depth - 1)} // 2]")
            case "clip":
                return f"math.{self.pick('sqrt', 'floor', 'ceil', 'trunc', 'fabs')}(abs({e()}))"
            case _:
                return f"float({self.pick(self.integer(depth - 1), self.condition(depth - 1))})"

    def integer(self, depth: int) -> str:
        if depth == 0:
            return self.pick(*INT_LOCALS, "1", "-3", "7", "0x123456789ABCDEF", f"b[{self.index(0)}]")
        e = lambda: self.integer(depth - 1)  # noqa: E731
        kind = self.pick("+", "-", "*", "//", "%", "bits", "shift", "neg", "if", "call", "cast", "float")
        match kind:
            case "+" | "-" | "*":
                return f"wrap({e()} {kind} {e()})"
            case "//" | "%":
                return f"wrap({e()} {kind} {self.pick(f'({e()} | 1)', '8', '-7', '10')})"
            case "bits":
                return f"({e()} {self.pick('&', '|', '^')} {e()})"
            case "shift":
                return self.pick(f"wrap({e()} << ({e()} & 63))", f"({e()} >> ({e()} & 63))", f"({e()} >> 3)")
            case "neg":
                return self.pick(f"wrap(-{e()})", f"(~{e()})")
            case "if":
                return f"({e()} if {self.condition(depth - 1)} else {e()})"
            case "call":
                f = self.pick("min({}, {})", "max({}, {})", "select({c}, {}, {})", "wrap(abs({}))")
                return f.format(e(), e(), c=self.condition(depth - 1))
            case "cast":
                return f"int({self.condition(depth - 1)})"
            case _:
                return f"int(max(-1e6, min(1e6, {self.number(depth - 1)})))"

    def condition(self, depth: int) -> str:
        order = self.pick("<", "<=", ">", ">=", "==", "!=")
        if depth == 0:
            return self.pick(f"(n {order} m)", f"(x {order} y)", f"(z {order} 0)", "math.isnan(y)", "True")
        c = lambda: self.condition(depth - 1)  # noqa: E731
        match self.pick("integers", "numbers", "and", "or", "not", "&", "chain"):
            case "integers":
                return f"({self.integer(depth - 1)} {order} {self.integer(depth - 1)})"
            case "numbers":
                return f"({self.number(depth - 1)} {order} {self.number(depth - 1)})"
            case "and" | "or" as join:
                return f"({c()} {join} {c()})"
            case "not":
                return f"(not {c()})"
            case "&":
                return f"({c()} {self.pick('&', '|', '^', '==', '!=')} {c()})"
            case _:
                return f"({self.number(depth - 1)} {order} {self.number(0)} < {self.number(depth - 1)})"

    def index(self, depth: int) -> str:
        return f"({self.integer(depth)}) % {SIZE}" if depth else self.pick("0", "3", "n % 8", "(m + 1) % 8")

    def block(self, depth: int, inside: bool) -> list[str]:
        lines = []
        for _ in range(self.draw(st.integers(1, 4))):
            lines += self.statement(depth, inside)
        return lines

    def statement(self, depth: int, inside: bool) -> list[str]:
        indented = lambda lines: ["    " + line for line in lines]  # noqa: E731
        kind = self.pick(
            "float", "int", "swap", "store", "add", "pointer", *("if", "for", "while") * (depth > 0)
        )
        match kind:
            case "float":
                return [f"{self.pick(*FLOAT_LOCALS)} = {self.number(2)}"]
            case "int":
                return [f"{self.pick(*INT_LOCALS)} = {self.integer(2)}"]
            case "swap":
                return [
                    self.pick("x, y = y, z", "n, m = m, wrap(n + 1)", "p, q = q, p", "a[n % 8], x = x, a[1]")
                ]
            case "store":
                return [
                    self.pick(
                        f"a[{self.index(1)}] = {self.number(2)}", f"b[{self.index(1)}] = {self.integer(2)}"
                    )
                ]
            case "add":
                return [
                    self.pick(
                        f"y += {self.number(1)}", f"m ^= {self.integer(1)}", f"q[n % 4] -= {self.number(1)}"
                    )
                ]
            case "pointer":
                return [f"p = {self.pick('a', 'q[:]', 'a[n % 4:]')}" if depth else "pass"]
            case "if":
                lines = [f"if {self.condition(2)}:", *indented(self.block(depth - 1, inside))]
                if self.draw(st.booleans()):
                    leaves = ["break", "continue"] if inside else ["return x - 1.0"]
                    lines += ["    " + self.pick(*leaves)]
                if self.draw(st.booleans()):
                    lines += ["else:", *indented(self.block(depth - 1, inside))]
                return lines
            case "for":
                self.loops += 1
                i = f"i{self.loops}"
                bounds = self.pick("n % 5", "2, m % 7", "6, 0, -2", "0, 7, 3", "2")
                body = [f"k = wrap(k + {i})", *self.block(depth - 1, True)]
                return [f"for {i} in range({bounds}):", *indented(body)]
            case _:
                self.loops += 1
                w = f"w{self.loops}"
                body = [f"{w} += 1", *self.block(depth - 1, True)]
                return [f"{w} = 0", f"while {w} < 4 and {self.condition(1)}:", *indented(body)]

    def function(self) -> str:
        lines = ["p = a", "q = a[4:]", "z = 0.5", "k = 3", *self.block(2, False), "b[7] = wrap(n ^ m ^ k)"]
        helper = (
            f"    z = x\n    n = 3\n    m = -2\n    k = 11\n    if {self.condition(1)}:\n        return y\n"
        )
        helper = helper.replace("a[", "float(").replace("b[", "(").replace("]", ")")
        vectorise = self.pick("True", "False")
        return (
            f"@native(exact=True)\ndef helper(x: f64, y: f64) -> f64:\n{helper}    return x + y * z\n\n"
            f"@native(exact=True, vectorise={vectorise})\n"
            "def f(a: Floats, b: Ints, x: f64, y: f64, n: i64, m: i64) -> f64:\n    "
            + "\n    ".join(lines)
            + "\n    return x + y * z\n"
        )


@st.composite
def functions(draw: st.DrawFn) -> str:
    return Writer(draw).function()


A = np.array([0.5, -1.25, 3.0, 1e3, 0.1, -0.0, 2.0, -7.5])
B = np.array([5, -1, 2**62 + 12345, 0, -(2**63), 17, 3, -44])


@given(functions(), st.sampled_from((-1.5, 0.3, 1e10)), st.integers(-(2**63), 2**63 - 1), st.integers(-3, 9))
@settings(max_examples=60)
def test_exact_functions_agree_to_the_bit(source: str, x: float, n: int, m: int) -> None:
    same(source, A.copy(), B.copy(), x, 0.75, n, m)


class Positive:
    """Expressions of positive numbers and positive results: every operation adds a rounding or two to the
    relative error, in whatever order sums are taken.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def write(self, depth: int) -> str:
        pick = lambda *options: self.draw(st.sampled_from(options))  # noqa: E731
        if depth == 0:
            return pick("a[i]", "b[i]", "a[n - 1 - i]", "x", "0.3", "float(i + 1)")
        e = lambda: self.write(depth - 1)  # noqa: E731
        return (
            pick("({} + {})", "({} * {})", "({} / {})", "math.sqrt({} + {})", "max({}, {})").format(e(), e())
            if (pick(True, True, False))
            else pick(
                "select(i % 3 == 1, {}, {})", "({} if i < n // 2 else {})", "min({}, {})", "half({})"
            ).format(e(), e())
        )


@st.composite
def sums(draw: st.DrawFn) -> str:
    positive = Positive(draw)
    return f"""
@native
def half(x: f64) -> f64:
    return 0.5 * x

@native
def f(a: Floats, b: Floats, x: f64, n: i64) -> f64:
    total = 0.0
    for i in range(n):
        y = {positive.write(3)}
        total += y / (1.0 + y)
        a[i] = {positive.write(2)}
    for i in range(n):
        total += {positive.write(2)}
    return total
"""


@given(sums(), st.sampled_from((1, 3, 40)))
@settings(max_examples=40)
def test_fast_functions_agree_closely(source: str, n: int) -> None:
    """40 terms of a hundred operations at most: (40 + 100) 2⁻⁵³ < 2e-14 of the sum, in whatever order."""
    rng = np.random.default_rng(n)
    same(source, rng.uniform(0.5, 2.0, n), rng.uniform(0.5, 2.0, n), 1.7, n, rtol=1e-12)
