"""What one call of `infer` asks of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ppl.language.program import Bound


@dataclass(frozen=True)
class Run:
    """Everything a method needs to know about one call of `infer`. `stream`: the programs and the batches of a loader,
    where one is given as data; the program is then that of the first batch.
    """

    bound: Bound
    draws: int
    warmup: int
    chains: int
    seed: int
    device: str
    engine: str
    dtype: torch.dtype | None
    coords: Mapping[str, Any]
    keep: Sequence[str] | None
    progress: bool
    save_to: Any
    resume: Any
    chain_ids: Sequence[int] | None = None
    keep_warmup: bool = False
    thin: int = 1
    draws_to: Path | None = None
    stream: Any = None
