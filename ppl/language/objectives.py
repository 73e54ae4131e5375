"""Objectives: programs over programs. Recording one turns `simulate` and `log_density` of models and guides
into draws and densities of its own graph.

A model or guide runs inside the objective, on the same tracer: its arguments may be random values, and the
plates open in the objective hold it as they hold everything else. Its statements become effects of their own
list, which `Lowering` then reads as a sampler or as a density.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ppl.compiler.graph import Graph, Node, Plate, substitute
from ppl.compiler.ops import make_input
from ppl.compiler.ops.barriers import continuous, density
from ppl.compiler.ops.effects import Effect
from ppl.compiler.passes.differentiate import materialise, vjp
from ppl.compiler.passes.layouts import Layout, effects_in
from ppl.compiler.passes.sites import Lowering
from ppl.errors import MethodError, PplError, StructureError, user_mark
from ppl.language import agreement, checks
from ppl.language.program import Bound, Program, as_bound
from ppl.language.record import Recorded, Recorder, record_with
from ppl.language.sampling import improper_among

Outer = frozenset[Plate]


@dataclass(frozen=True, eq=False)
class State:
    """What an objective keeps from step to step: its start, the value now, the value of the next step."""

    init: torch.Tensor
    now: Node
    then: Node


@dataclass(frozen=True, eq=False)
class Objective:
    """A recorded objective: `recorded.graph` has its value as the first output, then the next states. `particles` are
    the plates it opens itself, `owners` the programs that declare its params (None: itself).
    """

    recorded: Recorded
    states: dict[str, State]
    particles: frozenset[Plate]
    owners: dict[str, Program | None]

    @property
    def value(self) -> Node:
        return self.recorded.graph.outputs[0]

    @property
    def densities(self) -> list[Node]:
        """The log densities in it, in an order in which what is needed comes first."""
        return [n for n in self.recorded.graph.nodes() if n.op == "density"]


def record_objective(bound: Bound, dtype: torch.dtype | None = None, number: bool = True) -> Objective:
    """Record an objective on its programs.

    Args:
        bound: the objective with its arguments, `iwelbo(model(x), guide(x), K=10)`.
        dtype: as for `record`.
        number: whether it must return one number.

    Raises:
        StructureError: guide and model disagree about sites, plates or supports.
        MethodError: the objective is not one number.
    """
    states: dict[str, State] = {}
    plates: set[Plate] = set()
    declared: dict[str, Program | None] = {}

    class OfThis(_ObjectiveRecorder):
        kept = states
        particles = plates
        owners = declared

    recorded = record_with(OfThis, bound, dtype)
    graph = recorded.graph
    if number and [(n.shape, n.is_float) for n in graph.outputs] != [((), True)]:
        found = ", ".join(f"shape {list(n.shape)}" for n in graph.outputs) or "nothing"
        raise MethodError(
            f"the objective {bound.name} must return one number",
            expected="a scalar: an estimate of what is to be maximised",
            found=found,
            edit="return log_p.sum(), or particles.gather(log_w).mean()",
        )
    then = tuple(s.then for s in states.values())
    whole = Graph((*graph.inputs, *(s.now for s in states.values())), (*graph.outputs, *then), graph.effects)
    return Objective(replace(recorded, graph=whole), states, frozenset(plates), declared)


@dataclass(frozen=True)
class _Density(Lowering):
    """Reads a program as a density; every site's stays visible as one."""

    def density(self, e: Effect, x: Node) -> Node:
        return density(super().density(e, x), e, x)


class RunTrace(Mapping[str, torch.Tensor]):
    """One run of a program inside an objective: `trace["x"]`, `trace.value`, `trace.log_density`."""

    def __init__(
        self, recorder: _ObjectiveRecorder, bound: Bound, values: dict[str, Any], sites: Any, value: Any
    ) -> None:
        self._recorder, self._values = recorder, values
        self.bound, self.sites, self.value = bound, sites, value

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._values:
            raise agreement.unknown_choice(name, self.bound, list(self._values))
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def log_density(self) -> torch.Tensor:
        return self._recorder.log_density(self.bound, self)

    def without(self, *names: str) -> RunTrace:
        """The trace with these sites left out."""
        for name in names:
            self[name]
        kept = {k: v for k, v in self._values.items() if k not in names}
        return RunTrace(self._recorder, self.bound, kept, self.sites, self.value)


class _StateHandle:
    """`ppl.state(…)` in an objective."""

    def __init__(self, recorder: _ObjectiveRecorder, name: str) -> None:
        self._recorder, self._name = recorder, name

    @property
    def value(self) -> torch.Tensor:
        return self._recorder.tracer.lift(self._recorder.kept[self._name].now)

    def set(self, x: Any) -> None:
        """Keep `x` for the next step."""
        state = self._recorder.kept[self._name]
        new = self._recorder._node(x)
        if new.shape != state.now.shape or new.plates:
            raise StructureError(
                f"state '{self._name}' changes its shape",
                where=user_mark(2),
                expected=f"shape {list(state.now.shape)}, as its start has it",
                found=f"shape {list(new.shape)}" + (" for each element of a plate" if new.plates else ""),
                edit=f'ppl.state("{self._name}", torch.zeros({tuple(new.shape)}))',
            )
        self._recorder.kept[self._name] = State(state.init, state.now, new)


# What belongs to one program and not to those around it.
_OF_A_PROGRAM: dict[str, Any] = {
    "prefix": str,
    "frames": list,
    "used": set,
    "names": list,
    "dim_sizes": dict,
    "marks": dict,
    "plates": dict,
    "missing": dict,
}


@dataclass
class _Inside:
    """What a program did: its effects and its return value."""

    effects: list[Node] = field(default_factory=list)
    value: Any = None


class _ObjectiveRecorder(Recorder):
    holds_programs = True
    kept: dict[str, State]
    particles: set[Plate]
    owners: dict[str, Program | None]

    def __init__(self, dtype: torch.dtype, flexible: bool) -> None:
        super().__init__(dtype, flexible)
        self.kept.clear()
        self.particles.clear()
        self.prepared: dict[int, tuple[Bound, Bound]] = {}
        self.owners.clear()
        self.program: Bound | None = None
        self.drawn: set[str] = set()

    # ------------------------------------------------------------ programs inside

    def simulate(self, bound: Bound) -> RunTrace:
        """Every random choice drawn afresh, in every element of the open plates."""
        run, outer = self._run_inside(bound), self._open_plates()
        sites = _latent_sites(run.effects, outer)
        for name in improper_among(list(sites.values())):
            raise MethodError(
                f"site '{name}' of {bound.name} can't be drawn: its distribution is improper",
                site=name,
                where=sites[name].effect.node.mark,
                expected="a proper distribution",
                edit="a proper prior, or an objective that draws from the guide only",
            )
        leaves, spec = pytree.tree_flatten(run.value)
        tensors = [i for i, v in enumerate(leaves) if isinstance(v, torch.Tensor)]
        outputs = tuple(self.tracer.node(leaves[i]) for i in tensors)
        lowering = Lowering(lambda e: "draw", frozenset({"value"}), total=False, suffix=self._suffix(sites))
        reading, effects, outs = lowering.run(Graph((), outputs, tuple(run.effects)), {}, outer)
        self.tracer.here.effects.extend(effects)
        for i, node in zip(tensors, outs, strict=True):
            leaves[i] = self.tracer.lift(node)
        values = {name: self.tracer.lift(node) for (_, name), node in reading.parts.items()}
        return RunTrace(self, bound, values, sites, pytree.tree_unflatten(leaves, spec))

    def log_density(self, bound: Bound, choices: Mapping[str, Any]) -> torch.Tensor:
        """The log density of the choices (and data) under the program."""
        return self.tracer.lift(self._density(bound, choices, {}))

    def score(self, bound: Bound, choices: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """The derivatives of the log density with respect to the choices, arguments held fixed."""
        nodes = {name: self._node(x) for name, x in choices.items()}
        free = {
            name: make_input(name, n.shape, n.dtype, n.plates, "score of")
            for name, n in nodes.items()
            if n.is_float and not agreement.auxiliary(name)
        }
        total = self._density(bound, choices, free)
        found = vjp([total], [1.0], list(free.values()))
        full = [materialise(g, n) for g, n in zip(found, free.values(), strict=True)]
        at = {place: nodes[name] for name, place in free.items()}
        return dict(zip(free, map(self.tracer.lift, substitute(full, at)), strict=True))

    def _density(self, bound: Bound, choices: Mapping[str, Any], instead: Mapping[str, Node]) -> Node:
        run, outer = self._run_inside(bound), self._open_plates()
        sites = _latent_sites(run.effects, outer)
        agreement.check(
            bound, sites, choices, getattr(choices, "sites", None), getattr(choices, "bound", None)
        )
        supplies = {name: instead.get(name) or self._node(choices[name]) for name in sites}
        for name, node in supplies.items():
            agreement.check_shape(bound, sites[name], node)
        reading, _, _ = _Density(lambda e: "value").run(Graph((), (), tuple(run.effects)), supplies, outer)
        return reading.total if isinstance(reading.total, Node) else self._node(reading.total)

    def _open_plates(self) -> Outer:
        return frozenset(loop.plate for loop in self.tracer.here.loops if loop.plate is not None)

    def _suffix(self, sites: Mapping[str, Layout]) -> str:
        """What keeps the names of these draws apart from those of earlier ones."""
        count, suffix = 1, ""
        while any(name + suffix in self.drawn for name in sites):
            count += 1
            suffix = f"@{count}"
        self.drawn |= {name + suffix for name in sites}
        return suffix

    def _run_inside(self, bound: Bound) -> _Inside:
        bound = as_bound(bound)
        if bound.program.kind == "objective" or bound.program.dynamic:
            raise StructureError(
                f"{bound.name} can't be run inside an objective",
                where=user_mark(3),
                expected="a model or a guide that can be recorded",
                found="an objective" if bound.program.kind == "objective" else "a dynamic program",
                edit="call the function it decorates" if not bound.program.dynamic else "remove dynamic=True",
            )
        run = _Inside()
        with self._fresh(bound, run):
            run.value = self.run(self._prepare(bound))
            if self.missing:
                name = next(iter(self.missing))
                raise MethodError(
                    f"data of '{name}' have missing elements, which a guide can't fill in",
                    site=name,
                    expected="complete data",
                    found=f"{self.missing[name].count} nan",
                    edit='method="nuts", or a site of its own for the missing elements',
                )
        return run

    def _prepare(self, bound: Bound) -> Bound:
        """The program with its arguments declared as data, the same for each of its runs."""
        if id(bound) not in self.prepared:
            arguments = {k: self.as_data(v, k) for k, v in bound.arguments.items()}
            self.prepared[id(bound)] = bound, Bound(bound.program, arguments, bound.handlers)
        return self.prepared[id(bound)][1]

    @contextlib.contextmanager
    def _fresh(self, bound: Bound, run: _Inside) -> Iterator[None]:
        here, foreign, outside = self.tracer.here, self.tracer.foreign, self.program
        kept = {name: getattr(self, name) for name in _OF_A_PROGRAM}
        effects = here.effects
        for name, empty in _OF_A_PROGRAM.items():
            setattr(self, name, empty())
        here.effects, self.tracer.foreign, self.program = run.effects, len(here.loops), bound
        try:
            yield
        finally:
            for name, value in kept.items():
                setattr(self, name, value)
            here.effects, self.tracer.foreign, self.program = effects, foreign, outside

    # ------------------------------------------------------------ statements

    def perform(self, message: Any) -> Any:
        if self.program is None and (message.kind != "sample" or message.value is not None):
            raise StructureError(
                f"ppl.{'observe' if message.kind == 'sample' else message.kind} stands in an objective",
                where=message.mark,
                expected="objectives draw and compute; models observe",
                edit="add the term to what the objective returns",
            )
        return super().perform(message)

    def param(self, name: str, init: Any, constraint: Any = None) -> Any:
        full_name = self.prefix + name
        owner = self.program.program if self.program is not None else None
        if self.owners.setdefault(full_name, owner) is not owner:
            first = self.owners[full_name]
            raise StructureError(
                f"param '{full_name}' is declared by two programs",
                where=user_mark(3),
                expected="one program for each param; they would share its value",
                found=f"{first.name if first else 'the objective'} and {owner.name if owner else 'the objective'}",
                edit=f'another name here, for instance "{owner.name if owner else "objective"}_{name}"',
            )
        return super().param(name, init, constraint)

    def plate(self, name: str, size: Any, subsample: int | None = None) -> Any:
        made = super().plate(name, size, subsample)
        if self.program is None:
            self.particles.add(made.plate)
        return made

    def assume_continuous(self, x: Any) -> torch.Tensor:
        return self.tracer.lift(continuous(self._node(x)))

    def state(self, name: str, init: Any) -> Any:
        if self.program is not None:
            return super().state(name, init)
        if name not in self.kept:
            tensor = checks.as_tensor(init, self.dtype)
            now = make_input(name, tensor.shape, tensor.dtype, (), "state")
            self.kept[name] = State(tensor.detach(), now, now)
        return _StateHandle(self, name)


def _latent_sites(effects: list[Node], outer: Outer) -> dict[str, Layout]:
    found: dict[str, Layout] = {}
    for layout in effects_in(Graph((), (), tuple(effects)), (), False, ("sample",), outer):
        found.setdefault(layout.name, layout)
    return found


__all__ = ["Objective", "PplError", "RunTrace", "State", "record_objective"]
