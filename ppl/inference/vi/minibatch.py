"""Minibatches by `ppl.plate(…, subsample=)`: which elements a step draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


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
