"""The inductor engine: torch.compile of the straight-line function that the torch engine generates.

It fuses elementwise work into few loops, which pays for big tensors and on GPUs after 10–20 s of compilation.
Graphs with regions or
draws, and whatever torch.compile refuses, run on the torch engine, with one notice that says why.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from ppl.compiler.engines.torch_engine import Program, compile_torch
from ppl.compiler.graph import Graph

NOT_FUSED = ("scan", "switch", "draw")
"""Operators that run Python between steps, branches or draws, so that the graph is not one straight line."""


class EngineNotice(UserWarning):
    """An engine could not take a graph, and another one runs it: results are the same, the speed is not."""


def compile_inductor(graph: Graph, device: torch.device | str = "cpu") -> Program:
    """Compile a graph (already vectorised) with torch.compile: one fused function for fixed shapes.

    Args:
        graph: no node varies over a plate.
        device: where it runs; on a CPU inductor needs a C++ compiler.

    Returns:
        a `Program` that computes what the torch engine's does, up to rounding. Compilation happens at the
        first call.

    Warns:
        EngineNotice: the graph holds a scan, a switch or a draw, or torch.compile refuses it; the torch
        engine runs it.
    """
    plain = compile_torch(graph, device)
    hindrance = next((n for n in graph.nodes() if n.op in NOT_FUSED), None)
    if hindrance is not None:
        named = hindrance.attr("name") or getattr(hindrance.attr("site"), "name", None)
        _notice(
            f"the graph holds {hindrance.op!r}"
            + (f" ({named})" if named else "")
            + ", which is not straight-line code"
        )
        return plain
    return Program(graph, plain.source, _fused(plain.function))


def _fused(function: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    compiled = torch.compile(function, fullgraph=True, dynamic=False)
    chosen: list[Callable[..., tuple[Any, ...]]] = []

    def run(keys: Any, *inputs: torch.Tensor) -> tuple[Any, ...]:
        if chosen:
            return chosen[0](None, *inputs)
        from torch._dynamo.exc import TorchDynamoException

        try:
            out = compiled(None, *inputs)  # a graph without draws needs no keys
        except TorchDynamoException as error:
            _notice(f"torch.compile refused the graph ({_first_line(error)})")
            chosen.append(function)
            return function(None, *inputs)
        chosen.append(compiled)
        return out

    return run


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _notice(reason: str) -> None:
    warnings.warn(f"engine='inductor': {reason}; the torch engine runs it", EngineNotice, stacklevel=3)
