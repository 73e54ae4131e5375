"""Params in unconstrained coordinates: what optimisers move.

Each param p, kept inside its constraint, is T(u) with T the bijector onto the constraint. An estimator can take
the u's one by one, or all of them as one flat vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ppl.compiler.graph import Graph, Node, inline, substitute
from ppl.compiler.ops import make, make_input
from ppl.compiler.ops.batching import reshape
from ppl.compiler.tracer import trace
from ppl.distributions.bijectors import biject_to
from ppl.errors import DataError
from ppl.language.record import Param


@dataclass(frozen=True)
class Coordinate:
    """One param: where its coordinates are in the flat vector, and their shape."""

    name: str
    param: Param
    shape: tuple[int, ...]
    start: int
    stop: int

    def value(self, u: torch.Tensor) -> torch.Tensor:
        """The param at its coordinates."""
        return u if self.param.constraint is None else biject_to(self.param.constraint)(u)

    def coordinates(self, value: torch.Tensor) -> torch.Tensor:
        """The coordinates at which the param has this value."""
        if self.param.constraint is None:
            return value.clone()
        found = biject_to(self.param.constraint).inv(value)
        if not bool(torch.isfinite(found).all()):
            raise DataError(
                f"param '{self.name}' can't begin at this value: it is outside its constraint, or at its edge",
                expected=f"a value inside {self.param.constraint}",
                found=f"{value.tolist() if value.numel() <= 4 else f'{value.numel()} numbers'}",
                edit=f'ppl.param("{self.name}", …) with a starting value inside',
            )
        return found


@dataclass(frozen=True)
class Coordinates:
    """All params of an objective."""

    parts: tuple[Coordinate, ...]

    @staticmethod
    def of(params: Mapping[str, Param]) -> Coordinates:
        parts, start = [], 0
        for name, p in params.items():
            shape = tuple(p.init.shape)
            if p.constraint is not None:
                shape = tuple(biject_to(p.constraint).inverse_shape(p.init.shape))
            size = int(np.prod(shape, dtype=int))
            parts.append(Coordinate(name, p, shape, start, start + size))
            start += size
        return Coordinates(tuple(parts))

    @property
    def dim(self) -> int:
        return self.parts[-1].stop if self.parts else 0

    def start(self, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The coordinates of these values of params."""
        return {c.name: c.coordinates(values[c.name]) for c in self.parts}

    def values(self, u: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The params at these coordinates."""
        return {c.name: c.value(u[c.name]) for c in self.parts}

    def flat(self, u: Mapping[str, torch.Tensor]) -> np.ndarray:
        """Coordinates one after another, `[dim]`."""
        pieces = [u[c.name].detach().reshape(-1).to(torch.float64).numpy() for c in self.parts]
        return np.concatenate(pieces) if pieces else np.zeros(0)

    def parted(self, flat: np.ndarray, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """The inverse of `flat`."""
        return {
            c.name: torch.tensor(flat[c.start : c.stop], dtype=dtype).reshape(c.shape) for c in self.parts
        }

    # ------------------------------------------------------------ graphs

    def apart(self, graph: Graph) -> tuple[Graph, list[Node]]:
        """`graph` as a function of each param's coordinates, and these inputs."""
        inputs = [make_input(c.name, c.shape, c.param.node.dtype, (), "param") for c in self.parts]
        return self._on(graph, inputs, inputs), inputs

    def together(self, graph: Graph) -> tuple[Graph, list[Node]]:
        """`graph` as a function of one flat vector, and this input."""
        dtype = self.parts[0].param.node.dtype
        u = make_input("u", (self.dim,), dtype, (), "flat")
        pieces = [
            reshape(make("slice", u, dim=-1, start=c.start, stop=c.stop, step=1), c.shape) for c in self.parts
        ]
        return self._on(graph, [u], pieces), [u]

    def _on(self, graph: Graph, inputs: Sequence[Node], pieces: Sequence[Node]) -> Graph:
        memo: dict[Node, Node] = {}
        for c, piece in zip(self.parts, pieces, strict=True):
            memo[c.param.node] = piece if c.param.constraint is None else inline(_map(c), [piece])[0]
        old = {c.param.node for c in self.parts}
        outputs = substitute(graph.outputs, memo)
        effects = substitute(graph.effects, memo)
        rest = [n for n in graph.inputs if n not in old]
        return Graph((*inputs, *rest), tuple(outputs), tuple(effects), graph.names)


def _map(c: Coordinate) -> Graph:
    u = make_input("u", c.shape, c.param.node.dtype)
    return trace(lambda x: c.value(x), [u])
