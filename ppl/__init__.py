"""ppl: a probabilistic programming language embedded in Python, on torch. Names load when first used."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_NAMES = {
    "ppl.language.program": ("model", "guide", "objective", "Program", "Bound"),
    "ppl.language.primitives": (
        "sample", "observe", "factor", "deterministic", "param", "module", "plate", "scan", "cond", "switch",
        "score_factor", "state", "assume_continuous", "surrogate", "black_box",
    ),
    "ppl.language.reparam": ("NonCentered",),
    "ppl.language.marginals": ("marginal", "normalize", "importance"),
    "ppl.language.compiled": ("compile",),
    "ppl.language.explain": ("explain",),
    "ppl.language.draw": ("graph",),
    "ppl.inference.infer": ("infer",),
    "ppl.inference.calibration": ("sbc", "vsbc"),
    "ppl.inference.mcmc": ("NUTS", "HMC"),
    "ppl.inference.mcmc.checkpoint": ("Checkpoint",),
    "ppl.compiler.estimators.strategies": ("Score", "Quadrature", "GumbelSoftmax", "Rebar", "Rejection", "Relax"),
    "ppl.inference.pathfinder": ("Pathfinder",),
    "ppl.inference.vi.method": ("VI", "minimize"),
    "ppl.inference.vi.stopping": ("Convergence",),
    "ppl.inference.vi.natural": ("NaturalGradient",),
    "ppl.inference.vi.gradients": ("value_and_grad", "estimate"),
    "ppl.inference.vi.tuning": ("tune_gradients",),
    "ppl.results": ("Posterior", "load_posterior"),
    "ppl.language.gfi": ("simulate", "log_density", "score", "generate", "update", "regenerate", "project"),
    "ppl.language.traces": ("Trace", "select"),
    "ppl.syntax.load": ("load",),
    "ppl.errors": ("PplError",),
}  # fmt: skip
_WHERE = {name: module for module, names in _NAMES.items() for name in names}
_ROOMS = (
    "distributions",
    "compiler",
    "language",
    "inference",
    "results",
    "syntax",
    "errors",
    "std",
    "guides",
)
__all__ = sorted(_WHERE)
__version__ = "0.1.0"


class _BesideThePackage:
    """Finds `ppl.std` in a checkout, where it is the folder `stdlib/` (installed, it is `ppl/std/`)."""

    folder = Path(__file__).resolve().parent.parent / "stdlib"

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "ppl.std" or not cls.folder.is_dir():
            return None
        places = [str(cls.folder)]
        return importlib.util.spec_from_file_location(
            name, cls.folder / "__init__.py", submodule_search_locations=places
        )


if _BesideThePackage.folder.is_dir():
    sys.meta_path.insert(0, _BesideThePackage)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return importlib.import_module(f"ppl.{name}")
    raise AttributeError(f"module 'ppl' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
