"""Functions and modules that the compiler knows by the objects that stand for them in Python."""

from __future__ import annotations

import builtins as python
import math as python_math
from typing import Any

from . import builtins, math
from .libm import ARITY
from .prelude import C_NAMES, INTRINSICS

CONSTANTS = ("inf", "nan", "pi", "e", "tau")
FUNCTIONS = tuple(
    name for name in dir(math) if name in {*INTRINSICS, *ARITY, *C_NAMES, "isnan", "isinf", "isfinite"}
)

_OWN: dict[Any, str] = {
    getattr(module, name): name
    for module, names in (
        (builtins, builtins.VALUES),
        (python, ("abs", "min", "max", "float", "int", "bool")),
    )
    for name in names
}
_OF_MATH: dict[Any, str] = {
    getattr(module, name): name
    for module in (python_math, math)
    for name in FUNCTIONS
    if hasattr(module, name)
}


def is_math(found: Any) -> bool:
    """Is it the module `math`, Python's or ours?"""
    return found is python_math or found is math


def own_name(function: Any) -> str | None:
    """The name of a function of the subset itself: Python's builtins, and ours."""
    return _name(_OWN, function)


def math_name(function: Any) -> str | None:
    """The name in `math` of one of its functions."""
    return _name(_OF_MATH, function)


def _name(table: dict[Any, str], function: Any) -> str | None:
    try:
        return table.get(function)
    except TypeError:  # can't be hashed, so it is none of them
        return None
