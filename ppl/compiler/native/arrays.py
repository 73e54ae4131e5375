"""Elements of arrays, and arrays from an element on."""

from __future__ import annotations

import ast

from .frame import LLVM, Frame, Value
from .types import ELEMENT, POINTERS
from .values import integer, value, whole, writes

_SUMS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}


def index(frame: Frame, node: ast.expr) -> Value:
    """An index into an array: sums and products of it may be taken not to overflow."""
    if isinstance(node, ast.BinOp) and (name := _SUMS.get(node.op.__class__)):
        return whole(frame, name, index(frame, node.left), index(frame, node.right), "nsw ")
    return integer(frame, node, "an index")


@writes(ast.Subscript)
def _subscript(frame: Frame, node: ast.Subscript) -> Value:
    """`a[i]`, an element, or `a[k:]`, the array from its k-th element on."""
    base = array(frame, node)
    if isinstance(node.slice, ast.Slice):
        return _slice(frame, base, node, node.slice)
    element = ELEMENT[base.type]
    return frame.op(element, f"load {LLVM[element]}, ptr {place(frame, base, node)}")


def array(frame: Frame, node: ast.Subscript) -> Value:
    """What is indexed: an array, however it was come by."""
    base = value(frame, node.value)
    if base.type not in POINTERS:
        raise frame.refuse(
            node,
            "only arrays can be indexed",
            expected="Floats or Ints",
            found=f"{base.type} `{ast.unparse(node.value)}`",
        )
    return base


def place(frame: Frame, base: Value, node: ast.Subscript) -> str:
    """The address of an element."""
    at = index(frame, node.slice)
    if at.text == "0":
        return base.text
    return _from(frame, base, at).text


def _slice(frame: Frame, base: Value, node: ast.Subscript, bounds: ast.Slice) -> Value:
    if bounds.step is not None:
        raise frame.refuse(
            node, "a slice with a step is not in the subset", edit="a[k:], and the step in the index"
        )
    if bounds.upper is not None:
        index(frame, bounds.upper)  # for numpy; compiled code does not know how long an array is
    return base if bounds.lower is None else _from(frame, base, index(frame, bounds.lower))


def _from(frame: Frame, base: Value, at: Value) -> Value:
    element = LLVM[ELEMENT[base.type]]
    result = frame.pure(base.type, f"getelementptr inbounds {element}, ptr {base.text}, i64 {at.text}")
    frame.derive(result.text, base.text)
    return result
