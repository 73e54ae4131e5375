"""Calls of operators: shapes from hypothesis, values in the operator's domain from a seeded generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import OPERATORS, make, make_input

Make = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Sample:
    """One call `op(*operands, **attrs)`.

    A tensor operand is a function that draws fresh values of one shape and dtype.
    """

    op: str
    operands: tuple[Any, ...]
    attrs: dict[str, Any] = field(default_factory=dict)
    build: Callable[..., Node] | None = None
    reference: Callable[..., Any] | None = None

    @property
    def makers(self) -> list[Make]:
        return [a for a in self.operands if callable(a)]

    def _arguments(self, tensors: Sequence[Any]) -> list[Any]:
        supply = iter(tensors)
        return [next(supply) if callable(a) else a for a in self.operands]

    def run(self, *tensors: torch.Tensor) -> Any:
        """What torch itself makes of it."""
        return (self.reference or OPERATORS[self.op].run)(*self._arguments(tensors), **self.attrs)

    def graph(self) -> Graph:
        example = [m() for m in self.makers]
        inputs = tuple(make_input(f"a{i}", v.shape, v.dtype) for i, v in enumerate(example))
        build = self.build or (lambda *args, **attrs: make(self.op, *args, **attrs))
        return Graph(inputs, (build(*self._arguments(inputs), **self.attrs),))


class Draw:
    """hypothesis' `draw` with the pieces that calls are made of."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.generator = torch.Generator().manual_seed(self.int(0, 10**6))

    def int(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def choose(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def bool(self) -> bool:
        return self.draw(st.booleans())

    def shape(self, low: int = 0, high: int = 3, smallest: int = 0, largest: int = 3) -> tuple[int, ...]:
        return tuple(self.int(smallest, largest) for _ in range(self.int(low, high)))

    def shapes(self, count: int) -> tuple[tuple[int, ...], ...]:
        strategy = mutually_broadcastable_shapes(
            num_shapes=count, min_dims=0, max_dims=3, min_side=0, max_side=3
        )
        return self.draw(strategy).input_shapes

    def dims(self, rank: int) -> tuple[int, ...]:
        return tuple(sorted(self.draw(st.sets(st.integers(-rank, -1))))) if rank else ()

    def dim(self, rank: int) -> int:
        return self.int(-rank, -1)

    def reals(self, shape: Sequence[int], low: float = -2.0, high: float = 2.0) -> Make:
        return lambda: (
            torch.rand(tuple(shape), generator=self.generator, dtype=torch.float64) * (high - low) + low
        )

    def ints(self, shape: Sequence[int], low: int, high: int) -> Make:
        """low ≤ value < high."""
        return lambda: torch.randint(low, max(high, low + 1), tuple(shape), generator=self.generator)

    def bools(self, shape: Sequence[int]) -> Make:
        return lambda: torch.rand(tuple(shape), generator=self.generator) < 0.5

    def numbers(self, shape: Sequence[int], low: float, high: float) -> Make:
        """Reals that keep 0.1 away from zero."""

        def make_values() -> torch.Tensor:
            v = self.reals(shape, low, high)()
            return torch.where(v.abs() < 0.1, torch.where(v < 0, v - 0.2, v + 0.2), v)

        return make_values


SAMPLES: dict[str, Callable[[Draw], Sample]] = {}
"""For every operator of the Graph a generator of calls: what `samples.py` and its neighbours add."""


def sample(*names: str) -> Callable[[Callable[[Draw, str], Sample]], Callable[[Draw, str], Sample]]:
    def register(f: Callable[[Draw, str], Sample]) -> Callable[[Draw, str], Sample]:
        for name in names:
            SAMPLES[name] = lambda d, name=name: f(d, name)
        return f

    return register
