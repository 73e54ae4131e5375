"""Mean and variance of an objective's gradient, and what they say of its estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

MEMORY = 100
"""Steps over which the gradient's moments are taken."""


def signal_to_noise(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> float:
    """‖E g‖ / √tr Var g of a gradient's estimates g: below about 1, steps are more noise than direction. Of moments
    over n steps it isn't seen below about 1/√n. nan where there is no variance yet.

    Source: Rainforth et al., "Tighter variational bounds are not necessarily better" (2018), section 3.

    >>> signal_to_noise(np.array([3.0, 4.0]), np.array([2.0, 2.0]))
    2.5
    """
    noise = float(variance.sum())
    return math.sqrt(float(mean @ mean) / noise) if noise > 0.0 else float("nan")


class Moments:
    """Mean and variance of gradients [D] with exponential forgetting (West 1979): the first `MEMORY` count alike."""

    def __init__(self) -> None:
        self.mean = self.variance = torch.zeros(0)

    def learn(self, gradient: torch.Tensor, step: int) -> None:
        """The gradient of a step (from 0)."""
        if not len(self.mean):
            self.mean, self.variance = torch.zeros_like(gradient), torch.zeros_like(gradient)
        share = max(1.0 / (step + 1), 1.0 / MEMORY)
        gap = gradient - self.mean
        self.mean = self.mean + share * gap
        self.variance = (1.0 - share) * (self.variance + share * gap * gap)

    def signal_to_noise(self) -> float:
        mean, variance = (m.double().cpu().numpy() for m in (self.mean, self.variance))
        return signal_to_noise(mean, variance)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "gradient_mean": self.mean.cpu().numpy(),
            "gradient_variance": self.variance.cpu().numpy(),
        }

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """What `arrays` gave."""
        self.mean = torch.as_tensor(arrays["gradient_mean"])
        self.variance = torch.as_tensor(arrays["gradient_variance"])
