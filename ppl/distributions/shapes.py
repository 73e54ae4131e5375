"""Shapes that broadcast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def broadcast_shapes(*shapes: Sequence[int]) -> torch.Size:
    """The shape to which tensors of these shapes broadcast. (`torch.broadcast_shapes` imports sympy when first called,
    which takes longer than compiling most models.)

    Raises:
        RuntimeError: the shapes don't fit, as torch says it.

    >>> broadcast_shapes((2,), (3, 1), ())
    torch.Size([3, 2])
    """
    try:
        return torch.Size(np.broadcast_shapes(*map(tuple, shapes)))
    except ValueError:
        listed = ", ".join(str(list(s)) for s in shapes)
        raise RuntimeError(f"shapes {listed} are not broadcastable to a single shape") from None
