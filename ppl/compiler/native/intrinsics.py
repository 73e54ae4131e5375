"""What the subset's own functions, and those of `math`, are compiled to."""

from __future__ import annotations

import ast
from collections.abc import Callable

from .conditions import selected
from .frame import Frame, Value
from .libm import ARITY
from .prelude import C_NAMES, INTRINSICS
from .types import SCALARS, Type
from .values import BOOL, F64, I64, alike, arity, as_float, condition, integer, number, value


def mathematics(frame: Frame, node: ast.Call, name: str) -> Value:
    """A function of `math`: an instruction, or a call of the C library."""
    if name in _PREDICATES:
        arity(frame, node, 1)
        return _PREDICATES[name](frame, as_float(frame, number(frame, node.args[0])).text)
    symbol, count = INTRINSICS.get(name) or ((c := C_NAMES.get(name, name)), ARITY[c])
    arity(frame, node, count)
    arguments = [as_float(frame, number(frame, argument)) for argument in node.args]
    frame.helpers[symbol] = None
    inside = ", ".join(f"double {a.text}" for a in arguments)
    flags = frame.flags if name in INTRINSICS else ""
    return frame.op(F64, f"call {flags}double @{symbol}({inside})")


def _size_against_infinity(order: str) -> Callable[[Frame, str], Value]:
    def write(frame: Frame, x: str) -> Value:
        frame.helpers["llvm.fabs.f64"] = None
        size = frame.op(F64, f"call double @llvm.fabs.f64(double {x})")
        return frame.op(BOOL, f"fcmp {order} double {size.text}, 0x7FF0000000000000")

    return write


_PREDICATES: dict[str, Callable[[Frame, str], Value]] = {
    "isnan": lambda frame, x: frame.op(BOOL, f"fcmp uno double {x}, 0.0"),
    "isinf": _size_against_infinity("oeq"),
    "isfinite": _size_against_infinity("olt"),
}


# the subset's own


def _one(frame: Frame, node: ast.Call) -> ast.expr:
    arity(frame, node, 1)
    return node.args[0]


def _abs(frame: Frame, node: ast.Call) -> Value:
    x = number(frame, _one(frame, node))
    name = "llvm.fabs.f64" if x.type is F64 else "llvm.abs.i64"
    frame.helpers[name] = None
    if x.type is F64:
        return frame.op(F64, f"call {frame.flags}double @{name}(double {x.text})")
    return frame.op(I64, f"call i64 @{name}(i64 {x.text}, i1 false)")


def _extreme(orders: tuple[str, str]) -> Callable[[Frame, ast.Call], Value]:
    """`b if b < a else a`, Python's meaning of min(a, b), and of max with >."""

    def write(frame: Frame, node: ast.Call) -> Value:
        arity(frame, node, 2)
        a, b = alike(frame, *(number(frame, argument) for argument in node.args))
        compare = f"fcmp {orders[0]} double" if a.type is F64 else f"icmp {orders[1]} i64"
        return selected(frame, frame.op(BOOL, f"{compare} {b.text}, {a.text}"), b, a, node)

    return write


def _float(frame: Frame, node: ast.Call) -> Value:
    x = value(frame, _one(frame, node))
    if x.type is BOOL:
        return frame.op(F64, f"uitofp i1 {x.text} to double")
    return as_float(frame, x if x.type in SCALARS else number(frame, node.args[0]))


def _int(frame: Frame, node: ast.Call) -> Value:
    x = value(frame, _one(frame, node))
    if x.type is BOOL:
        return frame.op(I64, f"zext i1 {x.text} to i64")
    if x.type is F64:  # of a float that no i64 holds some number, always the same: `freeze`
        return frame.op(I64, f"freeze i64 {frame.op(I64, f'fptosi double {x.text} to i64').text}")
    return x if x.type is I64 else number(frame, node.args[0])


def _bool(frame: Frame, node: ast.Call) -> Value:
    x = value(frame, _one(frame, node))
    if x.type is F64:
        return frame.op(BOOL, f"fcmp une double {x.text}, 0.0")
    if x.type is I64:
        return frame.op(BOOL, f"icmp ne i64 {x.text}, 0")
    return condition(frame, node.args[0]) if x.type is not BOOL else x


def _select(frame: Frame, node: ast.Call) -> Value:
    arity(frame, node, 3)
    decides = condition(frame, node.args[0])
    return selected(frame, decides, value(frame, node.args[1]), value(frame, node.args[2]), node)


def _bits(frame: Frame, node: ast.Call) -> Value:
    x = as_float(frame, number(frame, _one(frame, node)))
    return frame.op(I64, f"bitcast double {x.text} to i64")


def _from_bits(frame: Frame, node: ast.Call) -> Value:
    i = integer(frame, _one(frame, node), "the bits of a float")
    return frame.op(F64, f"bitcast i64 {i.text} to double")


def _round_even(frame: Frame, node: ast.Call) -> Value:
    x = as_float(frame, number(frame, _one(frame, node)))
    frame.helpers["llvm.roundeven.f64"] = None
    return frame.op(F64, f"call {frame.flags}double @llvm.roundeven.f64(double {x.text})")


def _muladd(frame: Frame, node: ast.Call) -> Value:
    arity(frame, node, 3)
    x, y, z = (as_float(frame, number(frame, argument)).text for argument in node.args)
    frame.helpers["llvm.fmuladd.f64"] = None
    return frame.op(F64, f"call {frame.flags}double @llvm.fmuladd.f64(double {x}, double {y}, double {z})")


def _at_address(kind: Type) -> Callable[[Frame, ast.Call], Value]:
    def write(frame: Frame, node: ast.Call) -> Value:
        address = integer(frame, _one(frame, node), "an address")
        return frame.op(kind, f"inttoptr i64 {address.text} to ptr")

    return write


OWN: dict[str, Callable[[Frame, ast.Call], Value]] = {
    "abs": _abs,
    "min": _extreme(("olt", "slt")),
    "max": _extreme(("ogt", "sgt")),
    "float": _float,
    "int": _int,
    "bool": _bool,
    "select": _select,
    "bits": _bits,
    "from_bits": _from_bits,
    "wrap": lambda frame, node: integer(frame, _one(frame, node), "what `wrap` takes"),
    "round_even": _round_even,
    "muladd": _muladd,
    "as_floats": _at_address(Type.FLOATS),
    "as_ints": _at_address(Type.INTS),
}
