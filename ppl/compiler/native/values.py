"""Values of expressions: `value(frame, node)` writes an expression's instructions and gives its operand.

What writes each kind of expression stands in `arithmetic`, `conditions`, `arrays` and `calls`.
"""

from __future__ import annotations

import ast
import operator
import struct
from collections.abc import Callable
from typing import Any

from .frame import Frame, Value
from .refusals import CONSTRUCTS
from .types import Type

F64, I64, BOOL = Type.F64, Type.I64, Type.BOOL

_WRITERS: dict[type[ast.expr], Callable[[Frame, Any], Value]] = {}


def writes(kind: type[ast.expr]) -> Callable[[Any], Any]:
    """Declare what writes a kind of expression."""

    def declare(writer: Any) -> Any:
        _WRITERS[kind] = writer
        return writer

    return declare


def value(frame: Frame, node: ast.expr) -> Value:
    """Write the instructions of an expression."""
    handler = _WRITERS.get(node.__class__)
    if handler is None:
        raise _foreign(frame, node)
    return handler(frame, node)


def number(frame: Frame, node: ast.expr) -> Value:
    """An expression that must be f64 or i64."""
    found = value(frame, node)
    if found.type is not F64 and found.type is not I64:
        raise frame.refuse(
            node,
            "a number is needed here",
            expected="f64 or i64",
            found=f"{found.type} `{ast.unparse(node)}`",
            edit=f"int({ast.unparse(node)})" if found.type is BOOL else None,
        )
    return found


def condition(frame: Frame, node: ast.expr) -> Value:
    """An expression that must be bool."""
    found = value(frame, node)
    if found.type is not BOOL:
        zero = {F64: " != 0.0", I64: " != 0"}.get(found.type)
        raise frame.refuse(
            node,
            "a condition must be bool",
            expected="bool",
            found=f"{found.type} `{ast.unparse(node)}`",
            edit=ast.unparse(node) + zero if zero else None,
        )
    return found


def integer(frame: Frame, node: ast.expr, what: str) -> Value:
    """An expression that must be i64."""
    found = value(frame, node)
    if found.type is not I64:
        raise frame.refuse(
            node,
            f"{what} must be i64",
            expected="i64",
            found=f"{found.type} `{ast.unparse(node)}`",
            edit=f"int({ast.unparse(node)})" if found.type in (F64, BOOL) else None,
        )
    return found


def arity(frame: Frame, node: ast.Call, wanted: int) -> None:
    """Check how many arguments a call has."""
    if len(node.args) != wanted:
        raise frame.refuse(
            node,
            f"`{ast.unparse(node.func)}` takes {wanted} argument{'s' * (wanted != 1)}",
            found=str(len(node.args)),
        )


def as_float(frame: Frame, found: Value) -> Value:
    """A number as f64: a literal is rewritten, another integer converted."""
    if found.type is F64:
        return found
    if found.text[0] != "%":
        return Value(literal(float(int(found.text))), F64)
    return frame.op(F64, f"sitofp i64 {found.text} to double")


_WHOLE = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


def whole(frame: Frame, name: str, a: Value, b: Value, flags: str = "") -> Value:
    """The sum, difference or product of two whole numbers; of literals it is one."""
    if "%" not in (a.text[0], b.text[0]):
        found = constant(_WHOLE[name](int(a.text), int(b.text)))
        if found is not None:
            return found
    if name != "mul":
        if b.text == "0":
            return a
        if a.text == "0" and name == "add":
            return b
    return frame.pure(I64, f"{name} {flags}i64 {a.text}, {b.text}")


def alike(frame: Frame, a: Value, b: Value) -> tuple[Value, Value]:
    """Two numbers of one type: where one is a float, both."""
    if a.type is b.type:
        return a, b
    return as_float(frame, a), as_float(frame, b)


def literal(x: float) -> str:
    """A float as LLVM reads it back, to the last bit: in decimals where Python writes plain ones."""
    text = repr(x)
    if "." in text and "e" not in text:
        return text
    return f"0x{struct.unpack('<Q', struct.pack('<d', x))[0]:016X}"


def constant(x: Any) -> Value | None:
    """A Python number as an operand; None if it is none, or does not fit into 64 bits."""
    if isinstance(x, bool):
        return Value("true" if x else "false", BOOL)
    if isinstance(x, int):
        if not -(2**63) <= x < 2**64:
            return None
        return Value(str(x - 2**64 if x >= 2**63 else x), I64)
    if isinstance(x, float):
        return Value(literal(float(x)), F64)
    return None


def _foreign(frame: Frame, node: ast.expr) -> Exception:
    what, instead = CONSTRUCTS.get(node.__class__, (f"`{ast.unparse(node)}`", None))
    return frame.refuse(node, f"{what} is not in the subset", edit=instead)
