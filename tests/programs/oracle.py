"""The interpreter as an oracle for compiled densities: it reads each choice off the same flat unconstrained
vector.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch.distributions import constraints

from ppl.distributions.bijectors import biject_to
from ppl.language.compiled import Compiled
from ppl.language.dependence import NeedsDependence
from ppl.language.handlers import Message
from ppl.language.interpret import Interpreter


class FromVector(Interpreter):
    """Sites take the value that the bijector onto their support gives at their place in `x`."""

    def __init__(self, compiled: Compiled, x: torch.Tensor, track: bool = False) -> None:
        super().__init__({}, draw=False, track=track)
        self.parts = {p.name: p for p in compiled.parts}
        self.x = x
        self.jacobian = torch.zeros((), dtype=x.dtype)
        self.visited: dict[str, int] = {}
        self.filled: dict[str, torch.Tensor] = {}
        self.compiled = compiled

    def _given(self, message: Message, *_: object) -> Iterator[torch.Tensor]:
        if message.name not in self.parts:
            return
        part = self.parts[message.name]
        u = self.x[part.start : part.stop].reshape(part.shape)
        if part.missing is not None:
            yield self._holes(message, u)[self.index]
            return
        t = biject_to(_support(message.distribution))
        v = u[self.index]
        value = t(v)
        self.jacobian = self.jacobian + t.log_abs_det_jacobian(v, value).sum()
        self.visited[message.name] = self.visited.get(message.name, 0) + v.numel()
        yield value.expand(message.distribution.batch_shape + message.distribution.event_shape)

    def _holes(self, message: Message, u: torch.Tensor) -> torch.Tensor:
        if message.name not in self.filled:
            t = biject_to(_support(message.distribution))
            value = t(u)
            self.jacobian = self.jacobian + t.log_abs_det_jacobian(u, value).sum()
            missing = self.compiled.recorded.missing[message.name]
            places = self.compiled.recorded.data[missing.places]
            full = self.compiled.recorded.data[missing.data]
            self.filled[message.name] = full.reshape(-1).index_put((places,), value).reshape(full.shape)
        return self.filled[message.name]

    def _check_given(self) -> None:
        pass


def _support(d):
    support = d.support
    if isinstance(support, constraints.independent) and hasattr(d, "base_dist"):
        return support.base_constraint
    return support


def log_density(compiled: Compiled, x: torch.Tensor) -> torch.Tensor:
    """log p + log |Jacobian| by the interpreter. Coordinates of sites in branches not taken are
    standard normal (as the compiled
    density has it, so that it stays proper)."""
    try:
        interpreter = FromVector(compiled, x)
        trace = interpreter.trace(compiled.bound)
    except NeedsDependence:  # .reparam() asks which values depend on random choices
        interpreter = FromVector(compiled, x, track=True)
        trace = interpreter.trace(compiled.bound)
    total = trace.log_density + interpreter.jacobian
    for part in compiled.parts:
        if part.layout.optional:
            total = total + _unvisited(part, interpreter, x)
    return total


def _unvisited(part, interpreter: FromVector, x: torch.Tensor) -> torch.Tensor:
    u = x[part.start : part.stop].reshape(part.shape)
    site = interpreter.sites.get(part.name)
    present = set(site.elements) if site is not None else set()
    total = torch.zeros((), dtype=x.dtype)
    loops = part.layout.sizes
    for index in (
        torch.cartesian_prod(*[torch.arange(n) for n in loops]).reshape(-1, len(loops)).tolist()
        if loops
        else [[]]
    ):
        if tuple(index) not in present:
            v = u[tuple(index)]
            total = total - 0.5 * (v**2).sum() - 0.5 * math.log(2 * math.pi) * v.numel()
    return total
