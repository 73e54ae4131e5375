"""Statements of the subset, as LLVM IR."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .arithmetic import operate
from .arrays import array, place
from .frame import LLVM, Frame, Loop, Value
from .refusals import CONSTRUCTS, converted
from .signatures import SCALARS_AND_ARRAYS, meaning
from .types import ELEMENT, Type
from .values import I64, condition, integer, value

SHORT_LOOP = ", !llvm.loop !short"
"""What marks the branch back of a loop over a `short_range`; the module numbers these loops."""

PLAIN_LOOP = ", !llvm.loop !plain"
"""What marks the branch back of a loop that LLVM shall leave as it is."""

FEW, MANY = 8, 64
"""Of a function with more than MANY loops of at most FEW rounds, these loops are left as they are: unrolling
and vectorising 180 of them took LLVM 0.3 s of 0.7, for code no faster (a Kalman filter of small matrices)."""


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


def _annotated(frame: Frame, node: ast.AnnAssign) -> None:
    """`x: f64 = e`: the type is checked like that of a parameter."""
    if node.value is None or not isinstance(node.target, ast.Name):
        raise frame.refuse(node, "an annotation without a value", edit=f"{ast.unparse(node.target)} = ...")
    wanted = meaning(frame.native, node.annotation, f"`{node.target.id}`", SCALARS_AND_ARRAYS)
    frame.types.setdefault(node.target.id, wanted)
    frame.assign(node.target.id, _something(frame, node.value), node.value)


# control flow


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


def _for(frame: Frame, node: ast.For) -> None:
    """`for i in range(...)`: a counter of its own, so that the body may assign to i."""
    _no_else(frame, node.orelse)
    if not isinstance(node.target, ast.Name):
        raise frame.refuse(
            node.target, "a loop has one counter", expected="a name", found=ast.unparse(node.target)
        )
    start, stop, step = _range(frame, node.iter)
    assigned = assigned_in([node])
    head, body = frame.label("for"), frame.label("body")
    loop = Loop(frame.label("next"), done := frame.label("done"))
    before = frame.block
    header = frame.open_loop(head, assigned)
    counter = frame.fresh(node.target.id)
    at = len(frame.lines)
    frame.lines.append("")
    inside = frame.op(Type.BOOL, f"icmp {'slt' if step > 0 else 'sgt'} i64 {counter}, {stop.text}")
    frame.branch(inside, body, done)
    loop.out.append(frame.edge())
    frame.meet(body, [frame.edge()])
    frame.assign(node.target.id, Value(counter, I64), node.target)
    _body(frame, node.body, loop)
    ways = [f"[ {start.text}, %{before} ]"]
    if frame.locals is not None:
        following = frame.op(I64, f"add nsw i64 {counter}, {step}")
        ways.append(f"[ {following.text}, %{frame.block} ]")
    frame.lines[at] = f"  {counter} = phi i64 {', '.join(ways)}"
    frame.close_loop(header)
    if frame.locals is not None:
        if _is_named(node.iter, "short_range"):
            frame.lines[-1] += SHORT_LOOP
        elif frame.plain_loops and _is_tiny(node):
            frame.lines[-1] += PLAIN_LOOP
    frame.meet(done, loop.out)


def _is_tiny(node: ast.For) -> bool:
    """A loop of at most FEW rounds, written as `range(3)`?"""
    match node.iter:
        case ast.Call(ast.Name("range"), [ast.Constant(int(rounds))]):
            return rounds <= FEW
    return False


def has_many_tiny_loops(statements: Iterable[ast.stmt]) -> bool:
    """Does a function consist of loops of a few rounds each?"""
    loops = (node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.For))
    return sum(map(_is_tiny, loops)) > MANY


def _is_named(node: ast.expr, *names: str) -> bool:
    """Is it a call of one of these?"""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _range(frame: Frame, node: ast.expr) -> tuple[Value, Value, int]:
    if not (isinstance(node, ast.Call) and _is_named(node, "range", "short_range")):
        raise frame.refuse(
            node,
            "a loop runs over a range",
            expected="range(n), range(a, b) or range(a, b, step)",
            found=ast.unparse(node),
            edit="for i in range(n), and a[i] in the body",
        )
    if not 1 <= len(node.args) <= 3 or node.keywords:
        raise frame.refuse(node, "range takes one to three arguments", found=ast.unparse(node))
    step = 1
    if len(node.args) == 3:
        text = ast.unparse(node.args[2])
        try:
            step = ast.literal_eval(node.args[2])
        except ValueError:
            step = 0
        if type(step) is not int or step == 0:
            raise frame.refuse(
                node.args[2],
                "the step of a range is a literal",
                expected="an integer other than 0",
                found=text,
                edit="while",
            )
    bounds = [integer(frame, a, "a bound of a range") for a in node.args[:2]]
    return (bounds[0] if len(bounds) == 2 else Value("0", I64)), bounds[-1], step


def _while(frame: Frame, node: ast.While) -> None:
    _no_else(frame, node.orelse)
    head, body = frame.label("while"), frame.label("body")
    loop = Loop(frame.label("next"), done := frame.label("done"))
    header = frame.open_loop(head, assigned_in(node.body))
    if isinstance(node.test, ast.Constant) and node.test.value is True:
        frame.jump(body)
    else:
        frame.branch(condition(frame, node.test), body, done)
        loop.out.append(frame.edge())
    frame.meet(body, [frame.edge()])
    _body(frame, node.body, loop)
    frame.close_loop(header)
    frame.meet(done, loop.out)


def _body(frame: Frame, statements: list[ast.stmt], loop: Loop) -> None:
    """A loop's body, up to the block that goes round."""
    frame.loops.append(loop)
    block(frame, statements)
    frame.loops.pop()
    if not loop.next:
        return
    if frame.locals is not None:
        loop.next.append(frame.edge())
        frame.jump(loop.next_label)
    frame.meet(loop.next_label, loop.next)


def _break(frame: Frame, node: ast.Break) -> None:
    loop = frame.loops[-1]
    loop.out.append(frame.edge())
    frame.jump(loop.out_label)
    frame.locals = None


def _continue(frame: Frame, node: ast.Continue) -> None:
    loop = frame.loops[-1]
    loop.next.append(frame.edge())
    frame.jump(loop.next_label)
    frame.locals = None


def _no_else(frame: Frame, orelse: list[ast.stmt]) -> None:
    if orelse:
        raise frame.refuse(
            orelse[0], "`else` of a loop is not in the subset", edit="a bool that the loop sets"
        )


# the rest


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


def _expression(frame: Frame, node: ast.Expr) -> None:
    """A docstring, or a call for its effect."""
    if isinstance(node.value, ast.Call):
        value(frame, node.value)
    elif not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):
        raise frame.refuse(
            node, "an expression without effect", expected="an assignment or a call", found=ast.unparse(node)
        )


def _pass(frame: Frame, node: ast.Pass) -> None:
    """Nothing."""


_WRITERS: dict[type[ast.stmt], Callable[[Frame, Any], None]] = {
    ast.Assign: _assign,
    ast.AugAssign: _augmented,
    ast.AnnAssign: _annotated,
    ast.If: _if,
    ast.For: _for,
    ast.While: _while,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Return: _return,
    ast.Expr: _expression,
    ast.Pass: _pass,
}
