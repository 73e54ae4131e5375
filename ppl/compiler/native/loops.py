"""Loops of the subset, as LLVM IR.

Functions of many short loops are long to compile, so that more of LLVM's work is done here for them: short inner
loops are written out, and loops that surely run are tested at their end, the form that LLVM gives them.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable

from .frame import Edge, Frame, Loop, Value
from .function import FEW_ROUNDS, MANY_LOOPS
from .statements import assigned_in, block, writes
from .types import Type
from .values import I64, condition, integer

SHORT_LOOP = ", !llvm.loop !short"
"""What marks the branch back of a loop over a `short_range`; the module numbers these loops."""

PLAIN_LOOP = ", !llvm.loop !plain"
"""What marks the branch back of a loop that LLVM shall leave as it is."""

WRITTEN_OUT = 24
"""In a function of many short loops, loops that become at most so many statements are written out."""
MOST_ROUNDS = 4
"""Of a loop that is written out; longer ones are no faster without their counters."""


@writes(ast.For)
def _for(frame: Frame, node: ast.For) -> None:
    """`for i in range(...)`: a counter of its own, so that the body may assign to i."""
    _no_else(frame, node.orelse)
    if not isinstance(node.target, ast.Name):
        raise frame.refuse(
            node.target, "a loop has one counter", expected="a name", found=ast.unparse(node.target)
        )
    start, stop, step = _range(frame, node.iter)
    rounds = _rounds(start, stop, step) if frame.short_loops else range(0)
    if rounds and _length(node) <= WRITTEN_OUT:
        return _written_out(frame, node, rounds)
    more = f"icmp {'slt' if step > 0 else 'sgt'} i64"
    head, done = frame.label("for"), frame.label("done")
    loop = Loop(frame.label("next"), done)
    before = frame.edge()
    frame.jump(head)
    header = frame.open_loop(head, assigned_in([node]))
    counter = frame.fresh(node.target.id)
    at = len(frame.lines)
    frame.lines.append("")  # its phi, known when the loop closes
    if not rounds:
        body = frame.label("body")
        frame.branch(frame.op(Type.BOOL, f"{more} {counter}, {stop.text}"), body, done)
        loop.out.append(frame.edge())
        frame.meet(body, [frame.edge()])
    frame.assign(node.target.id, Value(counter, I64), node.target)
    _body(frame, node.body, loop)
    ways = [f"[ {start.text}, %{before.block} ]"]
    if frame.locals is not None:
        following = _following(frame, counter, step)
        ways.append(f"[ {following}, %{frame.block} ]")
        if rounds:
            frame.branch(frame.op(Type.BOOL, f"{more} {following}, {stop.text}"), head, done)
            loop.out.append(Edge(frame.block, _common(frame.locals, before.locals)))
        else:
            frame.jump(head)
        frame.lines[-1] += _mark(frame, node)
    frame.lines[at] = f"  {counter} = phi i64 {', '.join(ways)}"
    frame.close_loop(header)
    frame.meet(done, loop.out)


def _rounds(start: Value, stop: Value, step: int) -> range:
    """The rounds of a loop between literals; of another, none."""
    literals = "%" not in (start.text[0], stop.text[0])
    return range(int(start.text), int(stop.text), step) if literals else range(0)


def _length(loop: ast.For) -> float:
    """How many statements a loop is written out, inner ones too; infinite where it can't be."""
    match loop:
        case ast.For(iter=ast.Call(ast.Name("range"), [ast.Constant(int(rounds))]), orelse=[]):
            if 0 < rounds <= MOST_ROUNDS:
                return rounds * sum(map(_statements, loop.body))
    return math.inf


def _statements(node: ast.stmt) -> float:
    match node:
        case ast.For():
            return _length(node)
        case ast.Assign() | ast.AugAssign():
            return 1
    return math.inf


def _written_out(frame: Frame, node: ast.For, rounds: range) -> None:
    """The body once for each round."""
    assert frame.locals is not None and isinstance(node.target, ast.Name)
    before = frame.locals
    frame.locals = dict(before)
    for i in rounds:
        frame.assign(node.target.id, Value(str(i), I64), node.target)
        block(frame, node.body)
    frame.locals = _common(frame.locals, before)


def _common(after: dict[str, str], before: dict[str, str]) -> dict[str, str]:
    """The locals after a loop: those from before. What is first assigned inside counts as missing, however often the
    loop runs.
    """
    return {name: text for name, text in after.items() if name in before}


def _following(frame: Frame, counter: str, step: int) -> str:
    """The counter of the next round. Where nothing is vectorised it is hidden from the code generator, which would find
    other counters for the places in arrays: that takes a third of its time and makes short loops no faster.
    """
    following = frame.op(I64, f"add nsw i64 {counter}, {step}")
    if not frame.module.vectorise:
        following = frame.op(I64, f'call i64 asm "", "=r,0"(i64 {following.text})')
    return following.text


def _mark(frame: Frame, node: ast.For) -> str:
    """What LLVM is told of a loop."""
    if not frame.module.vectorise:
        return ""
    if _is_named(node.iter, "short_range"):
        return SHORT_LOOP
    return PLAIN_LOOP if frame.short_loops and _is_tiny(node) else ""


def _is_tiny(node: ast.For) -> bool:
    """A loop of at most FEW rounds, written as `range(3)`?"""
    match node.iter:
        case ast.Call(ast.Name("range"), [ast.Constant(int(rounds))]):
            return rounds <= FEW_ROUNDS
    return False


def has_many_tiny_loops(statements: Iterable[ast.stmt]) -> bool:
    """Does a function consist of short loops? LLVM leaves these as they are: unrolling and vectorising 180 of them took
    it 0.3 s of 0.7, for code no faster (a Kalman filter of small matrices).
    """
    loops = (node for statement in statements for node in ast.walk(statement) if isinstance(node, ast.For))
    return sum(map(_is_tiny, loops)) > MANY_LOOPS


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


@writes(ast.While)
def _while(frame: Frame, node: ast.While) -> None:
    _no_else(frame, node.orelse)
    head, body = frame.label("while"), frame.label("body")
    loop = Loop(frame.label("next"), done := frame.label("done"))
    frame.jump(head)
    header = frame.open_loop(head, assigned_in(node.body))
    if isinstance(node.test, ast.Constant) and node.test.value is True:
        frame.jump(body)
    else:
        frame.branch(condition(frame, node.test), body, done)
        loop.out.append(frame.edge())
    frame.meet(body, [frame.edge()])
    _body(frame, node.body, loop)
    frame.close_loop(header)
    if frame.locals is not None:
        frame.jump(head)
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


@writes(ast.Break)
def _break(frame: Frame, node: ast.Break) -> None:
    loop = frame.loops[-1]
    loop.out.append(frame.edge())
    frame.jump(loop.out_label)
    frame.locals = None


@writes(ast.Continue)
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
