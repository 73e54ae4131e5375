"""Engines run graphs without plates: `native` (machine code, one point at a time), `torch` (any device, the
reference) and `inductor` (torch.compile of the same code).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler.engines.inductor import EngineNotice
from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph
from ppl.errors import MethodError, closest


@dataclass(frozen=True)
class Engine:
    """A named way to run a graph. `compile(graph, device)` gives `program(*inputs, seed=0) → tuple`.

    `pointwise` engines compute one point at a time, and serve the graphs that inference loops call (the
    density and its gradient); the torch engine runs the others beside them.
    """

    name: str
    compile: Callable[[Graph, str], Any]
    pointwise: bool = False


def _inductor(graph: Graph, device: str) -> Any:
    from ppl.compiler.engines.inductor import compile_inductor

    return compile_inductor(graph, device)


def _native(graph: Graph, device: str) -> Any:
    from ppl.compiler.engines.native import NativeProgram

    return NativeProgram(graph)


TORCH = Engine("torch", compile_torch)
NATIVE = Engine("native", _native, pointwise=True)
ENGINES = {"native": NATIVE, "torch": TORCH, "inductor": Engine("inductor", _inductor)}

LARGE = 10**8
"""Multiplications in matrix products from which torch's threads and BLAS win over plain loops."""


def check_engine(name: str) -> None:
    """Raises `MethodError` unless an engine has this name."""
    if name != "auto" and name not in ENGINES:
        near = closest(name, ENGINES) or list(ENGINES)
        raise MethodError(
            f"no engine '{name}'",
            expected=", ".join(("auto", *ENGINES)),
            found=repr(name),
            edit=f'engine="{near[0]}"',
        )


def choose(name: str, graph: Callable[[], Graph], device: str, dtype: torch.dtype) -> tuple[Engine, str]:
    """The engine and why it was chosen.

    Args:
        name: what was asked for; "auto" takes native where it can run the gradient and that is worth it.
        graph: the gradient's graph without plates, asked for only if it matters.

    Warns:
        EngineNotice: native can't run the graph, and the torch engine does.
    """
    if name not in ("auto", "native"):
        return ENGINES[name], "asked for"
    hindrance = _hindrance(graph, device, dtype)
    if hindrance is None:
        small = "its loops run without Python, and compile in a fraction of a second"
        return NATIVE, "asked for" if name == "native" else small
    reason, is_lack = hindrance
    if is_lack or name == "native":
        warnings.warn(
            f"engine='{name}': the native engine can't run this program ({reason}); the torch engine runs it",
            EngineNotice,
            stacklevel=3,
        )
    return TORCH, f"native can't: {reason}" if is_lack else reason


def _hindrance(graph: Callable[[], Graph], device: str, dtype: torch.dtype) -> tuple[str, bool] | None:
    """Why native doesn't run a program, and whether it lacks something for it."""
    from ppl.compiler.engines.native import Unsupported
    from ppl.compiler.engines.native.function import to_source

    if torch.device(device).type != "cpu":
        return f"native runs on the CPU, not on {device}", False
    if dtype != torch.float64:
        return f"native computes in float64, not {str(dtype).removeprefix('torch.')}", False
    physical = graph()
    work = _matrix_work(physical)
    if work > LARGE:
        return f"{work:.0e} multiplications in matrix products: torch's threads and BLAS win", False
    try:
        to_source(physical)
    except Unsupported as lack:
        return str(lack), True
    return None


def _matrix_work(graph: Graph) -> float:
    total = 0.0
    for node in graph.nodes():
        if node.op == "matmul" and all(len(a.shape) > 1 for a in node.nodes):
            total += float(torch.Size(node.shape).numel()) * node.nodes[0].shape[-1]
    return total


__all__ = ["ENGINES", "NATIVE", "TORCH", "Engine", "EngineNotice", "check_engine", "choose"]
