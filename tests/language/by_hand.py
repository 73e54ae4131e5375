"""Densities written out by hand, and the model that several tests share."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import HalfNormal, Normal

DTYPE = torch.float64


def t(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=DTYPE)


def normal(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> float:
    """The sum of normal log densities, by NumPy."""
    z = (np.asarray(x, float) - np.asarray(loc, float)) / np.asarray(scale, float)
    return float(np.sum(-0.5 * z**2 - np.log(scale) - 0.5 * math.log(2 * math.pi)))


def close(found: Any, expected: Any) -> None:
    assert float(found) == pytest.approx(float(expected), rel=1e-12, abs=1e-12)


@ppl.model
def schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfNormal(5.0))
    for j in ppl.plate("school", sigma.shape[0]):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


SIGMA, Y = np.array([15.0, 10.0, 16.0]), np.array([28.0, 8.0, -3.0])
