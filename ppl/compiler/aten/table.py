"""The registry of ATen overloads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ppl.compiler.ops import make

ATEN: dict[str, Callable[..., Any]] = {}


def aten(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(f: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            ATEN[name if "." in name else name + ".default"] = f
        return f

    return register


def simple(op: str, *names: str) -> None:
    for name in names or (op,):
        ATEN[name if "." in name else name + ".default"] = lambda *args, _op=op, **kw: make(_op, *args)
