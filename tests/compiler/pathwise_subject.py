"""A distribution and its pathwise sampler, run: what the tests of pathwise samplers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from compiler.checks import Tensors, cotangents_of, differentiated, plated, run
from torch import Tensor
from torch.distributions import Distribution

from ppl.compiler.estimators.pathwise import Pathwise, pathwise
from ppl.compiler.graph import Plate, Type
from ppl.compiler.specs import put_together, take_apart


@dataclass(frozen=True)
class Subject:
    """A distribution as a site has it: its spec and its tensors, in float64."""

    spec: Any
    tensors: tuple[Tensor, ...]
    shape: tuple[int, ...]

    @staticmethod
    def of(d: Distribution) -> Subject:
        tensors: list[Tensor] = []
        spec = take_apart(d, tensors)
        wide = tuple(t.double() if t.is_floating_point() else t for t in tensors)
        return Subject(spec, wide, tuple(d.batch_shape + d.event_shape))

    @property
    def sampler(self) -> Pathwise:
        types = tuple(Type(tuple(t.shape), t.dtype) for t in self.tensors)
        return pathwise(self.spec, types, Type(self.shape, torch.float64))

    def distribution(self, tensors: Tensors | None = None) -> Distribution:
        return put_together(self.spec, self.tensors if tensors is None else tensors)

    def noise(self, count: tuple[int, ...] = ()) -> list[Tensor]:
        """A draw of each noise (or `count`), in the sampler's order."""
        return [
            put_together(n.spec, run(n.params, self.tensors)).sample(torch.Size(count))
            for n in self.sampler.noises
        ]

    def over_draws(self, count: int) -> Tensor:
        """`count` draws, the noise varying over a plate."""
        draws = Plate(0, "draws", count)
        graph = self.sampler.value
        varying = [(draws,) if n.attr("role") == "noise" else () for n in graph.inputs]
        (x,) = run(plated(graph, varying), [*self.tensors, *self.noise((count,))])
        return x if x.shape == (count, *self.shape) else x.expand(count, *self.shape)

    def pulled(self, noise: Tensors, cotangent: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x and Σ cotangent · ∂x/∂θ for every float parameter θ."""
        graph = self.sampler.value
        wrt = [n for n in graph.inputs if n.is_float and n.attr("role") != "noise"]
        both = differentiated(graph, wrt, cotangents_of(graph))
        x, *grads = run(both, [*self.tensors, *noise, cotangent])
        return x, grads
