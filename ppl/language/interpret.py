"""The interpreter: what every statement means, run eagerly on tensors, one element at a time.

It is the definition that the compiled engines are tested against, and it runs `@ppl.model(dynamic=True)`
programs. A plate is a Python loop, a branch is a branch; a random choice is looked up among the given ones
or drawn, and its log density noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from torch.distributions import Distribution
from torch.utils import _pytree as pytree

from ppl.compiler.engines.torch_engine import key
from ppl.distributions import constraints
from ppl.errors import (
    Mark,
    StructureError,
    user_mark,
)
from ppl.language import checks, refusals, scoring, values
from ppl.language.dependence import Dependence, NeedsDependence, location_and_scale
from ppl.language.handlers import Message
from ppl.language.loops import Loop, PlateLoop, run_loop, stack
from ppl.language.program import Bound
from ppl.language.record_regions import callable_branches, split_result, steps_of
from ppl.language.reparam import standardise
from ppl.language.runtime import Runtime, activated
from ppl.language.traces import Choices, Element, Site, Trace

DTYPE = torch.float64
_NOT = torch.zeros((), dtype=torch.bool)
_EAGER: Any = SimpleNamespace(table={}, is_traced=lambda value: False)


def interpret(
    bound: Bound,
    constraints: Mapping[str, Any] | None = None,
    *,
    previous: Choices | None = None,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    draw: bool = True,
    subsamples: Mapping[str, torch.Tensor] | None = None,
) -> Trace:
    """Run a bound program once.

    Args:
        bound: the program.
        constraints: values of random choices, [*loops, *site shape]; names that don't exist are errors.
        previous: values for where `constraints` has none; what the program doesn't ask for is ignored.
        seed: of the choices that are in neither; a choice depends on (seed, name, index) only.
        params: values of parameters, by name; others start at their init.
        draw: False refuses choices that are in neither.
        subsamples: elements to use for subsampled plates, by name, instead of drawing them.

    Raises:
        DataError, StructureError, ParameterError: see `ppl.errors`; each names the site and the line.
    """
    options: dict[str, Any] = dict(
        previous=previous, seed=seed, params=params, draw=draw, subsamples=subsamples
    )
    try:
        return Interpreter(constraints, **options).trace(bound)
    except NeedsDependence:
        return Interpreter(constraints, **options, track=True).trace(bound)


class Interpreter(Runtime):
    """A runtime for one run; `trace(bound)` gives its result."""

    def __init__(
        self,
        constraints: Mapping[str, Any] | None = None,
        *,
        previous: Choices | None = None,
        seed: int = 0,
        params: Mapping[str, Any] | None = None,
        draw: bool = True,
        subsamples: Mapping[str, torch.Tensor] | None = None,
        track: bool = False,
    ) -> None:
        super().__init__()
        self.constraints = constraints if constraints is not None else {}
        self.previous = previous
        self.seed = seed
        self.given_params = dict(params or {})
        self.draw = draw
        self.subsamples = dict(subsamples or {})
        self.dependence = Dependence() if track else None
        self.loops: list[Loop] = []
        self.sites: dict[str, Site] = {}
        self.params: dict[str, torch.Tensor] = {}
        self.sizes: dict[str, tuple[int, Mark | None]] = {}
        self.seen: dict[str, tuple[tuple[str, ...], dict[tuple[int, ...], Mark | None]]] = {}
        self.arrays: dict[int, tuple[Any, torch.Tensor]] = {}
        self.branched = False
        self.undefined: StructureError | None = None

    def trace(self, bound: Bound) -> Trace:
        self.branched = bound.program.dynamic
        with activated(self, DTYPE):
            arguments = pytree.tree_map(
                lambda v: checks.as_tensor(v, DTYPE) if checks.is_array(v) else v, bound.arguments
            )
            prepared = replace(bound, arguments=arguments)
            if self.dependence is None:
                value = self.run(prepared)
            else:
                with self.dependence:
                    value = self.run(prepared)
        self._check_given()
        return Trace(
            bound,
            value,
            self.sites,
            self.params,
            self.given_params,
            self.subsamples,
            self.undefined,
            self.branched,
        )

    # ------------------------------------------------------------ sites

    @property
    def index(self) -> tuple[int, ...]:
        return tuple(loop.row for loop in self.loops)

    def register(self, name: str, mark: Mark | None) -> None:
        around = tuple(loop.name for loop in self.loops)
        if name not in self.seen:
            self.seen[name] = (around, {})
            self.names.append(name)
        first, marks = self.seen[name]
        if around != first or self.index in marks:
            checks.duplicate(name, mark, next(iter(marks.values())))
        marks[self.index] = mark

    def may_be_absent(self, name: str) -> bool:
        return self.branched or any(size == 0 for size, _ in self.sizes.values())

    def perform(self, message: Message) -> Any:
        if message.kind == "factor":
            weight = checks.as_tensor(message.log_weight, DTYPE)
            self._note("factor", message, _element(None, self._weighed(weight, message)))
            return None
        if message.fixed or (message.hidden and message.value is not None):
            return self.deterministic_at(
                message.name, message.value, message.dims, message.mark, message.hidden
            )
        return self._choose(message)

    def _choose(self, message: Message) -> torch.Tensor:
        """The value of a site: observed numbers, then given ones, then fresh draws; and its log density."""
        d = scoring.elementary(message.distribution)
        checks.check_parameters(d, message, _EAGER)
        value = message.value
        if value is not None:
            values.holes(value, message)
        random = fresh = scoring.missing(value, d)
        for given in self._given(message, bool(random.any())):
            value = given if value is None else torch.where(fresh, given, value)
            fresh = scoring.missing(value, d)
        if value is None or bool(fresh.any()):
            drawn = self._draw(message, fresh)
            value = drawn if value is None else torch.where(fresh, drawn, value)
        if self.dependence is not None and bool(random.any()):
            self.dependence.mark(value)
        if not message.hidden:
            log_prob = self._log_prob(d, value, message)
            batch = message.distribution.batch_shape
            whole = log_prob.flatten(len(batch)).sum(-1) if log_prob.dim() > len(batch) else log_prob
            prior, new = (torch.where(scoring.events(n, d), log_prob, 0.0).sum() for n in (random, fresh))
            self._note("sample", message, Element(value, self._weighed(whole, message), prior, new, random))
        return value

    def _given(self, message: Message, random: bool) -> Iterator[torch.Tensor]:
        """Values given for a random choice, by priority; those for an observed site have to agree with it."""
        for source in (self.constraints, self.previous):
            if message.hidden or source is None or message.name not in source:
                continue
            if isinstance(source, Choices):
                found = source.at(message.name, self.index)
            else:
                found = self.element(source[message.name], message, role="choice")
            if found is not None and random:
                yield found
            elif found is not None and source is self.constraints:
                refusals.check_agreement(found, message)

    def _draw(self, message: Message, fresh: torch.Tensor) -> torch.Tensor:
        if self.draw:
            return scoring.draw(message, fresh, key(self.seed, message.name, *self.index))
        if message.hidden:
            refusals.hidden_choice(message)
        refusals.no_value(message, self.index, self.constraints)

    def _log_prob(self, d: Distribution, value: torch.Tensor, message: Message) -> torch.Tensor:
        try:
            return scoring.log_prob(d, value)
        except NotImplementedError:
            self.undefined = refusals.no_density(message)
            return torch.full(d.batch_shape, torch.nan)

    def _weighed(self, log_prob: torch.Tensor, message: Message) -> torch.Tensor:
        return scoring.weighed(
            log_prob, message, [loop.size / loop.rows for loop in self.loops if loop.rows != loop.size]
        )

    def _note(self, kind: str, message: Message, element: Element) -> None:
        if message.hidden:
            return
        loops = tuple((loop.name, loop.rows) for loop in self.loops)
        site = self.sites.setdefault(
            message.name, Site(message.name, kind, loops, message.dims, message.mark)
        )
        first = next(iter(site.elements.values()), element)
        if first.value is not None and element.value is not None and first.value.shape != element.value.shape:
            raise StructureError(
                f"the elements of site '{message.name}' differ in shape",
                site=message.name,
                where=message.mark,
                expected=f"shape {list(first.value.shape)}, as the first one",
                found=f"shape {list(element.value.shape)} at {list(self.index)}",
                edit="give sites of different shapes names of their own",
            )
        site.elements[self.index] = element

    # ------------------------------------------------------------ values from outside

    def _array(self, value: Any, message: Message) -> torch.Tensor:
        if id(value) not in self.arrays:
            self.arrays[id(value)] = (value, values.as_values(value, message, DTYPE))
        return self.arrays[id(value)][1]

    def element(self, value: Any, message: Message, role: str = "value") -> Any:
        tensor = self._array(value, message)
        # Data are values for all elements of a plate; choices of a run may be those for the drawn ones.
        drawn = [
            role == "choice"
            and loop.rows != loop.size
            and axis < tensor.dim()
            and tensor.shape[axis] == loop.rows
            for axis, loop in enumerate(self.loops)
        ]
        loops = list(zip(self.loops, drawn, strict=True))
        index = tuple(loop.row if own else loop.item for loop, own in loops)
        sizes = [(loop.name, loop.rows if own else loop.size) for loop, own in loops]
        if role == "value":
            values.check_all_elements(tensor, message, [(x.name, x.size, x.rows) for x in self.loops])
        if role in ("value", "choice"):
            return values.full_value(tensor, message, sizes, DTYPE)[index]
        weights = values.weights(tensor, role, message, sizes, DTYPE)
        return weights[index] if weights.dim() else weights

    def observed_value(self, value: Any, message: Message) -> Any:
        return values.full_value(value, message, [], DTYPE)

    def _check_given(self) -> None:
        latent = [n for n, s in self.sites.items() if s.kind == "sample"]
        for name in self.constraints:
            if name not in latent and (name in self.seen or not self.may_be_absent(name)):
                refusals.unknown_choice(name, latent, name in self.seen)
        # Where all are given there may be more, of other programs that were learned with this one.
        complete = bool(self.params) and all(name in self.given_params for name in self.params)
        for name in self.given_params:
            if name not in self.params and not self.branched and not complete:
                refusals.unknown_param(name, self.params)

    # ------------------------------------------------------------ named values and parameters

    def deterministic_at(
        self, name: str, value: Any, dims: Sequence[str], mark: Mark | None, hidden: bool = False
    ) -> Any:
        tensor = checks.as_tensor(value, DTYPE)
        message = Message("deterministic", name, dims=tuple(dims), mark=mark, hidden=hidden)
        self._note("deterministic", message, _element(tensor, torch.zeros(())))
        return value

    def score_factor(self, name: str, x: Any, score: Any) -> None:
        mark = user_mark(3)
        self.register(self.prefix + name, mark)
        self.undefined = refusals.no_score(self.prefix + name, mark)

    def non_centre_automatically(self, message: Message) -> bool:
        if standardise(message.distribution) is None:
            return False
        if self.dependence is None:
            raise NeedsDependence
        return any(self.dependence.on_choices(v) for v in location_and_scale(message.distribution))

    def param(self, name: str, init: Any, constraint: Any = None) -> torch.Tensor:
        full_name, mark = self.prefix + name, user_mark(3)
        start = checks.as_tensor(init, DTYPE)
        known = self.params.get(full_name)
        if known is None:
            known = checks.as_tensor(self.given_params.get(full_name, start), DTYPE)
            rule = constraints.constraint_from("real" if constraint is None else constraint)
            refusals.check_param(full_name, known, start.shape, rule, mark)
            self.params[full_name] = known
        elif known.shape != start.shape:
            refusals.param_with_two_shapes(full_name, known.shape, start.shape, mark)
        return self.stopped(known)

    def module(self, name: str, module: torch.nn.Module) -> Callable[..., Any]:
        params = {k: self.param(f"{name}.{k}", p) for k, p in module.named_parameters()}
        buffers = {k: checks.as_tensor(b, DTYPE) for k, b in module.named_buffers()}
        return lambda *args, **kwargs: torch.func.functional_call(module, {**params, **buffers}, args, kwargs)

    # ------------------------------------------------------------ loops and branches

    def plate(self, name: str, size: Any, subsample: int | None = None) -> PlateLoop:
        mark = user_mark(3)
        size = checks.plate_size(name, size)
        name = self.axis_name(name, size, loop=True)
        rows = checks.subsample_size(name, size, subsample, mark)
        self._declare(name, size, mark)
        items = torch.arange(size)
        if rows != size:
            if name not in self.subsamples:
                generator = torch.Generator().manual_seed(key(self.seed, name, "subsample"))
                self.subsamples[name] = torch.randperm(size, generator=generator)[:rows]
            items = self.subsamples[name]
        return PlateLoop(self.loops, Loop(name, size, rows), items)

    def scan(
        self, name: str, step: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None
    ) -> Any:
        mark = user_mark(3)
        carry, xs = _tensors(init), _tensors(xs)
        spec = pytree.tree_structure(carry)
        steps = steps_of(name, [v for v in pytree.tree_leaves(xs) if v is not None], length, mark)
        name = self.axis_name(name, steps, loop=True)
        self._declare(name, steps, mark)
        outputs: list[Any] = []
        with_output = False
        for t in run_loop(self.loops, Loop(name, steps, steps), torch.arange(steps)):
            x = t if xs is None else pytree.tree_map(lambda v: v[t], xs)  # noqa: B023
            carry, output, with_output = split_result(step(carry, x), spec, name, mark)
            outputs.append(output)
        return (carry, stack(outputs)) if with_output else carry

    def switch(self, index: Any, branches: Sequence[Callable[..., Any]], args: Sequence[Any]) -> Any:
        self.branched = True
        callable_branches(branches, user_mark(3))
        if isinstance(index, torch.Tensor) and index.dim():
            raise StructureError(
                "the condition of cond/switch must be one value",
                where=user_mark(3),
                expected="a scalar; inside a plate each element decides for itself",
                found=f"shape {list(index.shape)}",
                edit="open a plate over the elements, or use torch.where(mask, a, b)",
            )
        return branches[min(max(int(index), 0), len(branches) - 1)](*args)

    @property
    def loop_sizes(self) -> dict[str, tuple[int, Mark | None]]:
        return self.sizes

    def is_open(self, name: str) -> bool:
        return any(loop.name == name for loop in self.loops)

    def _declare(self, name: str, size: int, mark: Mark | None) -> None:
        known = self.sizes.setdefault(name, (size, mark))
        if known[0] != size:
            checks.two_sizes(name, known, (size, mark))
        if self.is_open(name):
            raise StructureError(
                f"plate '{name}' is opened inside itself",
                where=mark,
                edit="give the inner plate a name of its own",
            )


def _element(value: torch.Tensor | None, log_density: torch.Tensor) -> Element:
    """What is not a random choice."""
    zero = torch.zeros(())
    return Element(value, log_density, zero, zero, _NOT)


def _tensors(tree: Any) -> Any:
    return pytree.tree_map(lambda v: v if v is None else checks.as_tensor(v, DTYPE), tree)
