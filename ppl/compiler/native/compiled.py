"""A compiled function as Python calls it: arguments are checked, arrays passed as addresses."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from operator import index
from typing import TYPE_CHECKING, Any

from .refusals import NativeError
from .types import DENSITY_PARAMETERS, POINTERS, Signature, Type

if TYPE_CHECKING:
    from .library import Library

_C_TYPES: dict[Type, Any] = {
    Type.F64: ctypes.c_double,
    Type.I64: ctypes.c_int64,
    Type.BOOL: ctypes.c_bool,
    Type.FLOATS: ctypes.c_void_p,
    Type.INTS: ctypes.c_void_p,
    Type.DENSITY: ctypes.c_void_p,
    Type.VOID: None,
}


class Compiled:
    """A compiled function. Called with numpy arrays and numbers, which are checked; Python's lock is released
    while it runs. It keeps its library in memory; a bare `address` does not.
    """

    def __init__(self, name: str, signature: Signature, address: int, library: Library) -> None:
        self.name = name
        self.signature = signature
        self.address = address
        self.library = library
        types = [_C_TYPES[t] for t in signature.parameters]
        # Called with addresses for arrays, nothing is checked.
        self.unchecked = ctypes.CFUNCTYPE(_C_TYPES[signature.result], *types)(address)
        about = zip(signature.names, signature.parameters, signature.stored, strict=True)
        self._checks = [_argument(name, parameter, type, stored) for parameter, type, stored in about]
        arrays = [place for place, type in enumerate(signature.parameters) if type in POINTERS]
        self._arrays = arrays if any(signature.stored) else []  # those that must lie apart

    def __call__(self, *arguments: Any) -> Any:
        if len(arguments) != len(self._checks):
            raise NativeError(
                f"`{self.name}` takes {len(self._checks)} arguments",
                expected=str(self.signature),
                found=str(len(arguments)),
            )
        words = [check(given) for check, given in zip(self._checks, arguments, strict=True)]
        if len({words[place] for place in self._arrays}) < len(self._arrays):
            self._check_apart(words, arguments)
        return self.unchecked(*words)

    def __repr__(self) -> str:
        return f"<compiled {self.name}{self.signature}>"

    def _check_apart(self, words: list[Any], arguments: tuple[Any, ...]) -> None:
        """Of arrays that begin at one place, none may be written to, but for empty ones."""
        begin = [words[place] for place in self._arrays if arguments[place].size]
        for place in self._arrays:
            if self.signature.stored[place] and begin.count(words[place]) > 1:
                raise NativeError(
                    f"`{self.name}` writes to `{self.signature.names[place]}`, which it gets twice",
                    expected="arrays that do not overlap",
                    edit="a second array for the result",
                )


def _argument(function: str, name: str, type: Type, stored: bool) -> Callable[[Any], Any]:
    """What checks an argument, and gives the word that is passed."""
    if type in POINTERS:
        return _array_check(function, name, type, stored)

    def refuse(given: Any, expected: str) -> NativeError:
        return NativeError(
            f"`{function}` can't take this for `{name}`", expected=expected, found=_shown(given)
        )

    def whole(given: Any) -> int:
        try:
            found = index(given)
        except TypeError:
            raise refuse(given, "i64, an int") from None
        if not -(2**63) <= found < 2**63:
            raise refuse(given, "i64, an int of 64 bits")
        return found

    def real(given: Any) -> float:
        if isinstance(given, str | bytes):
            raise refuse(given, "f64, a float")
        try:
            return float(given)
        except (TypeError, ValueError):
            raise refuse(given, "f64, a float") from None

    def truth(given: Any) -> bool:
        if not isinstance(given, bool) and type_name(given) not in ("bool", "bool_"):
            raise refuse(given, "bool")
        return bool(given)

    def density(given: Any) -> int:
        if isinstance(given, Compiled):
            types = given.signature
            if types.parameters == DENSITY_PARAMETERS and types.result is Type.I64 and not types.stored[0]:
                return given.address
        elif isinstance(given, int) and not isinstance(given, bool) and given > 0:
            return given
        raise refuse(given, "Density, a compiled (x: Floats, out: Floats, env: Ints) -> i64, or its address")

    def type_name(given: Any) -> str:
        return given.__class__.__name__

    return {Type.F64: real, Type.I64: whole, Type.BOOL: truth, Type.DENSITY: density}[type]


def _array_check(function: str, name: str, type: Type, stored: bool) -> Callable[[Any], int]:
    import numpy as np

    wanted = np.dtype(np.float64 if type is Type.FLOATS else np.int64)

    address_of, begin = ctypes.addressof, ctypes.c_char.from_buffer

    def check(given: Any) -> int:
        if isinstance(given, np.ndarray) and (given.dtype is wanted or given.dtype == wanted):
            try:
                return address_of(begin(given))  # type: ignore[arg-type]
            except (TypeError, ValueError):  # read-only, not contiguous, or empty
                flags = given.flags
                if flags.c_contiguous and (flags.writeable or not stored):
                    return given.ctypes.data
        raise NativeError(
            f"`{function}` can't take this for `{name}`",
            expected=f"{type}, a C-contiguous array of {wanted}"
            + (" that can be written to" if stored else ""),
            found=_shown(given),
            edit=f"np.ascontiguousarray({name}, dtype=np.{wanted})" if not stored else None,
        )

    return check


def _shown(given: Any) -> str:
    """An argument in a few words."""
    kind = given.__class__.__name__
    if hasattr(given, "flags") and hasattr(given, "dtype"):
        parts = [f"{given.dtype} array of shape {given.shape}"]
        if not given.flags.c_contiguous:
            parts.append("not C-contiguous")
        if not given.flags.writeable:
            parts.append("read-only")
        return ", ".join(parts)
    text = repr(given)
    return f"{kind} {text}" if len(text) < 60 else kind
