"""A compiled objective: its estimator on an engine, for one estimate or many at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ppl.compiler.engines import TORCH
from ppl.compiler.engines.torch_engine import key
from ppl.compiler.estimators.assemble import Estimator, estimator, sampler
from ppl.compiler.estimators.steps import site_name
from ppl.compiler.graph import Graph, Node, Plate
from ppl.compiler.passes.fold import fold
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.tracer import working_dtype
from ppl.errors import DataError, closest
from ppl.inference.vi.coordinates import Coordinates
from ppl.language.arrays import as_tensor
from ppl.language.objectives import Objective, record_objective
from ppl.language.program import Bound
from ppl.language.record import Param


@dataclass(frozen=True)
class _Program:
    """A compiled estimator and its inputs."""

    run: Any
    inputs: tuple[Node, ...]
    data: Mapping[Node, torch.Tensor]


class CompiledObjective:
    """An objective with its programs: estimates of its expectation and of the gradient in the params.

    Args:
        bound: the objective with its arguments.
        free: whether gradients are taken in the params' unconstrained coordinates, and not in their values.
        wanted: names of the params whose gradients are wanted; None: all.
        gradients: strategies of random choices by name, in place of those they ask for.

    Attributes:
        objective: what was recorded.
        params: the params of all its programs, by name.
        coordinates: where they live in unconstrained space.
    """

    def __init__(
        self,
        bound: Bound,
        dtype: torch.dtype | None = None,
        device: str = "cpu",
        free: bool = False,
        wanted: Collection[str] | None = None,
        number: bool = True,
        gradients: Mapping[str, Any] | None = None,
    ) -> None:
        self.gradients = gradients
        self.bound, self.device, self.free = bound, device, free
        self.objective: Objective = record_objective(bound, dtype, number)
        self.wanted = list(self.params) if wanted is None else [n for n in self.params if n in wanted]
        self._programs: dict[int | None, _Program] = {}
        self._samplers: dict[tuple[int, tuple[Node, ...]], tuple[Any, tuple[Node, ...]]] = {}

    def with_gradients(self, gradients: Mapping[str, Any]) -> CompiledObjective:
        """The same objective, not recorded again, with these strategies."""
        other = object.__new__(CompiledObjective)
        other.bound, other.device, other.free = self.bound, self.device, self.free
        other.objective, other.wanted = self.objective, self.wanted
        other.gradients, other._programs, other._samplers = gradients, {}, {}
        return other

    @property
    def params(self) -> dict[str, Param]:
        return self.objective.recorded.params

    @property
    def dtype(self) -> torch.dtype:
        return self.objective.recorded.dtype

    @cached_property
    def coordinates(self) -> Coordinates:
        return Coordinates.of(self.params)

    @property
    def choices(self) -> set[str]:
        """The names of its random choices."""
        return set(map(site_name, self.estimator.decisions))

    @cached_property
    def states(self) -> dict[str, torch.Tensor]:
        """What is kept from step to step, by the objective and by strategies: the start of each."""
        found = {n: s.init for n, s in self.objective.states.items()}
        return found | {n: s.init for n, s in self.estimator.states.items()}

    @cached_property
    def estimator(self) -> Estimator:
        """The estimator of one value and gradient."""
        return self._estimator(None)

    def _estimator(self, batch: Plate | None) -> Estimator:
        graph = self.objective.recorded.graph
        with working_dtype(self.dtype):
            inputs = [p.node for p in self.params.values()]
            if self.free:
                graph, inputs = self.coordinates.apart(graph)
            wrt = [n for name, n in zip(self.params, inputs, strict=True) if name in self.wanted]
            return estimator(
                graph, wrt, self.objective.particles, batch, self.objective.known, self.gradients
            )

    @cached_property
    def flat(self) -> Estimator:
        """The estimator as a function of all params' unconstrained coordinates in one vector."""
        with working_dtype(self.dtype):
            graph, wrt = self.coordinates.together(self.objective.recorded.graph)
            objective = self.objective
            return estimator(graph, wrt, objective.particles, known=objective.known, asked=self.gradients)

    def _program(self, draws: int | None) -> _Program:
        if draws not in self._programs:
            batch = None if draws is None else Plate(-1, "estimate", draws)
            found = self.estimator if batch is None else self._estimator(batch)
            with working_dtype(self.dtype):
                graph, data = fold(simplify(found.graph), self.objective.recorded.data)
                plates = None if batch is None else (batch,)
                physical = vectorise(Graph(graph.inputs, graph.outputs), plates)
            held = {n: t.to(self.device) for n, t in data.items()}
            self._programs[draws] = _Program(TORCH.compile(physical, self.device), graph.inputs, held)
        return self._programs[draws]

    def values(self, params: Mapping[str, Any] | None = None) -> dict[str, torch.Tensor]:
        """The params' values: those given, the others at their start."""
        given = dict(params or {})
        for name in given:
            if name not in self.params:
                near = closest(name, self.params)
                raise DataError(
                    f"'{name}' is not a param of {self.bound.name} or its programs",
                    expected="some of " + (", ".join(self.params) or "none: they have no params"),
                    found=name,
                    edit=f"rename it to '{near[0]}'" if near else f"leave '{name}' out",
                )
        dtype = self.dtype
        found = {n: as_tensor(given[n], dtype) if n in given else p.init for n, p in self.params.items()}
        for name, value in found.items():
            if value.shape != self.params[name].init.shape:
                raise DataError(
                    f"the value of param '{name}' has the wrong shape",
                    expected=f"shape {list(self.params[name].init.shape)}",
                    found=f"shape {list(value.shape)}",
                )
        return found

    def run(
        self,
        values: Mapping[str, torch.Tensor],
        seed: int = 0,
        draws: int | None = None,
        states: Mapping[str, torch.Tensor] | None = None,
        subsamples: Mapping[str, torch.Tensor] | None = None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """(value, gradient of each param, next states); with `draws`, each has a first axis of so many
        independent estimates.
        """
        program = self._program(draws)
        inputs = [
            program.data[n]
            if n in program.data
            else self._input(n, values, seed, draws, states or {}, subsamples or {})
            for n in program.inputs
        ]
        with torch.no_grad():
            value, *rest = program.run(*inputs, seed=seed)
        kept = self.states
        then = dict(zip(kept, rest[: len(kept)], strict=True))
        return value, dict(zip(self.wanted, rest[len(kept) :], strict=True)), then

    def sampled(
        self, values: Mapping[str, torch.Tensor], seed: int, draws: int, roots: Sequence[Node] | None = None
    ) -> list[torch.Tensor]:
        """Independent draws of nodes of the objective's graph, of its value if none are given: each
        `[draws, *shape]`.
        """
        wanted = tuple(roots or self.objective.recorded.graph.outputs[:1])
        if (draws, wanted) not in self._samplers:
            self._samplers[draws, wanted] = self._sampler(draws, wanted)
        program, needed = self._samplers[draws, wanted]
        inputs = [self._input(n, values, seed, None, {}, {}) for n in needed]
        with torch.no_grad():
            return list(program(*inputs, seed=seed))

    def _sampler(self, draws: int, wanted: tuple[Node, ...]) -> tuple[Any, tuple[Node, ...]]:
        """A program that draws nodes, and its inputs."""
        batch = Plate(-1, "estimate", draws)
        with working_dtype(self.dtype):
            drawn = simplify(sampler(Graph(self.objective.recorded.graph.inputs, wanted), batch))
            return TORCH.compile(vectorise(drawn, (batch,)), self.device), drawn.inputs

    def _input(
        self,
        node: Node,
        values: Mapping[str, torch.Tensor],
        seed: int,
        draws: int | None,
        states: Mapping[str, torch.Tensor],
        subsamples: Mapping[str, torch.Tensor],
    ) -> torch.Tensor:
        role, name = node.attr("role"), node.attr("name")
        recorded = self.objective.recorded
        if role == "param":
            value = values[name].to(self.device)
            return value if draws is None or name not in self.wanted else value.expand(draws, *value.shape)
        if role == "state":
            return states.get(name, self.states[name]).to(self.device)
        if role == "subsample":
            if name in subsamples:
                return subsamples[name].to(self.device)
            size = recorded.subsamples[name][1]
            return subsample(size, node.shape[0], seed, name).to(self.device)
        return recorded.data[node].to(self.device)


def subsample(size: int, count: int, seed: int, name: str) -> torch.Tensor:
    """`count` different whole numbers below `size`, each equally likely."""
    generator = torch.Generator().manual_seed(key(seed, "subsample", name))
    return torch.randperm(size, generator=generator)[:count]
