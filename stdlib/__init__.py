"""The standard library of the language: models, guides, objectives and priors, importable as `ppl.std`.

Most of it is written in `.ppl`; a Python module stands here only where a neural network is needed.
"""

from __future__ import annotations

import importlib
from typing import Any

_ROOMS = ("objectives",)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
