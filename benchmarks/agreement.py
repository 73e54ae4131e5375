"""What draws are worth, and whether two sets of them can come from one posterior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import arviz as az
import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Estimates:
    """Means of all scalars of a posterior, with their Monte Carlo errors; constants are left out.

    Args:
        names: `beta[1]`, indices from 1.
        mean, sd, mcse: [n].
        min_ess: the smallest bulk effective sample size of a scalar (Vehtari et al. 2021), of all chains.
        max_rhat: the largest R-hat.
    """

    names: tuple[str, ...]
    mean: Array
    sd: Array
    mcse: Array
    min_ess: float
    max_rhat: float


def scalars(draws: Mapping[str, Array]) -> tuple[tuple[str, ...], Array]:
    """All scalars that vary, and their draws [n, chain, draw]."""
    names: list[str] = []
    columns = []
    for name, array in draws.items():
        for index in np.ndindex(*array.shape[2:]):
            column = array[(slice(None), slice(None), *index)]
            if np.ptp(column) > 1e-12 * np.abs(column).max():
                names.append(name + (f"[{','.join(str(i + 1) for i in index)}]" if index else ""))
                columns.append(column)
    return tuple(names), np.stack(columns)


def estimate(draws: Mapping[str, Array]) -> Estimates:
    """Means, errors and effective sizes of draws [chain, draw, …] by name."""
    names, columns = scalars(draws)
    data = az.convert_to_dataset({"x": np.moveaxis(columns, 0, -1)})

    def per_scalar(function: Any, **options: Any) -> Array:
        return np.asarray(function(data, **options)["x"], np.float64)

    return Estimates(
        names,
        columns.mean((1, 2)),
        columns.std((1, 2)),
        per_scalar(az.mcse, method="mean"),
        float(per_scalar(az.ess, method="bulk").min()),
        float(per_scalar(az.rhat).max()),
    )


def largest_difference(a: Estimates, b: Estimates) -> tuple[float, str]:
    """The largest |mean − mean| of a scalar that both have, in the difference's errors, and which it is."""
    known = zip(b.mean, b.mcse, strict=True)
    return _largest(a, dict(zip(b.names, known, strict=True)))


def from_reference(a: Estimates, reference: Mapping[str, Mapping[str, float]]) -> tuple[float, str]:
    """The same against a reference posterior's means and Monte Carlo errors."""
    return _largest(a, {name: (r["mean"], r["mcse_mean"]) for name, r in reference.items()})


def _largest(a: Estimates, others: Mapping[str, tuple[float, float]]) -> tuple[float, str]:
    worst = (0.0, "")
    for name, mean, error in zip(a.names, a.mean, a.mcse, strict=True):
        if name in others:
            other, other_error = others[name]
            worst = max(worst, (abs(mean - other) / float(np.hypot(error, other_error)), name))
    return worst
