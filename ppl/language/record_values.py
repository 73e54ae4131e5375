"""The recorder's values from outside: data become inputs of the graph, checked where their numbers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ppl.compiler.graph import Node, topological
from ppl.language import values
from ppl.language.handlers import Message
from ppl.language.known import at_main, known

if TYPE_CHECKING:
    from ppl.language.record import Recorder


@dataclass(frozen=True)
class Missing:
    """Observed data with holes: the data (holes filled with a value of the support) and the flat places
    of the holes.
    """

    data: Node
    places: Node
    count: int


def element(r: Recorder, value: Any, message: Message, role: str = "value") -> Any:
    """See `Runtime.element`."""
    if r.tracer.is_traced(value):
        return value
    loops = r.tracer.loops
    sizes = [(loop.name, loop.size) for loop in loops]
    if role in ("mask", "scale"):
        weight = values.weights(value, role, message, sizes, r.dtype)
        r.tracer.declare(weight, f"{message.name} {role}")
        return r.tracer.lift(r.tracer.element(r.tracer.real(weight))) if weight.dim() else weight
    d = message.distribution
    drawn = [loop.plate.size if loop.rescale != 1.0 and loop.plate else loop.size for loop in loops]
    values.check_all_elements(value, message, [(*s, n) for s, n in zip(sizes, drawn, strict=True)])
    tensor = values.full_value(value, message, sizes, r.dtype)
    holes = values.holes(tensor, message)
    if message.name in r.fed:
        return _of_batch(r, tensor, holes, message)
    if holes is None:
        r.tracer.declare(tensor, message.name)
    traced = r.tracer.lift(r.tracer.element(r.tracer.real(tensor))) if loops and holes is None else None
    if not values.check_support(d, tensor, holes, message, r.tracer, traced):
        message.options["guarded"] = True
    if holes is not None:
        values.require_all_elements(message, [loop.name for loop in loops if loop.rescale != 1.0])
        tensor = torch.where(torch.isnan(tensor), values.filler(d, r.tracer), tensor)
    r.tracer.declare(tensor, message.name)
    full = r.tracer.real(tensor)
    if holes is not None:
        r.missing[message.name] = Missing(
            full, r.tracer.real(r.tracer.declare(holes, f"{message.name} holes")), len(holes)
        )
        message.options["missing"] = len(holes)
    r.observed[message.name] = values.with_nan(tensor, holes)
    return r.tracer.lift(r.tracer.element(full))


def _of_batch(r: Recorder, tensor: torch.Tensor, holes: Any, message: Message) -> torch.Tensor:
    """An observed value that comes with each minibatch. The next one's is not looked at while recording, so the
    density guards the support.
    """
    values.require_complete(message, holes)
    r.observed[message.name] = tensor
    full = r.tracer.batch(tensor, message.name)
    value = r.tracer.lift(r.tracer.element(r.tracer.node(full)))
    values.check_support(message.distribution, tensor, None, message, r.tracer, value)
    if values.guardable(message.distribution):
        message.options["guarded"] = True
    return value


def observed_value(r: Recorder, value: Any, message: Message) -> Any:
    """A value given in the program belongs to one element. Where data alone decide it, it is
    checked and kept like data.
    """
    loops = r.tracer.loops
    each = ", the shape of one element" if loops else ""
    traced = isinstance(value, torch.Tensor) and r.tracer.is_traced(value)
    if traced:
        values.check_shape(value.shape, message, (), each)
        full = known(value, r.tracer)
        if full is None or _changes(r, value) or r.tracer.varies_outside(value):
            if values.guardable(message.distribution):
                message.options["guarded"] = True
            return value
        varying = [loop for loop in loops if loop.name in r.tracer.varies(value)]
    else:
        full, varying = values.as_values(value, message, r.dtype), []
        values.check_shape(full.shape, message, (), each)
    for axis, loop in enumerate(loops):
        if loop not in varying:
            full = full.unsqueeze(axis)
    own = full.shape[len(loops) :]
    return element(r, full.expand((*(loop.size for loop in loops), *own)), message)


def _changes(r: Recorder, value: torch.Tensor) -> bool:
    """Whether the next minibatch brings another value."""
    node = at_main(r.tracer.table[id(value)].node, r.tracer) if r.fed else None
    return node is not None and any(n.attr("role", "") == "batch" for n in topological([node]))
