"""What the objectives share: log weights of independent draws, and means of what is known by its logarithm."""

from __future__ import annotations

import math

import torch

import ppl
from ppl.language.program import Bound


def log_weights(p: Bound, q: Bound, K: int) -> torch.Tensor:
    """log p(x, z) − log q(z) at K draws z ~ q, `[K]`."""
    for _ in (particles := ppl.plate("particle", K)):
        z = ppl.simulate(q)
        log_w = ppl.log_density(p, z) - ppl.log_density(q, z)
    return particles.gather(log_w)  # type: ignore[no-any-return]


def mean(x: torch.Tensor) -> torch.Tensor:
    """The mean of independent particles. As a sum over them, each gets the credit of its own term."""
    return x.sum(0) / x.shape[0]


def log_mean_exp(x: torch.Tensor) -> torch.Tensor:
    """log((1/K) Σ exp xₖ)."""
    return torch.logsumexp(x, 0) - math.log(x.shape[0])
