"""What happens between two steps of an optimisation: it is shown, and its state is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ppl.inference.mcmc.checkpoint import Flat
from ppl.inference.vi.checkpoint import Keeper
from ppl.results.progress import ChainProgress, short

Array = NDArray[np.float64]

PROGRESS_SECONDS = 0.1
WINDOW = 100
"""Steps over which what is shown is smoothed."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How an optimisation goes.

    Args:
        step: steps done.
        value: the objective, the mean of the last `WINDOW` estimates.
        gradient_norm: the mean norm of the last `WINDOW` gradients.
        signal_to_noise: of the gradient.
    """

    step: int
    value: float
    gradient_norm: float
    signal_to_noise: float

    @classmethod
    def of(cls, step: int, values: Array, norms: Array, signal_to_noise: float) -> Trend:
        """From estimates and norms of their gradients, the last `WINDOW` at least."""
        return cls(step, float(values[-WINDOW:].mean()), float(norms[-WINDOW:].mean()), signal_to_noise)

    def line(self, objective: str, steps: int) -> ChainProgress:
        """As a line of the display."""
        note = f"{objective} {self.value:.5g} · ‖∇‖ {short(self.gradient_norm)}"
        if self.signal_to_noise == self.signal_to_noise:
            note += f" · SNR {self.signal_to_noise:.2g}"
        return ChainProgress(0, self.step, steps, phase="", note=note, name="vi")


@dataclass
class Watch:
    """Called by a loop after a step, or after some, as often as it likes.

    Args:
        show: called with a `Trend` every tenth of a second.
        keeper: of checkpoints.
    """

    show: Callable[[Trend], None]
    keeper: Keeper
    _shown: float = float("-inf")
    _kept: float = field(default_factory=perf_counter)

    def __call__(
        self,
        engine: str,
        step: int,
        values: Array,
        norms: Array,
        signal_to_noise: Callable[[], float],
        state: Callable[[], Flat],
    ) -> None:
        """After `step` steps.

        Args:
            values, norms: estimates and norms of their gradients, the last `WINDOW` at least.
            signal_to_noise, state: asked for where they are needed.
        """
        now = perf_counter()
        if len(values) and now - self._shown >= PROGRESS_SECONDS:
            self._shown = now
            self.show(Trend.of(step, values, norms, signal_to_noise()))
        if now - self._kept >= self.keeper.every:
            self.keeper.keep(engine, state())
            self._kept = perf_counter()
