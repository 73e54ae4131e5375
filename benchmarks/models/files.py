"""Reading the reference posteriors' files, which stand beside the repository and are no part of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "posteriordb"


def read_data(name: str) -> dict[str, Any]:
    """The data file `name`: numbers, and lists as arrays."""
    found = json.loads(_path(f"{name}.data.json").read_text("utf-8"))
    return {k: np.asarray(v) if isinstance(v, list) else v for k, v in found.items()}


def read_reference(name: str) -> dict[str, dict[str, float]]:
    """Means, deviations and Monte Carlo errors of a reference posterior, by the parameter's name."""
    found: dict[str, dict[str, float]] = json.loads(_path(f"{name}.reference.json").read_text("utf-8"))[
        "parameters"
    ]
    return found


def _path(name: str) -> Path:
    path = FOLDER / name
    if not path.is_file():
        raise FileNotFoundError(
            f"the reference posteriors' {name} is not here: {path.parent} has no such file"
        )
    return path


def one_based(d: dict[str, Any], *names: str) -> dict[str, Any]:
    """The data with these indices counted from 1, as Stan wants them."""
    return {**d, **{name: d[name] + 1 for name in names}}
