"""Stages of constant learning rates, each half of the one before: how `ppl.Convergence` is followed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from ppl.compiler.engines.torch_engine import key
from ppl.inference.mcmc.checkpoint import Flat
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.groups import Groups
from ppl.inference.vi.stopping import Convergence
from ppl.results.checks import split_rhat

Array = NDArray[np.float64]
Contrast = Callable[[Sequence[Array], Sequence[float], float], tuple[float, float]]
"""(points, weights, enough) → Σ wᵢ objective(pointᵢ) and its standard error, at most about `enough` / 4 if can be."""

EVERY = 20
"""Of so many iterates one is looked at."""
FIRST = 100
"""Iterates looked at before stationarity is tested for the first time."""
LATER = 1.25
"""So many times as many before it is tested again."""
BATCHES = 8
"""Parts of an average whose spread tells its error."""
MOST = 1 << 22
"""About how many numbers are kept of them; beyond, coordinates and iterates are left out evenly."""
AT_REST = 1e-3
"""Iterates whose objective changes by less than this share of the tolerance stand still, whatever R-hat says."""

_DRAWS, _CHUNKS = 100, 100


class Stages:
    """Follows `Convergence` through a run: see there.

    A stage first settles: iterates u are gathered until the last half of them is stationary. Then it averages: over
    as many steps as that half, and twice as many until the average is good enough. All but `rows`, the iterates of
    this stage, are numbers and vectors [D].
    """

    asked_every = EVERY

    def __init__(self, rule: Convergence, dim: int, contrast: Contrast) -> None:
        self.rule, self.contrast = rule, contrast
        self.watched = np.arange(0, dim, max(1, 2 * dim * FIRST // MOST))
        self.stage, self.average_from, self.batch = 0, None, 0  # `batch`: steps of one
        self.ended: str | None = None
        self.rows: list[Array] = []
        self.looked, self.apart, self.test_at = (
            0,
            1,
            FIRST,
        )  # a row is kept of every `apart` iterates looked at
        self.earlier: Array | None = None  # the iterate when stationarity was last tested
        self.averages: list[Array] = []  # of the first batch, the first two, …
        self.best: Array | None = None  # the last stage's average
        self.gap = float("inf")  # at most so much do the averages of the last two stages differ

    average_from: int | None

    def factor(self, step: int) -> float:
        return 0.5**self.stage

    def ask(self, step: int, u: Array, average: Array) -> bool:
        return self._settle(step, u) if self.average_from is None else self._average(step, average)

    def result(self, u: Array, average: Array) -> Array:
        if self.average_from is not None:
            return average
        return u if self.best is None else self.best

    # ------------------------------------------------------------ the two halves of a stage

    def _settle(self, step: int, u: Array) -> bool:
        self.looked += 1
        if self.looked % self.apart == 0:
            self.rows.append(u[self.watched].copy())
        if self.looked < self.test_at:
            return False
        window = np.array(self.rows[len(self.rows) // 2 :])
        if self._stationary(window) or self._at_rest(u):
            self.average_from, self.batch = step, math.ceil(self.looked / 2 / BATCHES) * EVERY
            self.rows, self.looked, self.apart, self.test_at = [], 0, 1, FIRST
            self.earlier, self.averages = None, []
            return True
        self.test_at, self.earlier = math.ceil(LATER * self.test_at), u.copy()
        if len(self.rows) * len(self.watched) > MOST:
            self.rows, self.apart = self.rows[1::2], 2 * self.apart
        return False

    def _stationary(self, window: Array) -> bool:
        """Whether split R-hat of all that moved [n, D] is small."""
        ratios = split_rhat(window[None])
        return bool(np.nan_to_num(ratios, nan=1.0).max(initial=1.0) <= self.rule.rhat)

    def _at_rest(self, u: Array) -> bool:
        if self.earlier is None:
            return False
        least = AT_REST * self.rule.tolerance
        return self._bound([u, self.earlier], [1.0, -1.0], least) < least

    def _average(self, step: int, average: Array) -> bool:
        assert self.average_from is not None
        if (step - self.average_from) % self.batch:
            return False
        self.averages.append(average.copy())
        if len(self.averages) < BATCHES:
            return False
        if self._error() >= 0.5 * self.rule.tolerance:
            self.averages, self.batch = self.averages[1::2], 2 * self.batch
            return False
        return self._close(average)

    def _error(self) -> float:
        """What the error left in the average ū of B batches costs: a batch's average ūᵢ has B times its variance and
        costs B times as much, so (objective(ū) − Σ objective(ūᵢ) / B) / (B − 1) is an estimate.
        """
        sums = [i * a for i, a in enumerate(self.averages, 1)]
        batches = [after - before for before, after in pairwise([np.zeros_like(sums[0]), *sums])]
        weights = np.array([1.0, *[-1.0 / BATCHES] * BATCHES]) / (BATCHES - 1)
        return self._bound([self.averages[-1], *batches], weights.tolist(), 0.5 * self.rule.tolerance)

    def _close(self, average: Array) -> bool:
        if self.best is not None:
            self.gap = self._bound([average, self.best], [1.0, -1.0], self.rule.tolerance)
        self.best = average.copy()
        if self.gap < self.rule.tolerance:
            self.ended = (
                f"the averages at the last two learning rates differ by less than {self.gap:.2g} in the objective "
                f"(tolerance {self.rule.tolerance:g})"
            )
        else:
            self._halve()
        return True

    def _halve(self) -> None:
        self.stage, self.average_from, self.ended = self.stage + 1, None, None

    def _bound(self, points: Sequence[Array], weights: Sequence[float], enough: float) -> float:
        """The size of a contrast, two standard errors included."""
        value, error = self.contrast(points, weights, enough)
        found = abs(value) + 2.0 * error
        return found if math.isfinite(found) else math.inf

    # ------------------------------------------------------------ checkpoints

    def state(self) -> Flat:
        numbers = {
            "stage": self.stage,
            "average_from": self.average_from,
            "batch": self.batch,
            "looked": self.looked,
            "apart": self.apart,
            "test_at": self.test_at,
            "ended": self.ended,
            "gap": self.gap,
            "earlier": self.earlier,
            "best": self.best,
            "averages": np.array(self.averages),
            "rows": np.array(self.rows).reshape(len(self.rows), len(self.watched)),
        }
        return {f"stop.{name}": value for name, value in numbers.items()}

    def restore(self, flat: Flat) -> None:
        found = {n.removeprefix("stop."): v for n, v in flat.items() if n.startswith("stop.")}
        for name in ("rows", "averages"):
            setattr(self, name, list(found.pop(name, ())))
        for name, value in found.items():
            setattr(self, name, value)
        if self.ended and self.gap >= self.rule.tolerance:  # what was good enough is not now
            self._halve()


def contrasts(compiled: CompiledObjective | Groups, seed: int) -> Contrast:
    """Contrasts between the objective's values at coordinates [D], all on the same noise; of groups, the largest."""
    parts = list(compiled.parts.values()) if isinstance(compiled, Groups) else [compiled]
    places = compiled.coordinates

    def one(
        part: CompiledObjective, points: Sequence[Array], weights: Sequence[float], enough: float
    ) -> tuple[float, float]:
        values = [places.values(places.parted(p, compiled.dtype)) for p in points]
        own = [{n: v[n] for n in part.params} for v in values]
        found = np.zeros(0)
        error = float("inf")
        for chunk in range(_CHUNKS):
            at = key(seed, "contrast", chunk)
            draws = [w * part.sampled(v, at, _DRAWS)[0] for v, w in zip(own, weights, strict=True)]
            found = np.concatenate([found, torch.stack(draws).sum(0).double().cpu().numpy()])
            error = float(found.std()) / math.sqrt(len(found) - 1)
            if not error > enough / 8.0 or abs(found.mean()) - 4.0 * error > enough:
                break
        return float(found.mean()), error

    def largest(points: Sequence[Array], weights: Sequence[float], enough: float) -> tuple[float, float]:
        found = [one(part, points, weights, enough) for part in parts]
        return max(found, key=lambda each: abs(each[0]) + 2.0 * each[1])

    return largest
