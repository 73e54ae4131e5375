"""Checkpoints of an optimisation: the optimiser between two steps, and what the run has seen so far."""

from __future__ import annotations

import os

import numpy as np

from ppl.errors import PplError
from ppl.inference.mcmc.checkpoint import Checkpoint, Flat, load, save
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.groups import Groups

_AT = "at."
"""How the names of the optimiser's own arrays begin."""


class Keeper:
    """Writes the checkpoints of one run, each in place of the one before.

    Args:
        to: a path, or a `Checkpoint` with the seconds between two of them; None: none are kept.
        compiled: what is optimised.
    """

    def __init__(
        self, to: Checkpoint | str | os.PathLike[str] | None, compiled: CompiledObjective | Groups
    ) -> None:
        self.to = to if to is None or isinstance(to, Checkpoint) else Checkpoint(to)
        self.names = np.array(list(compiled.params))

    @property
    def every(self) -> float:
        """Seconds between two checkpoints."""
        return float("inf") if self.to is None else self.to.every

    def keep(self, engine: str, state: Flat) -> None:
        """Write what a loop of this engine goes on from."""
        if self.to is not None:
            facts: Flat = {"settings.method": "vi", "settings.engine": engine, "params": self.names}
            save(self.to.path, facts | {f"{_AT}{name}": value for name, value in state.items()})


def state_of(flat: Flat) -> Flat:
    """What was given to `Keeper.keep`."""
    return {name.removeprefix(_AT): value for name, value in flat.items() if name.startswith(_AT)}


def read(path: str | os.PathLike[str], compiled: CompiledObjective | Groups) -> Flat:
    """A checkpoint's entries.

    Raises:
        PplError: it is no checkpoint, or one of another method or of other programs.
    """
    flat: Flat = load(path)
    if flat.get("settings.method") != "vi":
        raise PplError(
            f"'{path}' is no checkpoint of variational inference",
            expected='a file that save_to= wrote with method="vi"',
            found=f"one of {flat.get('settings.method')}",
        )
    known = flat["params"].tolist()
    if known != list(compiled.params):
        raise PplError(
            f"the checkpoint '{path}' belongs to other programs",
            expected=f"params {', '.join(compiled.params)}",
            found=f"params {', '.join(known)}",
        )
    return flat
