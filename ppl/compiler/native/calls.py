"""Calls: the subset's own functions, those of `math`, other native functions, and densities by address."""

from __future__ import annotations

import ast
import builtins as python
import math as python_math
from collections.abc import Callable
from typing import Any

from . import builtins, math
from .conditions import selected
from .frame import LLVM, Frame, Value
from .function import Native
from .libm import ARITY
from .prelude import C_NAMES, INTRINSICS
from .special_table import redirected
from .types import DENSITY_PARAMETERS, POINTERS, Signature, Type
from .values import BOOL, F64, I64, alike, as_float, condition, constant, integer, number, value, writes

# As arguments and results: C passes a bool as a byte of 0 or 1.
PASSED = LLVM | {Type.BOOL: "i1 zeroext"}

MATH_MODULES = (python_math, math)
_MATH = {name: getattr(math, name) for name in dir(math) if name in {*INTRINSICS, *ARITY, *C_NAMES} or name[:2] == "is"}
_CONSTANTS = ("inf", "nan", "pi", "e", "tau")

# Function object -> its name: the subset's and Python's by the first table, those of `math` by the second.
_OWN: dict[Any, str] = {
    getattr(module, name): name
    for module, names in (
        (builtins, ("select", "bits", "from_bits", "wrap", "round_even", "as_floats", "as_ints")),
        (python, ("abs", "min", "max", "float", "int", "bool")),
    )
    for name in names
}
_OF_MATH: dict[Any, str] = {
    function: name for module in MATH_MODULES for name in _MATH if (function := getattr(module, name, None))
}


def lookup(frame: Frame, node: ast.Name | ast.Attribute) -> Any:
    """What a global name, or `math.name`, stands for."""
    base = node if isinstance(node, ast.Name) else node.value
    name = base.id if isinstance(base, ast.Name) else None
    if name is None or (base is not node and name in frame.local_names):
        raise _attribute(frame, node)
    try:
        found = frame.native.origin.lookup(name)
    except KeyError:
        raise frame.refuse(
            node,
            f"`{name}` is not defined",
            expected="a parameter, a local, a global number, a native function, a builtin of the subset or `math`",
            edit="from ppl.compiler.native import math" if name == "math" else None,
        ) from None
    if isinstance(node, ast.Name):
        return found
    if not any(found is module for module in MATH_MODULES):
        raise _attribute(frame, node)
    if node.attr in _MATH or node.attr in _CONSTANTS:
        return getattr(math, node.attr)
    known = ", ".join(sorted([*_MATH, *_CONSTANTS]))
    raise frame.refuse(node, f"math.{node.attr} is not in the subset", expected=known)


def _attribute(frame: Frame, node: ast.Name | ast.Attribute) -> Exception:
    """Only `math` has attributes here."""
    assert isinstance(node, ast.Attribute)
    return frame.refuse(
        node,
        "attributes are not in the subset, but for those of `math`",
        found=ast.unparse(node),
        edit=f"math.{node.attr}" if node.attr in _MATH else None,
    )


@writes(ast.Attribute)
def global_value(frame: Frame, node: ast.Name | ast.Attribute) -> Value:
    """A global where a value is needed: a number, or a native function that can be a density."""
    found = lookup(frame, node)
    if (number := constant(found)) is not None:
        return number
    if isinstance(found, Native):
        signature = frame.signature(found)
        if signature.parameters == DENSITY_PARAMETERS and signature.result is I64:
            return Value(f"@{frame.callee(found)}", Type.DENSITY)
        raise frame.refuse(
            node,
            f"`{found.name}` is not a density",
            expected="(x: Floats, out: Floats, env: Ints) -> i64",
            found=str(signature),
        )
    raise frame.refuse(
        node,
        f"`{ast.unparse(node)}` is not a value of the subset",
        expected="an int, float or bool, or a native function",
        found=type(found).__name__,
        edit="pass it as a parameter",
    )


@writes(ast.Call)
def call(frame: Frame, node: ast.Call) -> Value:
    """A call; the result of one without a result is of type None."""
    if node.keywords:
        raise frame.refuse(node, "arguments go by position", edit="the values in the order of the parameters")
    target = node.func
    if isinstance(target, ast.Name) and target.id in frame.local_names:
        return _density(frame, node, value(frame, target))
    if not isinstance(target, ast.Name | ast.Attribute):
        raise frame.refuse(target, "only functions known by name can be called", found=ast.unparse(target))
    function = lookup(frame, target)
    if isinstance(function, Native):
        return _native(frame, node, function)
    name = _name_in(_OWN, function)
    if name is not None:
        return _OWN_CALLS[name](frame, node)
    name = _name_in(_OF_MATH, function)
    if name is not None:
        return _mathematics(frame, node, name)
    what = ast.unparse(target)
    raise frame.refuse(
        node,
        f"`{what}` can't be called in the subset",
        expected="a native function, a builtin of the subset or `math.f`",
        found=type(function).__name__,
        edit=f"@native above `def {what}`" if callable(function) and hasattr(function, "__code__") else None,
    )


def _name_in(table: dict[Any, str], function: Any) -> str | None:
    try:
        return table.get(function)
    except TypeError:  # can't be hashed, so it is none of ours
        return None


def _arity(frame: Frame, node: ast.Call, wanted: int) -> None:
    if len(node.args) != wanted:
        raise frame.refuse(
            node,
            f"`{ast.unparse(node.func)}` takes {wanted} argument{'s' * (wanted != 1)}",
            found=str(len(node.args)),
        )


# natives and densities


def _native(frame: Frame, node: ast.Call, callee: Native, promote: bool = False) -> Value:
    signature = frame.signature(callee)
    _arity(frame, node, len(signature.parameters))
    arguments = [value(frame, argument) for argument in node.args]
    if promote:
        arguments = [as_float(frame, a) if a.type is I64 else a for a in arguments]
    stored = frame.stored_by(callee)
    _check(frame, node, signature, stored, arguments)
    return _written(frame, f"@{frame.callee(callee)}", signature.result, arguments)


def _density(frame: Frame, node: ast.Call, density: Value) -> Value:
    if density.type is not Type.DENSITY:
        raise frame.refuse(
            node, "only functions can be called", expected="a native function or a Density", found=str(density.type)
        )
    _arity(frame, node, 3)
    arguments = [value(frame, argument) for argument in node.args]
    signature = Signature(("x", "out", "env"), DENSITY_PARAMETERS, I64, (False, True, True))
    _check(frame, node, signature, signature.stored, arguments)
    return _written(frame, density.text, I64, arguments)


def _check(
    frame: Frame, node: ast.Call, signature: Signature, stored: tuple[bool, ...], arguments: list[Value]
) -> None:
    """Types as declared, and no array twice where one is written."""
    name = ast.unparse(node.func)
    for place, (wanted, found) in enumerate(zip(signature.parameters, arguments, strict=True)):
        if found.type is not wanted:
            text = ast.unparse(node.args[place])
            convert = {F64: f"float({text})", I64: f"int({text})"}.get(wanted) if found.type in _SCALARS else None
            raise frame.refuse(
                node.args[place],
                f"`{name}` takes another type for `{signature.names[place]}`",
                expected=str(wanted),
                found=f"{found.type} `{text}`",
                edit=convert,
            )
    arrays = [a.text for a in arguments if a.type in POINTERS]
    for a, is_stored in zip(arguments, stored, strict=True):
        if is_stored:
            frame.store_to(a.text)
            if arrays.count(a.text) > 1:
                raise frame.refuse(
                    node,
                    f"`{name}` writes to an array that it gets twice",
                    expected="arrays that do not overlap",
                    edit="a second array for the result",
                )


_SCALARS = (F64, I64, BOOL)


def _written(frame: Frame, target: str, result: Type, arguments: list[Value]) -> Value:
    inside = ", ".join(f"{PASSED[a.type]} {a.text}" for a in arguments)
    if result is Type.VOID:
        frame.lines.append(f"  call void {target}({inside})")
        return Value("", Type.VOID)
    kind = "zeroext i1" if result is BOOL else LLVM[result]
    return frame.op(result, f"call {kind} {target}({inside})")


# math


def _mathematics(frame: Frame, node: ast.Call, name: str) -> Value:
    if name in _PREDICATES:
        _arity(frame, node, 1)
        return _PREDICATES[name](frame, as_float(frame, number(frame, node.args[0])).text)
    symbol, arity = INTRINSICS.get(name) or ((c := C_NAMES.get(name, name)), ARITY[c])
    if name not in INTRINSICS and (ours := redirected(name, frame.native)) is not None:
        return _native(frame, node, ours, promote=True)
    _arity(frame, node, arity)
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
    _arity(frame, node, 1)
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
        _arity(frame, node, 2)
        a, b = alike(frame, *(number(frame, argument) for argument in node.args))
        compare = f"fcmp {orders[0]} double" if a.type is F64 else f"icmp {orders[1]} i64"
        return selected(frame, frame.op(BOOL, f"{compare} {b.text}, {a.text}"), b, a, node)

    return write


def _float(frame: Frame, node: ast.Call) -> Value:
    x = value(frame, _one(frame, node))
    if x.type is BOOL:
        return frame.op(F64, f"uitofp i1 {x.text} to double")
    return as_float(frame, x if x.type in _SCALARS else number(frame, node.args[0]))


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
    _arity(frame, node, 3)
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


def _at_address(kind: Type) -> Callable[[Frame, ast.Call], Value]:
    def write(frame: Frame, node: ast.Call) -> Value:
        address = integer(frame, _one(frame, node), "an address")
        return frame.op(kind, f"inttoptr i64 {address.text} to ptr")

    return write


_OWN_CALLS: dict[str, Callable[[Frame, ast.Call], Value]] = {
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
    "as_floats": _at_address(Type.FLOATS),
    "as_ints": _at_address(Type.INTS),
}
