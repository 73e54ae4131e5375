"""Minibatches by `ppl.plate(…, subsample=)`: which elements a step draws."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

_ELEMENTS = 1 << 17
"""Of a program with all elements of its subsampled plates, so many are in memory at once, all draws together."""

_AFFORDABLE = 1 << 28
"""Log weights are computed where they take so many log densities of single elements at most."""


def subsample(size: int, shape: Sequence[int], seed: int) -> torch.Tensor:
    """Rows of different whole numbers below `size`, every subset equally likely; one row for shape [B], K
    independent ones for [K, B].

    >>> [sorted(row) for row in subsample(3, [2, 3], seed=0).tolist()]
    [[0, 1, 2], [0, 1, 2]]
    """
    *rows, count = shape
    rng = np.random.Generator(np.random.Philox(key=seed % 2**64))
    drawn = [rng.choice(size, count, replace=False) for _ in range(rows[0] if rows else 1)]
    return torch.from_numpy(np.stack(drawn).reshape(tuple(shape)))


def parts_of(draws: int, subsamples: Mapping[str, tuple[int, int]]) -> list[int]:
    """How many draws are made at once of a program with all elements of its subsampled plates, part by part.

    >>> parts_of(10, {"data": (64, 50_000)}), parts_of(10, {})
    ([2, 2, 2, 2, 2], [10])
    """
    elements = math.prod(size for _, size in subsamples.values())
    each = max(1, min(draws, _ELEMENTS // elements))
    return [min(each, draws - start) for start in range(0, draws, each)]


def left_out(draws: int, elements: int) -> str | None:
    """Why so many draws are not weighed with so many elements, if they are not."""
    if draws * elements <= _AFFORDABLE:
        return None
    return (
        f"left out, and k-hat with them: {draws} draws of {elements} elements take {draws * elements} log densities; "
        f"draws={max(1, _AFFORDABLE // elements)} would do"
    )
