"""Annotations as types."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .refusals import NativeError, location
from .types import OF_OBJECT, OF_WORD, Signature, Type

if TYPE_CHECKING:
    from .function import Native

SCALARS_AND_ARRAYS = (Type.F64, Type.I64, Type.BOOL, Type.FLOATS, Type.INTS)
_PARAMETERS = (*SCALARS_AND_ARRAYS, Type.DENSITY)
_RESULTS = (Type.F64, Type.I64, Type.BOOL, Type.VOID)


def signature(native: Native[..., Any]) -> Signature:
    """Types of parameters and result, as annotated; nothing is known yet of what is stored."""
    tree = native.origin.tree
    inside = tree.args
    if inside.posonlyargs or inside.kwonlyargs or inside.vararg or inside.kwarg or inside.defaults:
        raise _refuse(
            native, tree, f"`{native.name}` takes plain parameters only", expected="(a: f64, b: Floats)"
        )
    types = []
    for parameter in inside.args:
        if parameter.annotation is None:
            raise _refuse(
                native,
                parameter,
                f"the parameter `{parameter.arg}` has no type",
                expected=_listed(_PARAMETERS),
                edit=f"{parameter.arg}: f64",
            )
        types.append(meaning(native, parameter.annotation, f"the parameter `{parameter.arg}`", _PARAMETERS))
    result = Type.VOID
    if tree.returns is not None:
        result = meaning(native, tree.returns, "the result", _RESULTS)
    names = tuple(parameter.arg for parameter in inside.args)
    return Signature(names, tuple(types), result, (False,) * len(types))


def meaning(native: Native[..., Any], node: ast.expr, what: str, allowed: Sequence[Type]) -> Type:
    """The type an annotation stands for: what its name means where the function stands, or the bare word."""
    word = node.value if isinstance(node, ast.Constant) else ast.unparse(node)
    found = OF_OBJECT.get(word) if word is None else None
    if isinstance(word, str):
        try:
            found = OF_OBJECT.get(native.origin.lookup(word))
        except (KeyError, TypeError):
            found = OF_WORD.get(word)
    if found is None or found not in allowed:
        raise _refuse(
            native, node, f"{what} has no type of the subset", expected=_listed(allowed), found=str(word)
        )
    return found


def _refuse(native: Native[..., Any], node: ast.AST, headline: str, **parts: str) -> NativeError:
    origin = native.origin
    return NativeError(headline, where=location(origin.file, node, origin.line_shift), **parts)


def _listed(types: Sequence[Type]) -> str:
    *most, last = map(str, types)
    return f"{', '.join(most)} or {last}"
