"""Numbers and constraints in the words of error messages."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributions.constraints import Constraint

_WORDS = {
    "real": "a real number",
    "boolean": "0 or 1",
    "onehot": "one 1, otherwise 0",
    "simplex": "not negative, summing to 1 along the last axis",
    "positivedefinite": "a symmetric positive definite matrix",
    "positivesemidefinite": "a symmetric positive semidefinite matrix",
    "lowertriangular": "a lower triangular matrix",
    "lowercholesky": "lower triangular with a positive diagonal",
    "corrcholesky": "lower triangular with a positive diagonal and rows of length 1",
    "corrmatrix": "a correlation matrix",
    "ordered": "increasing along the last axis",
    "positiveordered": "positive and increasing along the last axis",
    "unitvector": "of length 1 along the last axis",
    "sumtozero": "summing to 0 along the last axis",
    "rowstochastic": "a matrix whose rows are not negative and sum to 1",
    "multinomial": "counts that add up to the total",
}


def describe(constraint: Constraint) -> str:
    """A constraint in words: "> 0", "in [0, 1]", "whole numbers ≥ 0".

    >>> from torch.distributions import constraints
    >>> describe(constraints.positive), describe(constraints.boolean)
    ('> 0', '0 or 1')
    """
    while hasattr(constraint, "base_constraint"):
        constraint = constraint.base_constraint
    kind = type(constraint).__name__.lower().lstrip("_")
    lower, upper = getattr(constraint, "lower_bound", None), getattr(constraint, "upper_bound", None)
    whole = "whole numbers " if kind.startswith("integer") else ""
    if kind in _WORDS:
        return _WORDS[kind]
    if lower is not None and upper is not None:
        return f"{whole}in [{short(lower)}, {short(upper)}]"
    if lower is not None:
        strict = "eq" not in kind and not whole
        return f"{whole}{'>' if strict else '≥'} {short(lower)}"
    if upper is not None:
        return f"{whole}{'≤' if whole else '<'} {short(upper)}"
    return str(constraint).removeprefix("constraints.").removesuffix("()")


def short(value: Any) -> str:
    """A value in few characters; "…" where it is not known before inference."""
    if isinstance(value, torch.Tensor):
        if value.device.type == "meta":
            return "…"
        if value.numel() > 6:
            return f"array of shape {list(value.shape)}"
        flat = value.reshape(-1)
        if value.numel() and bool((flat == flat[0]).all()):
            value = flat[0]
        value = value.tolist()
    return f"{value:g}" if isinstance(value, float) else str(value)


def place(index: tuple[int, ...], name: str = "") -> str:
    """The element of an index, as written in Python: " at y[2]"; empty for a scalar."""
    return f" at {name}[{', '.join(map(str, index))}]" if index else ""


def structure(value: Any) -> str:
    """How a value is built of tuples, lists and tensors: "a tuple of 2", "None"."""
    if value is None:
        return "None"
    if isinstance(value, tuple | list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, torch.Tensor | int | float):
        return "one number or tensor"
    return f"a {type(value).__name__}"
