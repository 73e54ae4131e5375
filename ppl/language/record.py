"""The recorder: the runtime that turns a bound program into a Graph by running its function once on
stand-ins.

Plates run their body once with a symbolic index; a scan's step and a branch run once in a scope of their
own (`record_regions`).
Data stay real while the function runs, so whatever is computed from data alone is computed once and here.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from ppl.compiler.graph import Graph, Node, Plate, Type, topological
from ppl.compiler.ops import make, make_input
from ppl.compiler.ops.effects import Site, effect
from ppl.compiler.specs import take_apart
from ppl.compiler.tracer import GuardMode
from ppl.distributions import family_of
from ppl.distributions.constraints import constraint_from
from ppl.errors import DataError, Location, Mark, RecordingError, StructureError, user_mark
from ppl.language import checks, record_regions, record_values, strategies, surrogates, values
from ppl.language.handlers import Message
from ppl.language.known import known
from ppl.language.program import Bound
from ppl.language.record_plates import PlateLoop
from ppl.language.record_values import Missing
from ppl.language.refusals import param_with_two_shapes
from ppl.language.runtime import Runtime, activated
from ppl.language.scopes import Loop, ScopedTracer


@dataclass(frozen=True)
class Param:
    """A parameter: its starting value, constraint and input node."""

    init: torch.Tensor
    constraint: Any
    node: Node


@dataclass(frozen=True, eq=False)
class Recorded:
    """A recorded program. `data` holds the tensors of the graph's data inputs; `subsamples` how many elements a plate
    is to draw, and of how many; `returned` rebuilds the return value.
    """

    bound: Bound
    graph: Graph
    data: dict[Node, torch.Tensor]
    params: dict[str, Param] = field(default_factory=dict)
    missing: dict[str, Missing] = field(default_factory=dict)
    subsamples: dict[str, tuple[int, int]] = field(default_factory=dict)
    observed: dict[str, torch.Tensor] = field(default_factory=dict)
    returned: Any = None
    dtype: torch.dtype = torch.float64
    marks: dict[str, Mark | None] = field(default_factory=dict)


class _OtherDtype(Exception):
    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


def record(
    bound: Bound, dtype: torch.dtype | None = None, whole: bool = False, fewer: bool = False
) -> Recorded:
    """Record a bound program.

    Args:
        bound: the program and its arguments.
        dtype: of all floating-point values; None: float64, or an nn.Module's own where one takes part.
        whole: with all elements of subsampled plates.
        fewer: likewise, and there may be fewer of them than a plate draws.

    Raises:
        RecordingError: the function branches on, or reads out, a random value.
        StructureError: sites, plates or regions contradict each other.
        DataError: observed values don't fit.
    """
    if bound.program.dynamic:
        raise RecordingError(
            f"'{bound.name}' is a dynamic program: it can't be recorded",
            expected="a program whose structure doesn't depend on random values",
            found="@ppl.model(dynamic=True)",
            edit="remove dynamic=True, or use a method that runs on the interpreter",
        )
    return record_with(_Fewer if fewer else _Whole if whole else Recorder, bound, dtype)


def record_with(recorder: type[Recorder], bound: Bound, dtype: torch.dtype | None) -> Recorded:
    """Record by this recorder, in the dtype that is asked for or that an nn.Module brings."""
    try:
        return recorder(dtype or torch.float64, dtype is None).record(bound)
    except _OtherDtype as other:
        return recorder(other.dtype, False).record(bound)


class Recorder(Runtime):
    records = True
    whole = False
    """Whether subsampled plates have all their elements."""
    fewer = False
    """Whether these may be fewer than a plate draws."""
    fed: frozenset[str] = frozenset()
    """Names of the arguments and observed sites that come with each minibatch: inputs, whose numbers change."""

    def __init__(self, dtype: torch.dtype, flexible: bool) -> None:
        super().__init__()
        self.dtype = dtype
        self.flexible = flexible
        self.tracer = ScopedTracer(dtype)
        self.params: dict[str, Param] = {}
        self.missing: dict[str, Missing] = {}
        self.opened: dict[str, tuple[int, int]] = {}  # elements that a plate draws, and all of them
        self.numbers: dict[str, Node] = {}
        self.observed: dict[str, torch.Tensor] = {}
        self.marks: dict[str, Mark | None] = {}
        self.plates: dict[str, tuple[int, Mark | None]] = {}
        self.boxes = 0  # black boxes that were called so far

    def record(self, bound: Bound) -> Recorded:
        arguments = {k: self.as_data(v, k) for k, v in bound.arguments.items()}
        prepared = Bound(bound.program, arguments, bound.handlers)
        with (
            warnings.catch_warnings(),
            activated(self, self.dtype),
            torch.inference_mode(False),
            torch.no_grad(),
        ):
            warnings.simplefilter("ignore", UserWarning)
            with self.tracer, GuardMode(self.tracer), _watched_randomness(bound):
                value = self.run(prepared)
                if self.tracer.here.loops:
                    self._left_open(self.tracer.here.loops[-1])
                leaves, spec = pytree.tree_flatten(value)
                positions = [i for i, v in enumerate(leaves) if isinstance(v, torch.Tensor)]
                outputs = tuple(self.tracer.node(leaves[i]) for i in positions)
        main = self.tracer.main
        inputs = (
            *self.tracer.inputs,
            *(p.node for p in self.params.values()),
            *self.numbers.values(),
        )
        return Recorded(
            bound,
            Graph(tuple(inputs), outputs, tuple(main.effects)),
            dict(self.tracer.inputs),
            self.params,
            self.missing,
            {name: counts for name, counts in self.opened.items() if counts[0] < counts[1]},
            self.observed,
            (leaves, spec, positions),
            self.dtype,
            self.marks,
        )

    def as_data(self, value: Any, name: str) -> Any:
        """Arguments: arrays become tensors of the working dtype, declared as data under the
        argument's name.
        """

        def convert(path: Any, leaf: Any) -> Any:
            if not checks.is_array(leaf) or (isinstance(leaf, torch.Tensor) and self.tracer.is_traced(leaf)):
                return leaf
            try:
                tensor = checks.as_tensor(leaf, self.dtype)
            except DataError as error:
                error.headline = f"argument '{name}': {error.headline}"
                raise
            if name in self.fed:
                return self.tracer.batch(tensor, name)
            return self.tracer.declare(tensor, name + pytree.keystr(path).replace("'", ""))

        return pytree.tree_map_with_path(convert, value)

    # ------------------------------------------------------------ sites

    def register(self, name: str, mark: Mark | None) -> None:
        if name in self.marks:
            checks.duplicate(name, mark, self.marks[name])
        self.marks[name] = mark
        self.names.append(name)

    @property
    def context(self) -> tuple[Plate, ...]:
        return tuple(loop.plate for loop in self.tracer.here.loops if loop.plate is not None)

    def perform(self, message: Message) -> Any:
        node = self._factor(message) if message.kind == "factor" else self._site(message)
        self.tracer.here.effects.append(node)
        if message.kind == "factor":
            return None
        return message.value if message.value is not None else self.tracer.lift(node)

    def _weights(self, message: Message) -> tuple[Node | None, Any]:
        mask = self._node(message.mask) if message.mask is not None else None
        scale = message.scale
        for loop in self.tracer.loops:
            if loop.rescale != 1.0:
                scale = loop.rescale if scale is None else scale * loop.rescale
        return mask, (self._node(scale) if isinstance(scale, torch.Tensor) else scale)

    def _node(self, value: Any) -> Node:
        if isinstance(value, torch.Tensor):
            return self.tracer.node(value)
        try:
            return self.tracer.node(torch.tensor(value))
        except (TypeError, ValueError, RuntimeError):
            raise DataError(
                "this value is not a number",
                where=user_mark(2),
                expected="a number or a tensor",
                found=f"{type(value).__name__}: {value!r}"[:80],
                edit="give a number or a tensor; lists of tensors go through torch.stack",
            ) from None

    def _factor(self, message: Message) -> Node:
        weight = self._node(message.log_weight)
        numbers = (
            known(message.log_weight, self.tracer)
            if isinstance(message.log_weight, torch.Tensor)
            else torch.tensor(message.log_weight)
        )
        values.check_weight(numbers, message)
        mask, scale = self._weights(message)
        return effect(
            "factor", Site(message.name), [weight], weight.type, self.context, mask, scale, message.mark
        )

    def _site(self, message: Message) -> Node:
        d = message.distribution
        checks.check_parameters(d, message, self.tracer)
        tensors: list[torch.Tensor] = []
        spec = take_apart(d, tensors)
        params = [self.tracer.node(t) for t in tensors]
        family = family_of(d)
        dtype = torch.int64 if family.value_dtype == "int64" else self.dtype
        shape = tuple(d.batch_shape) + tuple(d.event_shape)
        options = tuple(sorted((k, v) for k, v in message.options.items()))
        if message.hidden:
            options = (*options, ("hidden", True))
        grad, reads = strategies.apart(message, self)
        site = Site(
            message.name,
            spec,
            message.dims,
            grad,
            len(d.event_shape),
            fixed=message.fixed,
            options=options,
        )
        mask, scale = self._weights(message)
        if message.value is not None and message.options.get("missing") is None:
            value = self.tracer.node(message.value)
            if message.fixed:
                return effect(
                    "deterministic", site, [value], value.type, self.context, None, None, message.mark
                )
            return effect(
                "observe", site, [value, *params], Type(shape, dtype), self.context, mask, scale, message.mark
            )
        message.value = None
        type_ = Type(shape, dtype)
        return effect("sample", site, params, type_, self.context, mask, scale, message.mark, reads)

    def element(self, value: Any, message: Message, role: str = "value") -> Any:
        return record_values.element(self, value, message, role)

    def observed_value(self, value: Any, message: Message) -> Any:
        return record_values.observed_value(self, value, message)

    def deterministic_at(self, name: str, value: Any, dims: Sequence[str], mark: Mark | None) -> Any:
        node = self._node(value)
        site = Site(name, dims=tuple(dims))
        self.tracer.here.effects.append(
            effect("deterministic", site, [node], node.type, self.context, mark=mark)
        )
        return value

    def score_factor(self, name: str, x: Any, score: Any) -> None:
        self.register(self.prefix + name, user_mark(3))
        args = [self.tracer.node(x), self._node(score)]
        node = effect(
            "score_factor", Site(self.prefix + name), args, args[0].type, self.context, mark=user_mark(3)
        )
        self.tracer.here.effects.append(node)

    def non_centre_automatically(self, message: Message) -> bool:
        from ppl.language.reparam import standardise

        if standardise(message.distribution) is None:
            return False
        tensors: list[torch.Tensor] = []
        take_apart(message.distribution, tensors)
        nodes = [self.tracer.node(t) for t in tensors if self.tracer.is_traced(t)]
        return any(
            n.op == "sample" or n.attr("role", "").startswith(("carry", "capture"))
            for n in topological(nodes)
        )

    def black_box(
        self, function: Any, args: Sequence[Any], shape: tuple[int, ...], step: float | None
    ) -> Any:
        self.boxes += 1
        return surrogates.called(self, function, args, shape, step, self.boxes)

    # ------------------------------------------------------------ parameters and modules

    def param(self, name: str, init: Any, constraint: Any = None) -> Any:
        full_name = self.prefix + name
        tensor = checks.as_tensor(init, self.dtype)
        known = self.params.get(full_name)
        if known is not None and known.init.shape != tensor.shape:
            param_with_two_shapes(full_name, known.init.shape, tensor.shape, user_mark(3))
        if known is None:
            node = make_input(full_name, tensor.shape, tensor.dtype, (), "param")
            rule = constraint_from(constraint) if constraint is not None else None
            known = self.params[full_name] = Param(tensor.detach(), rule, node)
        return self.stopped(self.tracer.lift(self.tracer.capture(known.node, self.tracer.main)))

    def module(self, name: str, module: torch.nn.Module) -> Callable[..., Any]:
        named = list(module.named_parameters())
        dtypes = {p.dtype for _, p in named if p.is_floating_point()}
        if self.flexible and len(dtypes) == 1 and self.dtype not in dtypes:
            raise _OtherDtype(dtypes.pop())
        traced = {k: self.param(f"{name}.{k}", p) for k, p in named}
        buffers = {k: checks.as_tensor(b, self.dtype) for k, b in module.named_buffers()}

        def call(*args: Any, **kwargs: Any) -> Any:
            return torch.func.functional_call(module, {**traced, **buffers}, args, kwargs)

        return call

    # ------------------------------------------------------------ loops and regions

    def plate(self, name: str, size: Any, subsample: int | None = None) -> PlateLoop:
        size = checks.plate_size(name, size)
        return PlateLoop(self, self.axis_name(name, size, loop=True), size, subsample, user_mark(3))

    @property
    def loop_sizes(self) -> dict[str, tuple[int, Mark | None]]:
        return self.plates

    def is_open(self, name: str) -> bool:
        return any(loop.name == name for loop in self.tracer.here.loops)

    def scan(
        self, name: str, step: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None
    ) -> Any:
        return record_regions.scan(self, name, step, init, xs, length)

    def switch(self, index: Any, branches: Sequence[Callable[..., Any]], args: Sequence[Any]) -> Any:
        return record_regions.switch(self, index, branches, args)

    def _left_open(self, loop: Loop) -> None:
        raise StructureError(
            f"plate '{loop.name}' was left by break or return",
            where=self.plates[loop.name][1],
            expected="the body runs for every element, independently",
            found="a body that ends the loop itself",
            edit="let the loop end; use .mask(…) to leave elements out",
        )


class _Whole(Recorder):
    whole = True


class _Fewer(_Whole):
    fewer = True


@contextlib.contextmanager
def _watched_randomness(bound: Bound) -> Iterator[None]:
    """Draws from Python's or NumPy's global generators would be frozen into the graph without a trace."""
    python, numpy = random.getstate(), np.random.get_state(legacy=False)["state"]
    yield
    after = np.random.get_state(legacy=False)["state"]
    moved = "np.random" if after["pos"] != numpy["pos"] or (after["key"] != numpy["key"]).any() else ""
    moved = "random" if random.getstate() != python else moved
    if moved:
        code = getattr(bound.program.function, "__code__", None)
        raise RecordingError(
            f"unnamed randomness: {bound.name} draws from {moved} values that the program doesn't name",
            where=Location(code.co_filename, code.co_firstlineno) if code is not None else None,
            expected="every random choice is a site",
            found=f"{moved} was used while the program ran",
            edit='x = ppl.sample("x", Normal(0.0, 1.0)), or draw before and pass the values as an argument',
        )


__all__ = ["Missing", "Param", "Recorded", "Recorder", "make", "record", "record_with"]
