"""One function while it is emitted: lines of LLVM IR, the value of every local, and where control flow meets.

Control flow is structured, so SSA form is built in a single pass (Brandis & Mössenböck 1994). A local is a
name for an SSA value; where branches meet, a local whose values differ gets a phi; a loop gets a phi for each
local assigned in its body. A local missing on one way in is missing after, and reading it is refused: it may
not have been assigned.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .refusals import NativeError, converted, location
from .types import POINTERS, Signature, Type

if TYPE_CHECKING:
    from .emit import Module
    from .function import Native

ENTRY = "entry.0"  # no parameter is called that
FAST = "reassoc nsz arcp contract afn "

LLVM = {
    Type.F64: "double",
    Type.I64: "i64",
    Type.BOOL: "i1",
    Type.FLOATS: "ptr",
    Type.INTS: "ptr",
    Type.DENSITY: "ptr",
    Type.VOID: "void",
}


class Value(NamedTuple):
    """An operand, `%name` or a literal, and its type."""

    text: str
    type: Type


class Edge(NamedTuple):
    """A way into a block: the block it leaves, and the locals there."""

    block: str
    locals: dict[str, str]


@dataclass
class Loop:
    """An open loop: the ways to its next iteration and out of it."""

    next_label: str
    out_label: str
    next: list[Edge] = field(default_factory=list)
    out: list[Edge] = field(default_factory=list)


class Phi(NamedTuple):
    """A loop's phi, written when the loop closes: the local, the SSA name, the line, the entering value."""

    name: str
    text: str
    line: int
    entering: str


@dataclass
class Header:
    """The block that enters a loop, and the phis of its first block."""

    before: str
    phis: list[Phi]


class Frame:
    """The state of one function's emission."""

    def __init__(self, native: Native, result: Type, local_names: set[str], module: Module) -> None:
        self.native = native
        self.module = module
        self.result = result
        self.local_names = local_names
        self.flags = "" if native.exact else FAST
        self.lines: list[str] = [f"{ENTRY}:"]
        self.types: dict[str, Type] = {}
        self.locals: dict[str, str] | None = {}  # None: this point can't be reached
        self.block = ENTRY
        self.loops: list[Loop] = []
        self.short_loops = False  # it consists of many loops of a few rounds
        self.calls: dict[Native, None] = {}
        self.helpers: dict[str, None] = {}
        self.file = native.origin.file
        self.line_shift = native.origin.line_shift
        self._known: dict[str, Value] = {}  # instruction → its result, in the current block
        self._count = 0
        self._origin_of: dict[str, str] = {}  # pointer -> one it was made from
        self._stored: list[str] = []

    # names and lines

    def fresh(self, name: str = "t") -> str:
        """A new SSA name, after a local's name."""
        self._count += 1
        return f"%{_ascii(name)}.{self._count}"

    def op(self, type: Type, text: str) -> Value:
        """Write an instruction; its result."""
        self._count += 1
        result = f"%t.{self._count}"
        self.lines.append(f"  {result} = {text}")
        return Value(result, type)

    def pure(self, type: Type, text: str) -> Value:
        """An instruction without effect whose result depends on its operands only: once in a block is enough."""
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self.op(type, text)
        return found

    def label(self, kind: str) -> str:
        self._count += 1
        return f"{kind}.{self._count}"

    def note(self, node: ast.stmt) -> None:
        """The statement's first source line, as a comment."""
        line = node.lineno
        text = self.native.origin.line(line).strip()
        self.lines.append(f"  ; {line + self.line_shift} | {text}")

    @staticmethod
    def parameter(name: str) -> str:
        return f"%{_ascii(name)}"

    # the module

    def signature(self, callee: Native) -> Signature:
        return self.module.signature(callee)

    def callee(self, callee: Native) -> str:
        """The symbol of a function that this one calls, or passes on."""
        self.module.add(callee)
        self.calls[callee] = None
        return self.module.symbol(callee)

    def stored_by(self, callee: Native) -> tuple[bool, ...]:
        """Which arrays a callee writes to; all of them as far as is known, if it is a caller too."""
        emitted = self.module.add(callee)
        if emitted is not None:
            return emitted.signature.stored
        return tuple(t in POINTERS for t in self.signature(callee).parameters)

    # errors

    def refuse(self, node: ast.AST, headline: str, **parts: str | None) -> NativeError:
        """An error at a node, to be raised."""
        return NativeError(headline, where=location(self.file, node, self.line_shift), **parts)

    # locals

    def assign(self, name: str, value: Value, node: ast.AST) -> Value:
        """Give a local a value, and the value its name; the local's type is fixed by the first."""
        known = self.types.setdefault(name, value.type)
        if known is not value.type:
            raise self.refuse(
                node,
                f"`{name}` changes its type",
                expected=f"{known}, as where it is first assigned",
                found=str(value.type),
                edit=f"{name} = 0.0, a float, where it is first assigned"
                if (known, value.type) == (Type.I64, Type.F64)
                else converted(known, value.type, node) or f"another name for the {value.type}",
            )
        assert self.locals is not None
        self.locals[name] = text = self._named(name, value.text)
        return Value(text, known)

    def _named(self, name: str, text: str) -> str:
        """Call the value just computed after the local it is assigned to."""
        if not text.startswith("%t.") or not self.lines[-1].startswith(f"  {text} = "):
            return text
        better, instruction = f"%{_ascii(name)}.{text[3:]}", self.lines[-1][len(text) + 5 :]
        self.lines[-1] = f"  {better} = {instruction}"
        if instruction in self._known:
            self._known[instruction] = Value(better, self._known[instruction].type)
        if text in self._origin_of:
            self._origin_of[better] = self._origin_of[text]
        return better

    # control flow

    def jump(self, label: str) -> None:
        self.lines.append(f"  br label %{label}")

    def branch(self, condition: Value, yes: str, no: str) -> None:
        self.lines.append(f"  br i1 {condition.text}, label %{yes}, label %{no}")

    def start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label
        self._known.clear()

    def edge(self) -> Edge:
        """The way out of the current block."""
        assert self.locals is not None
        return Edge(self.block, self.locals)

    def meet(self, label: str, edges: list[Edge]) -> None:
        """Start a block that these edges enter; without any it can't be reached, and none is started."""
        if not edges:
            self.locals = None
            return
        self.start(label)
        if len(edges) == 1:
            self.locals = dict(edges[0].locals)
            return
        first, *others = edges
        merged = dict(first.locals)
        for name, value in first.locals.items():
            values = [value]
            for other in others:
                known = other.locals.get(name)
                if known is None:
                    del merged[name]
                    break
                values.append(known)
            else:
                if any(v != value for v in values):
                    blocks = (e.block for e in edges)
                    merged[name] = self.phi(self.types[name], zip(values, blocks, strict=True), name)
        self.locals = merged

    def phi(self, type: Type, incoming: Iterable[tuple[str, str]], name: str = "t") -> str:
        text = self.fresh(name)
        ways = list(incoming)
        self.lines.append(_phi(text, type, ways))
        if type in POINTERS:
            for value, _ in ways:
                self.derive(text, value)
        return text

    def open_loop(self, label: str, assigned: set[str]) -> Header:
        """Start a loop's first block, with a phi for each local assigned inside it."""
        assert self.locals is not None
        before = self.block
        self.start(label)
        self.locals = dict(self.locals)
        phis = []
        for name in [n for n in self.locals if n in assigned]:
            text = self.fresh(name)
            phis.append(Phi(name, text, len(self.lines), self.locals[name]))
            self.lines.append("")  # known when the loop closes
            self.locals[name] = text
        return Header(before, phis)

    def close_loop(self, header: Header) -> None:
        """Write the loop's phis: values from before, and from the current block, if it goes round."""
        for name, text, line, entering in header.phis:
            ways = [(entering, header.before)]
            if self.locals is not None:
                ways.append((self.locals[name], self.block))
            type = self.types[name]
            self.lines[line] = _phi(text, type, ways)
            if type in POINTERS:
                for value, _ in ways:
                    self.derive(text, value)

    def finish(self, tree: ast.AST) -> None:
        """The end of the function's text: where it can be reached, it returns nothing."""
        if self.locals is None:
            return
        if self.result is not Type.VOID:
            raise self.refuse(
                tree,
                f"`{self.native.name}` may end without a result",
                expected=f"`return` of {self.result} on every way",
            )
        self.lines.append("  ret void")

    # pointers

    def derive(self, pointer: str, base: str) -> None:
        """Note that one pointer points into the other's array."""
        a, b = self._root(pointer), self._root(base)
        if a != b:
            self._origin_of[a] = b

    def store_to(self, pointer: str) -> None:
        self._stored.append(pointer)

    def is_stored(self, parameter: str) -> bool:
        """Is anything written to the array of this parameter?"""
        root = self._root(parameter)
        return any(self._root(pointer) == root for pointer in self._stored)

    def _root(self, pointer: str) -> str:
        while (base := self._origin_of.get(pointer)) is not None:
            pointer = base
        return pointer


def _phi(text: str, type: Type, ways: list[tuple[str, str]]) -> str:
    inside = ", ".join(f"[ {value}, %{block} ]" for value, block in ways)
    return f"  {text} = phi {LLVM[type]} {inside}"


def _ascii(name: str) -> str:
    """A name LLVM can read: letters beyond ASCII by their number."""
    return name if name.isascii() else "".join(c if c.isascii() else f"u{ord(c):x}" for c in name)
