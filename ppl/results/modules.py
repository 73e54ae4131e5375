"""Learned params as torch modules take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ppl.errors import DataError, closest

if TYPE_CHECKING:
    import torch


def state_dict(params: Mapping[str, np.ndarray], name: str) -> dict[str, torch.Tensor]:
    """The params `name.weight`, `name.bias`, … under the names they have in the module."""
    import torch

    prefix = f"{name}."
    found = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
    if not found:
        modules = sorted({k.partition(".")[0] for k in params if "." in k})
        near = closest(name, modules) or modules[:1]
        raise DataError(
            f"there is no module '{name}' among the params",
            expected=", ".join(modules) or 'a program with ppl.module("…", …)',
            found=f"params {', '.join(list(params)[:5]) or 'of nothing'}",
            edit=f'state_dict("{near[0]}")' if near else "",
        )
    return {k: torch.tensor(v) for k, v in found.items()}
