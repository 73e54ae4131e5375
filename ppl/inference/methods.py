"""The methods that `infer` knows by name: an options class and a function that runs it. Adding one adds an entry.

Both are named by their modules and loaded when they are asked for: `ppl check` reads the names alone, without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Method:
    """`options_at` and `run_at` are (module, name)."""

    options_at: tuple[str, str]
    run_at: tuple[str, str]

    @property
    def options(self) -> type:
        return _loaded(*self.options_at)  # type: ignore[no-any-return]

    @property
    def run(self) -> Callable[[Any, Any], Any]:
        return _loaded(*self.run_at)  # type: ignore[no-any-return]


def _loaded(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


METHODS: dict[str, Method] = {
    "nuts": Method(("ppl.inference.mcmc", "NUTS"), ("ppl.inference.hamiltonian", "run_hamiltonian")),
    "hmc": Method(("ppl.inference.mcmc", "HMC"), ("ppl.inference.hamiltonian", "run_hamiltonian")),
    "vi": Method(("ppl.inference.vi.method", "VI"), ("ppl.inference.vi.run", "run_vi")),
    "pathfinder": Method(
        ("ppl.inference.pathfinder", "Pathfinder"), ("ppl.inference.pathfinder.method", "run_pathfinder")
    ),
}
