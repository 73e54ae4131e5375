"""Objectives: programs over programs. Recording one turns `simulate` and `log_density` of models and guides
into draws and densities of its own graph.

A model or guide runs inside the objective, on the same tracer: its arguments may be random values, and the
plates open in the objective hold it as they hold everything else. Its statements become effects of their own
list, which `Lowering` then reads as a sampler or as a density.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ppl.compiler.estimators.intervals import Interval, of_numbers
from ppl.compiler.graph import Graph, Node, Plate, substitute
from ppl.compiler.ops import make_input
from ppl.compiler.ops.barriers import continuous
from ppl.compiler.passes.differentiate import materialise, vjp
from ppl.compiler.passes.layouts import Layout, effects_in
from ppl.compiler.passes.sites import Lowering, Reading
from ppl.distributions.bounds import of_support
from ppl.errors import MethodError, PplError, StructureError, user_mark
from ppl.language import agreement, checks, integrals, surrogates
from ppl.language.marginals import Law
from ppl.language.program import Bound, Program, as_bound
from ppl.language.record import Recorded, Recorder, record_with
from ppl.language.run_traces import RunTrace
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
    def data(self) -> dict[Node, torch.Tensor]:
        """The data that are the same in every step: not those of a minibatch."""
        return {node: x for node, x in self.recorded.data.items() if node.attr("role") != "batch"}

    @property
    def known(self) -> dict[Node, Interval]:
        """Between which numbers data and params lie."""
        data = {node: of_numbers(x) for node, x in self.data.items()}
        return data | {p.node: _inside(p.constraint) for p in self.recorded.params.values()}

    @property
    def densities(self) -> list[Node]:
        """The log densities in it, in an order in which what is needed comes first."""
        return [n for n in self.recorded.graph.nodes() if n.op == "density"]


def _inside(constraint: Any) -> Interval:
    """The interval of numbers inside a constraint."""
    low, high = (b if isinstance(b, int | float) else math.inf for b in of_support(constraint))
    low = -math.inf if low == math.inf else low
    return Interval(float(low), float(high), True, True)


def record_objective(
    bound: Bound,
    dtype: torch.dtype | None = None,
    number: bool = True,
    whole: bool = False,
    batch: Collection[str] = (),
) -> Objective:
    """Record an objective on its programs.

    Args:
        bound: the objective with its arguments, `iwelbo(model(x), guide(x), K=10)`.
        dtype: as for `record`.
        number: whether it must return one number.
        whole: with all elements of the programs' subsampled plates.
        batch: names of the programs' arguments and observed sites that come with each minibatch.

    Raises:
        StructureError: guide and model disagree about sites, plates or supports.
        MethodError: the objective is not one number.
    """
    states: dict[str, State] = {}
    plates: set[Plate] = set()
    declared: dict[str, Program | None] = {}
    all_elements = whole  # `whole = whole` in a class body would look for it there

    class OfThis(ObjectiveRecorder):
        kept = states
        particles = plates
        owners = declared
        whole = all_elements
        fed = frozenset(batch)

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
    graph = Graph((*graph.inputs, *(s.now for s in states.values())), (*graph.outputs, *then), graph.effects)
    return Objective(replace(recorded, graph=graph), states, frozenset(plates), declared)


class _StateHandle:
    """`ppl.state(…)` in an objective."""

    def __init__(self, recorder: ObjectiveRecorder, name: str) -> None:
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
class Inside:
    """What a program did: its effects, its random choices and its return value."""

    effects: list[Node] = field(default_factory=list)
    value: Any = None
    sites: dict[str, Layout] = field(default_factory=dict)


class ObjectiveRecorder(Recorder):
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
        self.given = 0  # derivatives that the user gives, so far
        self.integrals = 0  # how many were estimated so far: each has a plate of its own name

    # ------------------------------------------------------------ programs inside

    def simulate(self, bound: Bound | Law) -> RunTrace:
        """Every random choice drawn afresh, in every element of the open plates."""
        if isinstance(bound, Law):
            return integrals.simulate(self, bound)
        run = self.run_inside(bound)
        suffix = self.draws_of(bound, run.sites)
        lowering = Lowering(lambda e: "draw", frozenset({"value"}), total=False, suffix=suffix)
        reading = self.read(run, lowering, {})
        return RunTrace(self, bound, self.values(reading), run.sites, run.value)

    def log_density(self, bound: Bound | Law, choices: Mapping[str, Any]) -> torch.Tensor:
        """The log density of the choices (and data) under the program."""
        if isinstance(bound, Law):
            return integrals.log_density(self, bound, choices)
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
        run = self.run_inside(bound)
        supplies = {
            **self.supplies(bound, run.sites, choices),
            **{n: x for n, x in instead.items() if n in run.sites},
        }
        run.value = None
        return self.total(self.read(run, integrals.Densities(lambda e: "value"), supplies))

    def supplies(
        self, bound: Bound | Law, sites: Mapping[str, Layout], choices: Mapping[str, Any]
    ) -> dict[str, Node]:
        """The choices as nodes, checked against the sites."""
        agreement.check(
            bound, sites, choices, getattr(choices, "sites", None), getattr(choices, "bound", None)
        )
        supplies = {name: self._node(choices[name]) for name in sites}
        for name, node in supplies.items():
            agreement.check_shape(bound, sites[name], node)
        return supplies

    def read(self, run: Inside, lowering: Lowering, supplies: Mapping[str, Node]) -> Reading:
        """Give a run this reading: its return value is then that of the reading, its draws are draws here."""
        leaves, spec = pytree.tree_flatten(run.value)
        tensors = [i for i, v in enumerate(leaves) if isinstance(v, torch.Tensor)]
        outputs = tuple(self.tracer.node(leaves[i]) for i in tensors)
        reading, effects, outs = lowering.run(
            Graph((), outputs, tuple(run.effects)), supplies, self.open_plates()
        )
        self.tracer.here.effects.extend(effects)
        for i, node in zip(tensors, outs, strict=True):
            leaves[i] = self.tracer.lift(node)
        run.value = pytree.tree_unflatten(leaves, spec)
        return reading

    def values(self, reading: Reading) -> dict[str, torch.Tensor]:
        """The values of random choices that a reading collected."""
        return {
            name: self.tracer.lift(node) for (kind, name), node in reading.parts.items() if kind == "value"
        }

    def total(self, reading: Reading) -> Node:
        """The log density that was collected."""
        return reading.total if isinstance(reading.total, Node) else self._node(reading.total)

    def open_plates(self) -> Outer:
        return frozenset(loop.plate for loop in self.tracer.here.loops if loop.plate is not None)

    def draws_of(self, bound: Bound, sites: Mapping[str, Layout]) -> str:
        """A suffix that keeps the names of these draws apart from those of earlier ones; improper sites are
        refused.
        """
        for name in improper_among(list(sites.values())):
            raise MethodError(
                f"site '{name}' of {bound.name} can't be drawn: its distribution is improper",
                site=name,
                where=sites[name].effect.node.mark,
                expected="a proper distribution",
                edit="a proper prior, or an objective that draws from the guide only",
            )
        count, suffix = 1, ""
        while any(name + suffix in self.drawn for name in sites):
            count += 1
            suffix = f"@{count}"
        self.drawn |= {name + suffix for name in sites}
        return suffix

    def run_inside(self, bound: Bound) -> Inside:
        bound = as_bound(bound)
        if bound.program.kind == "objective" or bound.program.dynamic:
            raise StructureError(
                f"{bound.name} can't be run inside an objective",
                where=user_mark(3),
                expected="a model or a guide that can be recorded",
                found="an objective" if bound.program.kind == "objective" else "a dynamic program",
                edit="call the function it decorates" if not bound.program.dynamic else "remove dynamic=True",
            )
        run = Inside()
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
        run.sites = _latent_sites(run.effects, self.open_plates())
        return run

    def _prepare(self, bound: Bound) -> Bound:
        """The program with its arguments declared as data, the same for each of its runs."""
        if id(bound) not in self.prepared:
            arguments = {k: self.as_data(v, k) for k, v in bound.arguments.items()}
            self.prepared[id(bound)] = bound, Bound(bound.program, arguments, bound.handlers)
        return self.prepared[id(bound)][1]

    @contextlib.contextmanager
    def _fresh(self, bound: Bound, run: Inside) -> Iterator[None]:
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
                found=" and ".join(f"{p.kind} {p.name}" if p else "the objective" for p in (first, owner)),
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

    def surrogate(self, function: Any, vjp: Any, args: Sequence[Any]) -> torch.Tensor:
        self.given += 1
        return surrogates.with_jacobian(self, function, vjp, args, self.given)

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
