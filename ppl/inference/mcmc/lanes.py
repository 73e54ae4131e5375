"""Chains as coroutines, and the driver that evaluates several of them with one call of the target.

An algorithm is a Python generator that yields a position `q` [D] where it wants the log density and is sent
`(logp, grad)`, a float and an array [D]. Chains so written advance independently: one may be deep in a tree
while its neighbour begins a new transition. The driver gathers the pending requests into an array of constant
shape and calls the target once per round.

The shape is constant on purpose: a matrix product over 3 rows may differ in its last bit from one over 4, so
chain c always sits in lane c mod 4 of block c div 4, whatever else runs beside it, and lanes without a chain
hold a copy of a neighbour's point.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ppl.errors import PplError

Array = NDArray[np.float64]
T = TypeVar("T")
# Yields positions [D], receives (log density, gradient [D]), returns a T.
Coroutine = Generator[Array, tuple[float, Array], T]

LANES = 4
"""The width of every call of a target."""


class Target(Protocol):
    """A log density on ℝᴰ with its gradient, evaluated at `LANES` points at once.

    `value_and_grad(q)` takes float64 `q` [LANES, D] and returns `(logp [LANES], grad [LANES, D])` in float64.
    Row w of the result may depend on row w of `q` only. It must not keep or change `q` (the driver reuses
    it). Outside the support it returns a `logp` of -inf or nan instead of raising.
    """

    @property
    def dim(self) -> int: ...

    def value_and_grad(self, q: Array) -> tuple[Array, Array]: ...


class _Block:
    """Up to `LANES` coroutines and the array that holds their pending requests."""

    __slots__ = ("lanes", "requests", "points", "_target", "_dim")

    def __init__(self, target: Target, dim: int) -> None:
        self.lanes: list[tuple[int, int, Coroutine]] = []  # (lane, chain, coroutine)
        self.points = np.zeros((LANES, dim))
        self._target = target
        self._dim = dim

    def start(self, lane: int, chain: int, coroutine: Coroutine[T], results: dict[int, T]) -> None:
        try:
            request = next(coroutine)
        except StopIteration as stop:
            results[chain] = stop.value
            return
        if request.shape != (self._dim,):
            raise PplError(
                f"chain {chain} asks for the log density at a point of the wrong shape",
                expected=f"[{self._dim}]",
                found=str(list(request.shape)),
            )
        self.lanes.append((lane, chain, coroutine))
        self.points[lane] = request

    def fill_idle(self) -> None:
        active = {lane for lane, _, _ in self.lanes}
        first = min(active)
        for lane in range(LANES):
            if lane not in active:
                self.points[lane] = self.points[first]

    def round(self, results: dict[int, T]) -> bool:
        """One call of the target for all pending requests; True while a coroutine still runs."""
        points = self.points
        values, gradients = self._target.value_and_grad(points)
        # Coroutines keep rows of the gradient: a copy, in case the target reuses its buffer.
        gradients = np.array(gradients, dtype=np.float64)
        logps = values.tolist()
        finished = False
        for lane, chain, coroutine in self.lanes:
            try:
                points[lane] = coroutine.send((logps[lane], gradients[lane]))
            except StopIteration as stop:
                results[chain] = stop.value
                finished = True
        if finished:
            self.lanes = [entry for entry in self.lanes if entry[1] not in results]
        if len(self.lanes) not in (0, LANES):
            self.fill_idle()
        return bool(self.lanes)


def drive(
    target: Target, coroutines: Mapping[int, Coroutine[T]], after_round: Callable[[], None] | None = None
) -> dict[int, T]:
    """Run the coroutine of every chain to its end and return what each returned.

    Args:
        target: the log density.
        coroutines: chain number → coroutine; the number decides the lane.
        after_round: called after every round of target calls (progress, checkpoints).

    Returns:
        chain number → the coroutine's return value.

    >>> class Parabola:
    ...     dim = 1
    ...     def value_and_grad(self, q):
    ...         return -0.5 * (q * q).sum(1), -q
    >>> def ask(x):
    ...     logp, grad = yield np.array([x])
    ...     return logp
    >>> drive(Parabola(), {0: ask(1.0), 5: ask(2.0)})
    {0: -0.5, 5: -2.0}
    """
    dim = target.dim
    results: dict[int, T] = {}
    blocks: dict[int, _Block] = {}
    with np.errstate(all="ignore"):  # overflow far from the mode is expected: the algorithms test for it
        for chain in sorted(coroutines):
            block = blocks.setdefault(chain // LANES, _Block(target, dim))
            block.start(chain % LANES, chain, coroutines[chain], results)
        running = [block for block in blocks.values() if block.lanes]
        for block in running:
            block.fill_idle()
        while running:
            finished = False
            for block in running:
                finished |= not block.round(results)
            if after_round is not None:
                after_round()
            if finished:
                running = [block for block in running if block.lanes]
    return results
