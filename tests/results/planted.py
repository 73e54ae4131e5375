"""Synthetic posteriors with known faults."""

from __future__ import annotations

import numpy as np

from ppl.results import Posterior

SCHOOLS = ["Choate", "Deerfield", "Phillips Andover", "St. Paul's"]


def hierarchical(
    diverging: str = "none", seed: int = 0, chains: int = 4, draws: int = 500, **changes: object
) -> Posterior:
    """mu, tau and theta[school] drawn independently from mu ~ N(4, 3), log tau ~ N(1, 1), theta ~ N(mu, tau).

    `diverging`: "none", "neck" (where tau is small) or "random" (anywhere).
    """
    rng = np.random.default_rng(seed)
    tau = np.exp(rng.normal(1.0, 1.0, (chains, draws)))
    mu = rng.normal(4.0, 3.0, (chains, draws))
    theta = mu[..., None] + tau[..., None] * rng.normal(size=(chains, draws, 4))
    flags = {
        "none": np.zeros_like(tau, dtype=bool),
        "neck": (tau < 0.8) & (rng.random(tau.shape) < 0.5),
        "random": rng.random(tau.shape) < 0.03,
    }[diverging]
    fields: dict[str, object] = {
        "draws": {"mu": mu, "tau": tau, "theta": theta},
        "dims": {"theta": ("school",), "y": ("school",)},
        "coords": {"school": SCHOOLS},
        "sample_stats": {
            "diverging": flags,
            "energy": rng.normal(20, 3, tau.shape),
            "tree_depth": np.full(tau.shape, 3),
        },
        "observed_data": {"y": np.array([28.0, 8.0, -3.0, 7.0])},
        "log_likelihood": {"y": -0.5 * np.square((theta - np.array([28.0, 8.0, -3.0, 7.0])) / 10)},
        "attrs": {"method": "nuts", "seed": seed, "warmup": 500, "target_accept": 0.8},
    }
    return Posterior(**(fields | changes))  # type: ignore[arg-type]
