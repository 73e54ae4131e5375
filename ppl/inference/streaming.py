"""Draws in unconstrained space to named values, some rows at a time: no more stands in memory than one block
needs, and where draws and values live, in memory or in files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ppl.compiler.graph import Graph
from ppl.inference.mcmc.hamiltonian import STATS
from ppl.inference.run import Run
from ppl.language.compiled import Compiled
from ppl.results.folder import Folder, Memory
from ppl.results.mapped import release
from ppl.results.store import FileError

Place = Folder | Memory

_ROWS = 500
"""The most draws computed at once …"""
_NUMBERS = 1 << 22
"""… and about how many numbers that may be."""


@dataclass(frozen=True)
class Form:
    """What one draw of a site is: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def forms(graph: Graph) -> dict[str, Form]:
    """The outputs of a graph by name."""
    return {
        name: Form(tuple(node.shape), torch.empty(0, dtype=node.dtype).numpy().dtype)
        for name, node in zip(graph.names, graph.outputs, strict=True)
    }


def fill(
    call: Callable[[torch.Tensor], Mapping[str, torch.Tensor]],
    q: np.ndarray,
    graph: Graph,
    arrays: Mapping[str, np.ndarray],
) -> None:
    """Write `call` (the outputs of `graph` at a batch of points) of draws q [chain, draw, dim] to arrays
    [chain, draw, *shape].

    Batches are of one size, so that one compiled program serves; the last is filled up with its last row.
    """
    chains, draws, dim = q.shape
    total = chains * draws
    width = dim + sum(form.size for form in forms(graph).values())
    size = min(total, _ROWS, max(1, _NUMBERS // width))
    for start in range(0, total, max(1, size)):
        chain, draw = np.divmod(np.minimum(np.arange(start, start + size), total - 1), draws)
        count = min(size, total - start)
        values = call(torch.from_numpy(np.array(q[chain, draw], order="C", subok=False)))
        for name, array in arrays.items():
            array[chain[:count], draw[:count]] = values[name].cpu().numpy()[:count]
            release(array)
        release(q)


def named(
    compiled: Compiled, q: np.ndarray, keep: Iterable[str], place: Place, group: str
) -> Mapping[str, np.ndarray]:
    """The values of sites at draws q [chain, draw, dim], put into a group: name → [chain, draw, *shape]."""
    known = forms(compiled.values_graph)
    arrays = {
        name: place.array(group, name, q.shape[:2] + known[name].shape, known[name].dtype) for name in keep
    }
    fill(compiled.constrain, q, compiled.values_graph, arrays)
    return place.sealed(group)


def log_likelihood(compiled: Compiled, q: np.ndarray) -> dict[str, np.ndarray]:
    """log p(y_i | draw) for every observed element: name → [chain, draw, *shape]."""
    arrays = {
        name: np.zeros(q.shape[:2] + form.shape, form.dtype)
        for name, form in forms(compiled.pointwise_graph).items()
    }
    fill(compiled.pointwise_log_likelihood, q, compiled.pointwise_graph, arrays)
    return arrays


def require_room(run: Run, compiled: Compiled, chains: int, place: Place) -> None:
    """Refuse, before there are draws, a disk that is too small for them."""
    known = forms(compiled.values_graph)
    wanted = list(known) if run.keep is None else run.keep
    each = sum(known[name].size * known[name].dtype.itemsize for name in wanted)
    rows = chains * (run.draws + run.warmup * run.keep_warmup)
    place.require(
        rows * (8 * compiled.dim + each + 8 * len(STATS)),
        f"{chains} × {run.draws} draws: {compiled.dim} unconstrained numbers each, and the sites' values",
    )


class Stream:
    """Where a run's unconstrained draws go while it lasts.

    Attributes: `drawn`, whether there are draws; `options`, what a sampler is told.
    """

    def __init__(self, run: Run, dim: int, chains: int, place: Place, show: Callable[[Any], None]) -> None:
        self.drawn = False
        self._show = show
        self._warmup = None
        try:
            self._out = place.array("unconstrained", "", (chains, run.draws, dim), np.float64)
            if run.keep_warmup:
                self._warmup = place.array("warmup_unconstrained", "", (chains, run.warmup, dim), np.float64)
        except FileError:
            place.discard()
            raise

    @property
    def options(self) -> dict[str, Any]:
        return {"out": self._out, "warmup_out": self._warmup, "on_progress": self._look}

    def _look(self, progress: list[Any]) -> None:
        """Show how far the chains are, and give back the pages they have filled."""
        self.drawn = self.drawn or any(chain.draws for chain in progress)
        release(self._out)
        if self._warmup is not None:
            release(self._warmup)
        self._show(progress)
