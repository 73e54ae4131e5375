"""An optimiser between two steps, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppl.errors import PplError
from ppl.inference.mcmc.native.layout import aligned, padded
from ppl.inference.vi.moments import signal_to_noise
from ppl.inference.vi.native import layout as at

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """All that the next step depends on, beside the options; vectors are [D].

    Args:
        step: steps done.
        u: the parameters.
        last_finite: where the last finite estimate was made: the parameters one step before.
        mean, square: Adam's moving averages of the gradient and of its square; `mean` is the velocity of
            gradient descent.
        average: of the iterates that are averaged; before there are any, u.
        gradient_mean, gradient_variance: of the objective's gradient, over the steps that are remembered.

    >>> State.start([1.0, 2.0]).average.tolist()
    [1.0, 2.0]
    """

    step: int
    u: Array
    last_finite: Array
    mean: Array
    square: Array
    average: Array
    gradient_mean: Array
    gradient_variance: Array

    @classmethod
    def start(cls, u: ArrayLike) -> State:
        """At rest at u, before the first step."""
        point = np.array(u, np.float64)
        if point.ndim != 1 or point.size == 0 or not np.isfinite(point).all():
            raise PplError(
                "the optimisation can't start here",
                expected="a vector of finite numbers, one at least",
                found=f"shape {list(point.shape)}, {int((~np.isfinite(point)).sum())} numbers not finite",
            )
        rest = [np.zeros_like(point) for _ in range(5)]
        return cls(0, point, point.copy(), rest[0], rest[1], point.copy(), rest[2], rest[3])

    @property
    def signal_to_noise(self) -> float:
        """Of the gradients that are remembered, see `moments.signal_to_noise`.

        >>> State.start([0.0]).signal_to_noise
        nan
        """
        return signal_to_noise(self.gradient_mean, self.gradient_variance)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything as arrays by name, for `numpy.savez`."""
        found = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        return found | {"step": np.array(self.step, np.int64)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> State:
        """The state that `arrays` gave.

        >>> State.of_arrays(State.start([3.0]).arrays()).u.tolist()
        [3.0]
        """
        vectors = {f.name: np.array(arrays[f.name], np.float64) for f in fields(cls) if f.name != "step"}
        return cls(step=int(arrays["step"]), **vectors)

    def packed(self) -> Array:
        """The vectors as the loop works on them: [ROWS · n]."""
        n = padded(len(self.u))
        rows = aligned(at.ROWS * n)
        for row, vector in zip(rows.reshape(at.ROWS, n), self._vectors(), strict=True):
            row[: len(vector)] = vector
        return rows

    @classmethod
    def unpacked(cls, step: int, rows: Array, dim: int) -> State:
        """The state that stands in the loop's arrays."""
        return cls(step, *rows.reshape(at.ROWS, padded(dim))[:, :dim].copy())

    def _vectors(self) -> tuple[Array, ...]:
        """In the order of the rows of `layout.py`."""
        moments = (self.mean, self.square)
        return self.u, self.last_finite, *moments, self.average, self.gradient_mean, self.gradient_variance
