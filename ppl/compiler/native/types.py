"""The types of the subset: what an annotation means to Python, and to the compiler.

annotation   in Python                      compiled
f64, float   float                          double
i64, int     int                            i64, arithmetic wraps at 64 bits
bool         bool                           i1 (a byte at the boundary)
Floats       float64 array, C-contiguous    ptr to double
Ints         int64 array, C-contiguous      ptr to i64
Density      callable (x, out, env) -> int  address of a function (ptr, ptr, ptr) -> i64
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

f64: TypeAlias = float
i64: TypeAlias = int

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Ints: TypeAlias = NDArray[np.int64]
    Density: TypeAlias = Callable[[Floats, Floats, Ints], int]
else:

    class Floats:
        """Pointer to float64 values; in Python a C-contiguous array of them."""

    class Ints:
        """Pointer to int64 values; in Python a C-contiguous array of them."""

    class Density:
        """A compiled model `(x: Floats, out: Floats, env: Ints) -> i64`; in Python any such callable."""


class Type(Enum):
    """A type of the subset; the value is its name in annotations and errors."""

    F64 = "f64"
    I64 = "i64"
    BOOL = "bool"
    FLOATS = "Floats"
    INTS = "Ints"
    DENSITY = "Density"
    VOID = "None"

    def __str__(self) -> str:
        return self.value

    # Members are singletons: hashing by identity keeps tables of types fast.
    __hash__ = object.__hash__


SCALARS = frozenset({Type.F64, Type.I64, Type.BOOL})
POINTERS = frozenset({Type.FLOATS, Type.INTS})
ELEMENT = {Type.FLOATS: Type.F64, Type.INTS: Type.I64}

# What an annotation may be: the object it names, or the bare word (generated text imports nothing).
OF_OBJECT: dict[Any, Type] = {
    float: Type.F64,
    int: Type.I64,
    bool: Type.BOOL,
    Floats: Type.FLOATS,
    Ints: Type.INTS,
    Density: Type.DENSITY,
    None: Type.VOID,
}
OF_WORD: dict[str, Type] = {member.value: member for member in Type} | {"float": Type.F64, "int": Type.I64}


@dataclass(frozen=True, slots=True)
class Signature:
    """Types of parameters and result; `stored[k]`: parameter k is an array the function writes to."""

    names: tuple[str, ...]
    parameters: tuple[Type, ...]
    result: Type
    stored: tuple[bool, ...]

    def __str__(self) -> str:
        inside = ", ".join(f"{n}: {t}" for n, t in zip(self.names, self.parameters, strict=True))
        return f"({inside}) -> {self.result}"


DENSITY_PARAMETERS = (Type.FLOATS, Type.FLOATS, Type.INTS)
