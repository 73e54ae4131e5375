"""Automatic guides under their public name: `ppl.guides.mean_field(model(x).condition(y=y))`."""

from ppl.inference.vi.guides import (
    delta,
    flow,
    flows,
    full_rank,
    laplace,
    low_rank,
    mean_field,
    mix,
    source,
    structured,
)

__all__ = [
    "delta",
    "flow",
    "flows",
    "full_rank",
    "laplace",
    "low_rank",
    "mean_field",
    "mix",
    "source",
    "structured",
]
