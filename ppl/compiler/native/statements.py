"""Statements of the subset, as LLVM IR."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .arithmetic import operate
from .arrays import array, place
from .frame import LLVM, Frame, Value
from .refusals import CONSTRUCTS, converted
from .signatures import SCALARS_AND_ARRAYS, meaning
from .types import ELEMENT, Type
from .values import condition, value

_WRITERS: dict[type[ast.stmt], Callable[[Frame, Any], None]] = {}


def writes(kind: type[ast.stmt]) -> Callable[[Any], Any]:
    """Declare what writes a kind of statement; loops do so in `loops`."""

    def declare(writer: Any) -> Any:
        _WRITERS[kind] = writer
        return writer

    return declare


def block(frame: Frame, statements: Iterable[ast.stmt]) -> None:
    """Write statements one after another; what can't be reached is left out."""
    for statement in statements:
        if frame.locals is None:
            return
        writer = _WRITERS.get(statement.__class__)
        if writer is None:
            what, instead = CONSTRUCTS.get(statement.__class__, (f"`{ast.unparse(statement)}`", None))
            raise frame.refuse(statement, f"{what} is not in the subset", edit=instead)
        frame.note(statement)
        writer(frame, statement)


def assigned_in(statements: Iterable[ast.stmt]) -> set[str]:
    """The locals that statements assign, inside their own blocks too."""
    return set(_assigned(statements))


def _assigned(statements: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        kind = statement.__class__
        if kind is ast.Assign:
            for target in statement.targets:  # type: ignore[attr-defined]
                yield from _names(target)
        elif kind is ast.AugAssign or kind is ast.AnnAssign:
            yield from _names(statement.target)  # type: ignore[attr-defined]
        elif kind is ast.For:
            yield from _names(statement.target)  # type: ignore[attr-defined]
            yield from _assigned(statement.body)  # type: ignore[attr-defined]
        elif kind is ast.While:
            yield from _assigned(statement.body)  # type: ignore[attr-defined]
        elif kind is ast.If:
            yield from _assigned(statement.body)  # type: ignore[attr-defined]
            yield from _assigned(statement.orelse)  # type: ignore[attr-defined]


def _names(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple):
        for element in target.elts:
            yield from _names(element)


# assignments


@writes(ast.Assign)
def _assign(frame: Frame, node: ast.Assign) -> None:
    """`x = e`, `a = b = e`, `a[i] = e`, and `a, b = e, f`, whose right side is evaluated first."""
    first = node.targets[0]
    if isinstance(first, ast.Tuple):
        if (
            not isinstance(node.value, ast.Tuple)
            or len(node.value.elts) != len(first.elts)
            or len(node.targets) > 1
        ):
            raise frame.refuse(
                node, "as many values as names are needed", expected="a, b = x, y", found=ast.unparse(node)
            )
        found = [_something(frame, e) for e in node.value.elts]
        for target, one, expression in zip(first.elts, found, node.value.elts, strict=True):
            _give(frame, target, one, expression)
        return
    result = _something(frame, node.value)
    for target in node.targets:
        result = _give(frame, target, result, node.value)


def _something(frame: Frame, node: ast.expr) -> Value:
    found = value(frame, node)
    if found.type is Type.VOID:
        raise frame.refuse(node, f"`{ast.unparse(node)}` has no result", edit="the call on a line of its own")
    return found


def _give(frame: Frame, target: ast.expr, given: Value, node: ast.expr) -> Value:
    """Assign a value to a name or an element."""
    if isinstance(target, ast.Name):
        return frame.assign(target.id, given, node)
    if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
        base = array(frame, target)
        _store(frame, base, place(frame, base, target), given, node)
        return given
    raise _no_target(frame, target)


def _no_target(frame: Frame, target: ast.expr) -> Exception:
    return frame.refuse(
        target,
        f"`{ast.unparse(target)}` can't be assigned to",
        expected="a name or an element a[i]",
        edit="a loop over the elements" if isinstance(target, ast.Subscript) else None,
    )


def _store(frame: Frame, base: Value, address: str, given: Value, node: ast.expr) -> None:
    element = ELEMENT[base.type]
    if given.type is not element:
        text = ast.unparse(node)
        raise frame.refuse(
            node,
            f"an element of {base.type} is {element}",
            expected=str(element),
            found=f"{given.type} `{text}`",
            edit=converted(element, given.type, node),
        )
    frame.store_to(address)
    frame.lines.append(f"  store {LLVM[element]} {given.text}, ptr {address}")


@writes(ast.AugAssign)
def _augmented(frame: Frame, node: ast.AugAssign) -> None:
    """`x += e`, `a[i] += e`; the element's place is found once."""
    if isinstance(node.target, ast.Subscript) and not isinstance(node.target.slice, ast.Slice):
        base = array(frame, node.target)
        address = place(frame, base, node.target)
        element = ELEMENT[base.type]
        old = frame.op(element, f"load {LLVM[element]}, ptr {address}")
        _store(frame, base, address, operate(frame, node.op, old, value(frame, node.value), node), node.value)
        return
    if not isinstance(node.target, ast.Name):
        raise _no_target(frame, node.target)
    old = value(frame, ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target))
    frame.assign(node.target.id, operate(frame, node.op, old, value(frame, node.value), node), node.value)


@writes(ast.AnnAssign)
def _annotated(frame: Frame, node: ast.AnnAssign) -> None:
    """`x: f64 = e`: the type is checked like that of a parameter."""
    if node.value is None or not isinstance(node.target, ast.Name):
        raise frame.refuse(node, "an annotation without a value", edit=f"{ast.unparse(node.target)} = ...")
    wanted = meaning(frame.native, node.annotation, f"`{node.target.id}`", SCALARS_AND_ARRAYS)
    frame.types.setdefault(node.target.id, wanted)
    frame.assign(node.target.id, _something(frame, node.value), node.value)


# control flow


@writes(ast.If)
def _if(frame: Frame, node: ast.If) -> None:
    decides = condition(frame, node.test)
    then, other, done = frame.label("then"), frame.label("else"), frame.label("endif")
    frame.branch(decides, then, other if node.orelse else done)
    before = frame.edge()
    ends = []
    frame.meet(then, [before])
    block(frame, node.body)
    if frame.locals is not None:
        ends.append(frame.edge())
        frame.jump(done)
    if node.orelse:
        frame.meet(other, [before])
        block(frame, node.orelse)
        if frame.locals is not None:
            ends.append(frame.edge())
            frame.jump(done)
    else:
        ends.append(before)
    frame.meet(done, ends)


# the rest


@writes(ast.Return)
def _return(frame: Frame, node: ast.Return) -> None:
    wanted = frame.result
    if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
        if wanted is not Type.VOID:
            raise frame.refuse(node, "a result is missing", expected=str(wanted), found="None")
        frame.lines.append("  ret void")
        frame.locals = None
        return
    if isinstance(node.value, ast.Tuple):
        raise frame.refuse(node, "a function has one result", edit="an array parameter for the others")
    found = value(frame, node.value)
    if found.type is not wanted:
        raise frame.refuse(
            node.value,
            "the result has another type than declared"
            if wanted is not Type.VOID
            else "no result is declared",
            expected=str(wanted),
            found=f"{found.type} `{ast.unparse(node.value)}`",
            edit=converted(wanted, found.type, node.value) if wanted is not Type.VOID else f"-> {found.type}",
        )
    frame.lines.append(f"  ret {LLVM[wanted]} {found.text}")
    frame.locals = None


@writes(ast.Expr)
def _expression(frame: Frame, node: ast.Expr) -> None:
    """A docstring, or a call for its effect."""
    if isinstance(node.value, ast.Call):
        value(frame, node.value)
    elif not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
        raise frame.refuse(
            node, "an expression without effect", expected="an assignment or a call", found=ast.unparse(node)
        )


@writes(ast.Pass)
def _pass(frame: Frame, node: ast.Pass) -> None:
    """Nothing."""
