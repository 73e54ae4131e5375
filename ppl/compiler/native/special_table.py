"""Functions of `math` that compiled code takes from `special/` instead of the C library."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .function import Native


@cache
def table() -> dict[str, Native]:
    """`MATH` of the room of special functions, by the name in `math`. Imported when first needed: its
    functions are natives themselves.
    """
    room = f"{__package__}.special"
    return dict(getattr(importlib.import_module(room), "MATH", {})) if importlib.util.find_spec(room) else {}


def redirected(name: str, inside: Native) -> Native | None:
    """The native function that stands for `math.name` in the body of another; never the function itself."""
    if inside.c_library:
        return None
    found = table().get(name)
    return None if found is inside else found
