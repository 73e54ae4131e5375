"""Comparisons, `and`, `or`, and the choice between two values."""

from __future__ import annotations

import ast
from collections.abc import Callable

from .frame import LLVM, Frame, Value
from .refusals import CONSTRUCTS
from .types import POINTERS, Type
from .values import BOOL, F64, I64, alike, as_float, condition, value, writes

_FLOAT_ORDER = {ast.Lt: "olt", ast.LtE: "ole", ast.Gt: "ogt", ast.GtE: "oge", ast.Eq: "oeq", ast.NotEq: "une"}
_INTEGER_ORDER = {ast.Lt: "slt", ast.LtE: "sle", ast.Gt: "sgt", ast.GtE: "sge", ast.Eq: "eq", ast.NotEq: "ne"}


@writes(ast.Compare)
def _compare(frame: Frame, node: ast.Compare) -> Value:
    """`a < b < c` is `a < b and b < c` with b evaluated once, and c only if a < b."""
    for op in node.ops:
        if op.__class__ in CONSTRUCTS:
            what, instead = CONSTRUCTS[op.__class__]
            raise frame.refuse(node, f"{what} is not in the subset", edit=instead)
    left, rest = value(frame, node.left), list(zip(node.ops, node.comparators, strict=True))

    def further(frame: Frame, left: Value, rest: list[tuple[ast.cmpop, ast.expr]]) -> Value:
        (op, right_node), *others = rest
        right = value(frame, right_node)
        found = _ordered(frame, op, left, right, node)
        if not others:
            return found
        simple = all(is_simple(other) for _, other in others)
        return _both(frame, found, lambda: further(frame, right, others), simple)

    return further(frame, left, rest)


def _ordered(frame: Frame, op: ast.cmpop, a: Value, b: Value, node: ast.AST) -> Value:
    kind = op.__class__
    if a.type in (F64, I64) and b.type in (F64, I64):
        a, b = alike(frame, a, b)
        if a.type is F64:
            return frame.op(BOOL, f"fcmp {_FLOAT_ORDER[kind]} double {a.text}, {b.text}")
        return frame.op(BOOL, f"icmp {_INTEGER_ORDER[kind]} i64 {a.text}, {b.text}")
    if a.type is b.type is BOOL and kind in (ast.Eq, ast.NotEq):
        return frame.op(BOOL, f"icmp {_INTEGER_ORDER[kind]} i1 {a.text}, {b.text}")
    raise frame.refuse(
        node,
        "these can't be compared",
        expected="two numbers, or two bools with == or !=",
        found=f"{a.type} and {b.type}",
    )


_SAFE = (ast.Add, ast.Sub, ast.Mult, ast.Div)


def is_simple(node: ast.expr) -> bool:
    """May the expression be evaluated where Python would not? It then has no effect and can't fail."""
    match node:
        case ast.Name() | ast.Constant():
            return True
        case ast.BinOp(left=a, op=op, right=b):
            return op.__class__ in _SAFE and is_simple(a) and is_simple(b)
        case ast.UnaryOp(operand=a):
            return is_simple(a)
        case ast.Compare(left=a, comparators=others):
            return is_simple(a) and all(map(is_simple, others))
        case ast.BoolOp(values=values):
            return all(map(is_simple, values))
    return False


@writes(ast.BoolOp)
def _boolean(frame: Frame, node: ast.BoolOp) -> Value:
    """`and`, `or`: what follows is evaluated only if it matters."""

    def further(values: list[ast.expr]) -> Value:
        first, *others = values
        found = condition(frame, first)
        if not others:
            return found
        simple = all(map(is_simple, others))
        return join(frame, found, lambda: further(others), simple)

    join = _both if node.op.__class__ is ast.And else _either
    return further(node.values)


def _both(frame: Frame, first: Value, second: Callable[[], Value], simple: bool) -> Value:
    if simple:
        return frame.op(BOOL, f"select i1 {first.text}, i1 {second().text}, i1 false")
    return choose(frame, first, second, lambda: Value("false", BOOL))


def _either(frame: Frame, first: Value, second: Callable[[], Value], simple: bool) -> Value:
    if simple:
        return frame.op(BOOL, f"select i1 {first.text}, i1 true, i1 {second().text}")
    return choose(frame, first, lambda: Value("true", BOOL), second)


def choose(frame: Frame, decides: Value, yes: Callable[[], Value], no: Callable[[], Value]) -> Value:
    """The value of one of two expressions; only that one is evaluated."""
    then, other, done = frame.label("then"), frame.label("else"), frame.label("chosen")
    frame.branch(decides, then, other)
    frame.start(then)
    a, a_end, a_line = yes(), frame.block, len(frame.lines)
    frame.jump(done)
    frame.start(other)
    b = no()
    if a.type is not b.type and {a.type, b.type} == {F64, I64}:
        b = as_float(frame, b)
        a = _inserted(frame, a, a_line)
    b_end = frame.block
    frame.jump(done)
    frame.start(done)
    return Value(frame.phi(a.type, [(a.text, a_end), (b.text, b_end)]), a.type) if a.type is b.type else b


def _inserted(frame: Frame, found: Value, line: int) -> Value:
    """`found` as f64, converted at an earlier line: the end of the block that computed it."""
    tail = frame.lines[line:]
    del frame.lines[line:]
    result = as_float(frame, found)
    frame.lines.extend(tail)
    return result


@writes(ast.IfExp)
def _conditional(frame: Frame, node: ast.IfExp) -> Value:
    """`a if c else b`."""
    decides = condition(frame, node.test)
    if is_simple(node.body) and is_simple(node.orelse):
        a, b = value(frame, node.body), value(frame, node.orelse)
        return selected(frame, decides, a, b, node)
    found: list[Value] = []

    def side(expression: ast.expr) -> Value:
        found.append(value(frame, expression))
        return found[-1]

    result = choose(frame, decides, lambda: side(node.body), lambda: side(node.orelse))
    _same(frame, found[0], found[1], node)
    return result


def selected(frame: Frame, decides: Value, a: Value, b: Value, node: ast.AST) -> Value:
    """One of two values, both computed."""
    _same(frame, a, b, node)
    a, b = alike(frame, a, b)
    flags = frame.flags if a.type is F64 else ""
    kind = LLVM[a.type]
    result = frame.op(a.type, f"select {flags}i1 {decides.text}, {kind} {a.text}, {kind} {b.text}")
    if a.type in POINTERS:
        frame.derive(result.text, a.text)
        frame.derive(result.text, b.text)
    return result


def _same(frame: Frame, a: Value, b: Value, node: ast.AST) -> None:
    mixed = a.type is not b.type and {a.type, b.type} != {F64, I64}
    if mixed or Type.VOID in (a.type, b.type):
        raise frame.refuse(
            node, "both sides must have one type", expected="the same type", found=f"{a.type} and {b.type}"
        )
