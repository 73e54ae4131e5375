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
from ppl.compiler.passes.contract import contract
from ppl.compiler.passes.fold import fold
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.tracer import working_dtype
from ppl.errors import DataError, closest
from ppl.inference.vi.coordinates import Coordinates
from ppl.inference.vi.minibatch import parts_of, subsample
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
        whole: whether subsampled plates have all their elements.
        batch: names of the programs' arguments and observed sites that come with each minibatch (`feed`).
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
        whole: bool = False,
        batch: Collection[str] = (),
        gradients: Mapping[str, Any] | None = None,
    ) -> None:
        self.gradients = gradients
        self.bound, self.device, self.free, self.whole = bound, device, free, whole
        self.objective: Objective = record_objective(bound, dtype, number, whole, batch)
        self._batch: Mapping[str, torch.Tensor] = {}
        self.wanted = list(self.params) if wanted is None else [n for n in self.params if n in wanted]
        self._programs: dict[int | None, _Program] = {}
        self._samplers: dict[tuple[int, tuple[Node, ...]], tuple[Any, tuple[Node, ...]]] = {}

    def with_gradients(self, gradients: Mapping[str, Any]) -> CompiledObjective:
        """The same objective, not recorded again, with these strategies."""
        other = object.__new__(CompiledObjective)
        other.bound, other.device, other.free = self.bound, self.device, self.free
        other.whole, other._batch = self.whole, self._batch
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

    def feed(self, batch: Mapping[str, torch.Tensor]) -> None:
        """The minibatch that estimates are made of from now on."""
        self._batch = batch

    def _program(self, draws: int | None) -> _Program:
        if draws not in self._programs:
            batch = None if draws is None else Plate(-1, "estimate", draws)
            found = self.estimator if batch is None else self._estimator(batch)
            with working_dtype(self.dtype):
                graph = contract(simplify(found.graph))
                folded = fold(Graph(graph.inputs, graph.outputs), self.objective.data)
                physical = folded.vectorised(None if batch is None else (batch,))
            held = {n: t.to(self.device) for n, t in folded.data(self.objective.data).items()}
            program = TORCH.compile(physical.graph, self.device)
            self._programs[draws] = _Program(program, folded.graph.inputs, held)
        return self._programs[draws]

    def values(self, params: Mapping[str, Any] | None = None) -> dict[str, torch.Tensor]:
        """The params' values: those given, the others at their start. Where all are given there may be more, of
        programs that take no part here.
        """
        given = dict(params or {})
        complete = bool(self.params) and all(name in given for name in self.params)
        for name in given:
            if name not in self.params and not complete:
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
        `[draws, *shape]`. Where plates have all elements of large data, they are made in parts.
        """
        recorded = self.objective.recorded
        wanted = tuple(roots or recorded.graph.outputs[:1])
        parts = parts_of(draws, recorded.subsamples) if self.whole else [draws]
        form = parts[0], wanted
        if form not in self._samplers:
            self._samplers[form] = self._sampler(*form)
        program, needed = self._samplers[form]
        found = []
        for number, count in enumerate(parts):
            own = seed if number == 0 else key(seed, "part", number)
            inputs = [self._input(n, values, own, None, {}, {}) for n in needed]
            with torch.no_grad():
                found.append([v[:count] for v in program(*inputs, seed=own)])
        return [torch.cat(columns) for columns in zip(*found, strict=True)]

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
            return subsample(size, node.shape, key(seed, "subsample", name)).to(self.device)
        if role == "batch" and name in self._batch:
            return self._batch[name].to(self.device, node.dtype)
        return recorded.data[node].to(self.device)
