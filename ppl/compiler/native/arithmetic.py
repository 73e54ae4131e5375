"""Numbers, names and arithmetic."""

from __future__ import annotations

import ast

from .calls import global_value
from .frame import LLVM, Frame, Value
from .refusals import CONSTRUCTS
from .types import POINTERS
from .values import (
    BOOL,
    F64,
    I64,
    alike,
    as_float,
    condition,
    constant,
    integer,
    number,
    value,
    whole,
    writes,
)


@writes(ast.Constant)
def _constant(frame: Frame, node: ast.Constant) -> Value:
    found = constant(node.value)
    if found is None:
        big = isinstance(node.value, int)
        raise frame.refuse(
            node,
            "an integer of more than 64 bits" if big else "only numbers are values here",
            expected="-2**63 to 2**64 - 1" if big else "an int, float or bool",
            found=ast.unparse(node),
        )
    return found


@writes(ast.Name)
def _name(frame: Frame, node: ast.Name) -> Value:
    name = node.id
    if name not in frame.local_names:
        return global_value(frame, node)
    text = frame.locals.get(name) if frame.locals is not None else None
    if text is None:
        raise frame.refuse(
            node,
            f"`{name}` may be read before it is assigned",
            expected="an assignment on every way that leads here",
            found="a branch or a loop of no rounds that leaves it out" if name in frame.types else "none",
            edit=f"`{name} = ...` before the branch or loop",
        )
    return Value(text, frame.types[name])


_FLOAT = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
_INTEGER = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
_BITS = {ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor"}
_SHIFTS = {ast.LShift: "shl", ast.RShift: "ashr"}
_ROUNDED_DOWN = {ast.FloorDiv: "floordiv", ast.Mod: "mod"}


@writes(ast.BinOp)
def _binary(frame: Frame, node: ast.BinOp) -> Value:
    """Sums of many terms lean to the left: their spine is walked, not descended."""
    spine: list[ast.BinOp] = []
    left: ast.expr = node
    while isinstance(left, ast.BinOp) and left.op.__class__ is not ast.Pow:
        spine.append(left)
        left = left.left
    found = _power(frame, left) if isinstance(left, ast.BinOp) else value(frame, left)
    for operation in reversed(spine):
        found = operate(frame, operation.op, found, value(frame, operation.right), operation)
    return found


def operate(frame: Frame, op: ast.operator, a: Value, b: Value, node: ast.AST) -> Value:
    """`a op b` for every operator but the power."""
    kind = op.__class__
    if kind in _BITS and a.type is b.type and a.type in (I64, BOOL):
        return frame.op(a.type, f"{_BITS[kind]} {LLVM[a.type]} {a.text}, {b.text}")
    if kind in _SHIFTS and a.type is b.type is I64:
        return _shift(frame, _SHIFTS[kind], a, b, node)
    numbers = a.type in (F64, I64) and b.type in (F64, I64)
    if numbers and (kind is ast.Div or (kind in _FLOAT and (a.type is F64 or b.type is F64))):
        x, y = as_float(frame, a), as_float(frame, b)
        return frame.op(F64, f"{_FLOAT[kind]} {frame.flags}double {x.text}, {y.text}")
    if numbers and kind in _INTEGER:
        return whole(frame, _INTEGER[kind], a, b)
    if numbers and kind in _ROUNDED_DOWN:
        return _rounded_down(frame, _ROUNDED_DOWN[kind], *alike(frame, a, b))
    raise _operands(frame, kind, a, b, node)


def _operands(frame: Frame, kind: type[ast.operator], a: Value, b: Value, node: ast.AST) -> Exception:
    """No such operation on these types."""
    if kind in CONSTRUCTS:
        what, instead = CONSTRUCTS[kind]
        return frame.refuse(node, f"{what} is not in the subset", edit=instead)
    edit = None
    if a.type in POINTERS:
        edit = "q[k:] is the array from its k-th element on"
    elif kind in _BITS:
        edit = "(a < b) & (c < d): parentheses around what is compared"
    elif BOOL in (a.type, b.type):
        edit = "int(...) makes a bool a number"
    expected = "i64, or bool on both sides" if kind in _BITS else "i64" if kind in _SHIFTS else "f64 or i64"
    return frame.refuse(
        node, "no such operation on these types", expected=expected, found=f"{a.type} and {b.type}", edit=edit
    )


def _shift(frame: Frame, name: str, a: Value, b: Value, node: ast.AST) -> Value:
    """A shift; the count is taken modulo 64, so that no count is undefined."""
    if b.text[0] != "%":
        if not 0 <= int(b.text) < 64:
            raise frame.refuse(node, "a shift by more bits than there are", expected="0 to 63", found=b.text)
        return frame.op(I64, f"{name} i64 {a.text}, {b.text}")
    count = frame.op(I64, f"and i64 {b.text}, 63")
    return frame.op(I64, f"{name} i64 {a.text}, {count.text}")


def _rounded_down(frame: Frame, name: str, a: Value, b: Value) -> Value:
    """`//` and `%` with Python's meaning: the quotient rounds down, the remainder has the divisor's sign."""
    if a.type is F64:
        frame.helpers[f"ppl.{name}.f64"] = None
        return frame.op(F64, f"call double @ppl.{name}.f64(double {a.text}, double {b.text})")
    if b.text[0] != "%" and (divisor := int(b.text)) > 0 and divisor & (divisor - 1) == 0:
        if name == "mod":
            return frame.op(I64, f"and i64 {a.text}, {divisor - 1}")
        return frame.op(I64, f"ashr i64 {a.text}, {divisor.bit_length() - 1}")
    frame.helpers[f"ppl.{name}.i64"] = None
    return frame.op(I64, f"call i64 @ppl.{name}.i64(i64 {a.text}, i64 {b.text})")


def _power(frame: Frame, node: ast.BinOp) -> Value:
    """A power with a small literal exponent, by repeated squaring."""
    exponent = node.right.value if isinstance(node.right, ast.Constant) else None
    if type(exponent) is not int or not 0 <= exponent <= 8:
        x, y = ast.unparse(node.left), ast.unparse(node.right)
        raise frame.refuse(
            node,
            "`**` takes a literal exponent from 0 to 8",
            found=y,
            edit=f"math.sqrt({x})" if exponent == 0.5 else f"math.pow({x}, {y})",
        )
    base = number(frame, node.left)
    if exponent == 0:
        return Value("1.0", F64) if base.type is F64 else Value("1", I64)
    times = f"fmul {frame.flags}double" if base.type is F64 else "mul i64"
    result: Value | None = None
    square = base
    for bit in range(exponent.bit_length()):
        if bit:
            square = frame.op(base.type, f"{times} {square.text}, {square.text}")
        if exponent >> bit & 1:
            result = frame.op(base.type, f"{times} {result.text}, {square.text}") if result else square
    assert result is not None
    return result


@writes(ast.UnaryOp)
def _unary(frame: Frame, node: ast.UnaryOp) -> Value:
    kind = node.op.__class__
    if kind is ast.Not:
        return frame.op(BOOL, f"xor i1 {condition(frame, node.operand).text}, true")
    if kind is ast.Invert:
        return frame.op(I64, f"xor i64 {integer(frame, node.operand, 'the operand of `~`').text}, -1")
    literal = node.operand.value if isinstance(node.operand, ast.Constant) else None
    if kind is ast.USub and isinstance(literal, int | float) and not isinstance(literal, bool):
        return _constant(frame, ast.copy_location(ast.Constant(-literal), node))
    found = number(frame, node.operand)
    if kind is ast.UAdd:
        return found
    if found.type is F64:
        return frame.op(F64, f"fneg {frame.flags}double {found.text}")
    return frame.op(I64, f"sub i64 0, {found.text}")
