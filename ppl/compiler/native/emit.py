"""Native functions as LLVM IR: a fragment for each, and the module of several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from . import arithmetic, arrays, conditions, prelude  # noqa: F401 (they declare what writes an expression)
from .calls import PASSED
from .frame import LLVM, Frame
from .function import Native
from .keys import Keys
from .loops import PLAIN_LOOP, SHORT_LOOP, has_many_tiny_loops
from .signatures import signature
from .statements import assigned_in, block
from .types import POINTERS, Signature, Type

AnyNative = Native[..., Any]


@dataclass(frozen=True)
class Fragment:
    """One function in LLVM IR, all but the word that says whether others see it.

    calls: the native functions it calls itself. helpers: what it needs of the prelude.
    """

    symbol: str
    text: str
    signature: Signature
    calls: tuple[AnyNative, ...]
    helpers: tuple[str, ...]


class Module:
    """The functions of one build: each is emitted once, after those it calls.

    exported: those seen from outside. vectorise: is any of them to be vectorised? If not, nothing is.
    """

    def __init__(self, exported: Iterable[AnyNative]) -> None:
        self.exported = tuple(exported)
        self.vectorise = any(native.vectorise for native in self.exported)
        self.fragments: dict[AnyNative, Fragment] = {}
        self._open: set[AnyNative] = set()
        self._signatures: dict[AnyNative, Signature] = {}
        self._symbols: dict[AnyNative, str] = {}
        self.keys = Keys()

    def add(self, native: AnyNative) -> Fragment | None:
        """Emit a function, or find it emitted; None while it is being emitted itself."""
        if native in self._open:
            return None
        if (found := self.fragments.get(native)) is not None:
            return found
        key = self.keys.key(native), self.vectorise
        if native.fragment is not None and native.fragment[0] == key:
            found = self.fragments[native] = native.fragment[1]
            for used in found.calls:
                self.add(used)
            return found
        self._open.add(native)
        found = self.fragments[native] = _emitted(native, self)
        self._open.remove(native)
        native.fragment = (key, found)
        return found

    def symbol(self, native: AnyNative) -> str:
        """Its name in the module: the same in every build, and only functions that are alike share one."""
        found = self._symbols.get(native)
        if found is None:
            name = native.name if native.name.isascii() else "f"
            found = self._symbols[native] = f"{name}.{self.keys.key(native)[:12]}"
        return found

    def signature(self, native: AnyNative) -> Signature:
        found = self._signatures.get(native)
        if found is None:
            found = self._signatures[native] = signature(native)
        return found

    def text(self) -> str:
        """The module: exported functions seen from outside, the others internal."""
        for native in self.exported:
            self.add(native)
        seen = {self.symbol(native) for native in self.exported}
        unlike = {fragment.symbol: fragment for fragment in self.fragments.values()}
        helpers = dict.fromkeys(name for fragment in self.fragments.values() for name in fragment.helpers)
        parts = [_EVERY, prelude.text(list(helpers))]
        for fragment in unlike.values():
            kind = "dso_local" if fragment.symbol in seen else "internal"
            parts.append(f"define {kind} {fragment.text}")
        return _with_loops("\n\n".join(part for part in parts if part) + "\n")


# What LLVM is told of the loops with a mark.
_WISHES = {
    SHORT_LOOP: ('"llvm.loop.vectorize.enable", i1 true', '"llvm.loop.interleave.count", i32 1'),
    PLAIN_LOOP: ('"llvm.loop.vectorize.enable", i1 false', '"llvm.loop.unroll.disable"'),
}


def _with_loops(text: str) -> str:
    """The module with what LLVM is told of its marked loops: an identity for each, and their kind's wishes."""
    ends: list[str] = []
    for mark, wishes in _WISHES.items():
        first, *rest = text.split(mark)
        if not rest:
            continue
        shared = ", ".join(f"!{len(ends) + i}" for i in range(len(wishes)))
        ends += [f"!{len(ends) + i} = !{{!{wish}}}" for i, wish in enumerate(wishes)]
        parts = [first]
        for part in rest:
            parts.append(f", !llvm.loop !{len(ends)}{part}")
            ends.append(f"!{len(ends)} = distinct !{{!{len(ends)}, {shared}}}")
        text = "".join(parts)
    return text + "\n" + "\n".join(ends) + "\n" if ends else text


def _emitted(native: AnyNative, module: Module) -> Fragment:
    """Emit one function; those it calls are added to the module first."""
    declared = module.signature(native)
    tree = native.origin.tree
    frame = Frame(native, declared.result, {*declared.names, *assigned_in(tree.body)}, module)
    frame.types.update(zip(declared.names, declared.parameters, strict=True))
    frame.locals = {name: frame.parameter(name) for name in declared.names}
    frame.short_loops = not module.vectorise or has_many_tiny_loops(tree.body)
    block(frame, tree.body)
    frame.finish(tree)
    stored = tuple(
        type in POINTERS and frame.is_stored(frame.parameter(name))
        for name, type in zip(declared.names, declared.parameters, strict=True)
    )
    complete = replace(declared, stored=stored)
    symbol = module.symbol(native)
    body = "\n".join(frame.lines)
    head = f"{_result(complete)} @{symbol}({_parameters(frame, complete)}){_attributes(native)}"
    text = f"{head} {{\n{body}\n}}"
    return Fragment(symbol, text, complete, tuple(frame.calls), tuple(frame.helpers))


def _result(declared: Signature) -> str:
    return "zeroext i1" if declared.result is Type.BOOL else LLVM[declared.result]


def _parameters(frame: Frame, declared: Signature) -> str:
    parts = []
    for name, type, stored in zip(declared.names, declared.parameters, declared.stored, strict=True):
        kind = PASSED[type]
        if type in POINTERS:
            kind += " noalias nocapture align 8" + ("" if stored else " readonly")
        parts.append(f"{kind} {frame.parameter(name)}")
    return ", ".join(parts)


def _attributes(native: AnyNative) -> str:
    return " #0" + {True: " alwaysinline", False: " noinline", None: ""}[native.inline]


# Of every function. 512-bit vectors where the processor has them: LLVM prefers 256 for most, for fear of a
# lower clock; loops over exp, log and lgamma ran 1.6 times as fast with 512 (Cascade Lake, one thread).
_EVERY = 'attributes #0 = { nounwind "prefer-vector-width"="512" }'
