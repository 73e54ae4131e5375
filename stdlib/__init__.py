"""The standard library of the language, importable as `ppl.std`: models, priors and functions in `.ppl` files
(`ppl.std.regression.linear(X, y)`), and the objectives of variational inference.

A Python module stands here only where the language itself can't say it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from ppl.syntax.finder import Finder

if Finder(__name__) not in sys.meta_path:
    sys.meta_path.append(Finder(__name__))

_FOLDER = Path(__file__).resolve().parent
_ROOMS = ("objectives",)


def __getattr__(name: str) -> Any:
    if name in _ROOMS or (_FOLDER / f"{name}.ppl").is_file():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *(p.stem for p in _FOLDER.glob("*.ppl"))})
