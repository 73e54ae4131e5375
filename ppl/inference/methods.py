"""The methods that `infer` knows by name: an options class and a function that runs it. Adding one adds an
entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ppl.inference.hamiltonian import run_hamiltonian
from ppl.inference.mcmc import HMC, NUTS
from ppl.inference.pathfinder import Pathfinder
from ppl.inference.vi.method import VI


@dataclass(frozen=True)
class Method:
    options: type
    run: Callable[[Any, Any], Any]


def _vi(run: Any, method: Any) -> Any:
    from ppl.inference.vi.run import run_vi  # estimators and guides, which no other method needs

    return run_vi(run, method)


def _pathfinder(run: Any, method: Any) -> Any:
    from ppl.inference.pathfinder.method import run_pathfinder

    return run_pathfinder(run, method)


METHODS: dict[str, Method] = {
    "nuts": Method(NUTS, run_hamiltonian),
    "hmc": Method(HMC, run_hamiltonian),
    "vi": Method(VI, _vi),
    "pathfinder": Method(Pathfinder, _pathfinder),
}
