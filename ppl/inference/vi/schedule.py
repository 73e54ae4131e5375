"""How a run is laid out: the learning rate of each step, the iterates that are averaged, where it ends."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppl.inference.mcmc.checkpoint import Flat
from ppl.inference.vi.method import VI

Array = NDArray[np.float64]

DECAY = 0.01
"""What an exponential schedule ends at."""


class Plan(Protocol):
    """What a loop asks, and what it tells.

    Attributes:
        average_from: the step (from 0) whose iterate is the first that enters the average; None: there is none.
        asked_every: `ask` is called when a multiple of so many steps is done; 0: never.
        ended: why the run is over, where it is over before its last step.
    """

    average_from: int | None
    asked_every: int
    ended: str | None

    def factor(self, step: int) -> float:
        """What the learning rate is multiplied by at a step (from 0)."""
        ...

    def ask(self, step: int, u: Array, average: Array) -> bool:
        """Look at the coordinates and their average after `step` steps; whether anything is changed by it."""
        ...

    def result(self, u: Array, average: Array) -> Array:
        """The coordinates that the run gives."""
        ...

    def state(self) -> Flat:
        """All that `restore` needs to go on."""
        ...

    def restore(self, flat: Flat) -> None: ...


class Planned:
    """So many steps: the rate falls by a schedule, the last iterates are averaged (`VI.average`)."""

    asked_every = 0
    ended: str | None = None

    def __init__(self, how: VI) -> None:
        self.how = how
        self.average_from = how.steps - round(how.average * how.steps) if how.average else None

    def factor(self, step: int) -> float:
        done = step / max(1, self.how.steps)
        if self.how.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return DECAY**done if self.how.schedule == "exponential" else 1.0

    def ask(self, step: int, u: Array, average: Array) -> bool:
        return False

    def result(self, u: Array, average: Array) -> Array:
        return u if self.average_from is None else average

    def state(self) -> Flat:
        return {}

    def restore(self, flat: Flat) -> None:
        pass
