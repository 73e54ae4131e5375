"""ppl: a probabilistic programming language embedded in Python, on torch. Names load when first used."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "ppl.language.program": ("model", "guide", "objective", "Program", "Bound"),
    "ppl.language.primitives": (
        "sample", "observe", "factor", "deterministic", "param", "module", "plate", "scan", "cond", "switch",
        "score_factor", "state",
    ),
    "ppl.language.reparam": ("NonCentered",),
    "ppl.language.compiled": ("compile",),
    "ppl.language.explain": ("explain",),
    "ppl.language.draw": ("graph",),
    "ppl.inference.infer": ("infer",),
    "ppl.inference.mcmc": ("NUTS", "HMC"),
    "ppl.compiler.estimators.strategies": ("Score", "Quadrature", "GumbelSoftmax", "Rejection"),
    "ppl.inference.vi.gradients": ("value_and_grad", "estimate"),
    "ppl.results": ("Posterior", "load_posterior"),
    "ppl.language.gfi": ("simulate", "log_density", "generate", "update", "regenerate", "project"),
    "ppl.language.traces": ("Trace", "select"),
    "ppl.errors": ("PplError",),
}  # fmt: skip
_WHERE = {name: module for module, names in _NAMES.items() for name in names}
_ROOMS = ("distributions", "compiler", "language", "inference", "results", "errors", "std")
__all__ = sorted(_WHERE)
__version__ = "0.1.0"


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
