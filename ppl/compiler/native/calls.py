"""Calls: the subset's own functions, those of `math`, other native functions, and densities by address."""

from __future__ import annotations

import ast
from typing import Any

from . import math
from .frame import LLVM, Frame, Value
from .function import Native
from .intrinsics import OWN, mathematics
from .known import CONSTANTS, FUNCTIONS, is_math, math_name, own_name
from .prelude import INTRINSICS
from .refusals import converted
from .special_table import redirected
from .types import DENSITY_PARAMETERS, POINTERS, SCALARS, Signature, Type
from .values import BOOL, I64, arity, as_float, constant, value, writes

# As arguments and results: C passes a bool as a byte of 0 or 1.
PASSED = LLVM | {Type.BOOL: "i1 zeroext"}


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
            expected="a parameter, a local, a global number, a native function, a builtin or `math`",
            edit="from ppl.compiler.native import math" if name == "math" else None,
        ) from None
    if isinstance(node, ast.Name):
        return found
    if not is_math(found):
        raise _attribute(frame, node)
    if node.attr in FUNCTIONS or node.attr in CONSTANTS:
        return getattr(math, node.attr)
    known = ", ".join(sorted([*FUNCTIONS, *CONSTANTS]))
    raise frame.refuse(node, f"math.{node.attr} is not in the subset", expected=known)


def _attribute(frame: Frame, node: ast.Name | ast.Attribute) -> Exception:
    """Only `math` has attributes here."""
    assert isinstance(node, ast.Attribute)
    return frame.refuse(
        node,
        "attributes are not in the subset, but for those of `math`",
        found=ast.unparse(node),
        edit=f"math.{node.attr}" if node.attr in FUNCTIONS else None,
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
            if frame.stored_by(found)[0]:
                raise frame.refuse(
                    node, f"`{found.name}` writes to `{signature.names[0]}`: a density only reads it"
                )
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
    if (name := own_name(function)) is not None:
        return OWN[name](frame, node)
    if (name := math_name(function)) is not None:
        if name not in INTRINSICS and (ours := redirected(name, frame.native)) is not None:
            return _native(frame, node, ours, promote=True)
        return mathematics(frame, node, name)
    what = ast.unparse(target)
    raise frame.refuse(
        node,
        f"`{what}` can't be called in the subset",
        expected="a native function, a builtin of the subset or `math.f`",
        found=type(function).__name__,
        edit=f"@native above `def {what}`" if callable(function) and hasattr(function, "__code__") else None,
    )


def _native(frame: Frame, node: ast.Call, callee: Native, promote: bool = False) -> Value:
    signature = frame.signature(callee)
    arity(frame, node, len(signature.parameters))
    arguments = [value(frame, argument) for argument in node.args]
    if promote:
        arguments = [as_float(frame, a) if a.type is I64 else a for a in arguments]
    stored = frame.stored_by(callee)
    _check(frame, node, signature, stored, arguments)
    return _written(frame, f"@{frame.callee(callee)}", signature.result, arguments)


def _density(frame: Frame, node: ast.Call, density: Value) -> Value:
    if density.type is not Type.DENSITY:
        raise frame.refuse(
            node,
            "only functions can be called",
            expected="a native function or a Density",
            found=str(density.type),
        )
    arity(frame, node, 3)
    arguments = [value(frame, argument) for argument in node.args]
    signature = Signature(("x", "out", "env"), DENSITY_PARAMETERS, I64, (False, True, True))
    _check(frame, node, signature, signature.stored, arguments)
    return _written(frame, density.text, I64, arguments)


def _check(
    frame: Frame, node: ast.Call, signature: Signature, stored: tuple[bool, ...], arguments: list[Value]
) -> None:
    """Types as declared, and no array twice where one is written."""
    for place, (wanted, found) in enumerate(zip(signature.parameters, arguments, strict=True)):
        if found.type is not wanted:
            convert = found.type in SCALARS and wanted in SCALARS
            raise frame.refuse(
                node.args[place],
                f"`{ast.unparse(node.func)}` takes another type for `{signature.names[place]}`",
                expected=str(wanted),
                found=f"{found.type} `{ast.unparse(node.args[place])}`",
                edit=converted(wanted, found.type, node.args[place]) if convert else None,
            )
    arrays = [a.text for a in arguments if a.type in POINTERS]
    for a, is_stored in zip(arguments, stored, strict=True):
        if is_stored:
            frame.store_to(a.text)
            if arrays.count(a.text) > 1:
                raise frame.refuse(
                    node,
                    f"`{ast.unparse(node.func)}` writes to an array that it gets twice",
                    expected="arrays that do not overlap",
                    edit="a second array for the result",
                )


def _written(frame: Frame, target: str, result: Type, arguments: list[Value]) -> Value:
    inside = ", ".join(f"{PASSED[a.type]} {a.text}" for a in arguments)
    if result is Type.VOID:
        frame.lines.append(f"  call void {target}({inside})")
        return Value("", Type.VOID)
    kind = "zeroext i1" if result is BOOL else LLVM[result]
    return frame.op(result, f"call {kind} {target}({inside})")
