"""Engines run graphs without plates: `torch` (any device, the reference), `inductor` (torch.compile of the
same code).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ppl.compiler.engines.torch_engine import Program, compile_torch
from ppl.compiler.graph import Graph
from ppl.errors import MethodError, closest


@dataclass(frozen=True)
class Engine:
    """A named way to run a graph. `compile(graph, device)` gives `program(*inputs, seed=0) → tuple`."""

    name: str
    compile: Callable[[Graph, str], Program]


def _inductor(graph: Graph, device: str) -> Program:
    from ppl.compiler.engines.inductor import compile_inductor

    return compile_inductor(graph, device)


ENGINES = {"torch": Engine("torch", compile_torch), "inductor": Engine("inductor", _inductor)}


def engine_named(name: str, graph: Graph, device: str) -> tuple[Engine, str]:
    """The engine and why it was chosen."""
    if name == "auto":
        return ENGINES[
            "torch"
        ], "torch is the engine of this version; inductor pays for big tensors only (10–20 s of compile)"
    if name not in ENGINES:
        near = closest(name, ENGINES) or list(ENGINES)
        raise MethodError(
            f"no engine '{name}'",
            expected=", ".join(("auto", *ENGINES)),
            found=repr(name),
            edit=f'engine="{near[0]}"',
        )
    return ENGINES[name], "asked for"
