"""`build`: native functions as a library of machine code, and how Python calls it."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from operator import index
from typing import Any

from . import cache, machine
from .function import Native
from .keys import Keys
from .refusals import NativeError
from .types import DENSITY_PARAMETERS, POINTERS, Signature, Type

_C_TYPES = {
    Type.F64: ctypes.c_double,
    Type.I64: ctypes.c_int64,
    Type.BOOL: ctypes.c_bool,
    Type.FLOATS: ctypes.c_void_p,
    Type.INTS: ctypes.c_void_p,
    Type.DENSITY: ctypes.c_void_p,
    Type.VOID: None,
}


def build(functions: Sequence[Native[..., Any]], name: str = "native") -> Library:
    """Compile functions, and all they use, as one module; or load it from the cache.

    functions: those to be called from outside; their names must differ.
    name: what the library is called.

    >>> from ppl.compiler.native import build, native, f64
    >>> @native
    ... def cube(x: f64) -> f64:
    ...     return x**3
    >>> build([cube])["cube"](2.0)
    8.0
    """
    started = time.perf_counter()
    exported = tuple(functions)
    names = [function.name for function in exported]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise NativeError(f"two functions of a library are called `{twice}`")
    digest = blake2b(cache.compiler_digest(), digest_size=16)
    digest.update("\0".join((str(machine.host()), *names, Keys().key(*exported))).encode())
    key = digest.hexdigest()
    found = cache.read(key)
    notes, code = found or _compiled(exported)
    if found is None:
        cache.write(key, notes, code)
    loaded = machine.load(code, [symbol for symbol, *_ in notes.values()])
    return Library(name, exported, notes, loaded, found is not None, time.perf_counter() - started)


def _compiled(exported: tuple[Native[..., Any], ...]) -> tuple[dict[str, Any], bytes]:
    """What is noted of each function (symbol, names, types, result, stored), and the machine code."""
    from .emit import Module

    module = Module()
    code = machine.object_code(module.text(exported))
    notes = {}
    for function in exported:
        fragment = module.fragments[function]
        types = fragment.signature
        notes[function.name] = [
            fragment.symbol,
            types.names,
            [t.value for t in types.parameters],
            types.result.value,
            types.stored,
        ]
    return notes, code


class Library:
    """Compiled functions by name.

    from_cache: was the machine code found on disk? seconds: how long building took.
    """

    def __init__(
        self,
        name: str,
        functions: tuple[Native[..., Any], ...],
        notes: dict[str, Any],
        loaded: machine.Loaded,
        from_cache: bool,
        seconds: float,
    ) -> None:
        self.name = name
        self.from_cache = from_cache
        self.seconds = seconds
        self._functions = functions
        self._loaded = loaded
        self._compiled: dict[str, Compiled] = {}
        for function, (symbol, names, parameters, result, stored) in notes.items():
            types = Signature(tuple(names), tuple(map(Type, parameters)), Type(result), tuple(stored))
            self._compiled[function] = Compiled(function, types, loaded.addresses[symbol], self)

    def __getitem__(self, name: str) -> Compiled:
        try:
            return self._compiled[name]
        except KeyError:
            raise NativeError(
                f"the library `{self.name}` has no function `{name}`", expected=", ".join(self._compiled)
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._compiled)

    def __repr__(self) -> str:
        return f"<native library {self.name}: {', '.join(self._compiled)}>"

    @cached_property
    def ir(self) -> str:
        """The module as the compiler writes it, in LLVM IR."""
        from .emit import Module

        return Module().text(self._functions)

    @cached_property
    def optimised_ir(self) -> str:
        """The module after LLVM's passes."""
        return machine.optimised(self.ir)

    @cached_property
    def assembly(self) -> str:
        """The module's machine code, in words."""
        return machine.assembly(self.ir)


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
        self._arguments = [
            _argument(name, parameter, type, stored)
            for parameter, type, stored in zip(signature.names, signature.parameters, signature.stored, strict=True)
        ]
        self._stores = any(signature.stored)

    def __call__(self, *arguments: Any) -> Any:
        if len(arguments) != len(self._arguments):
            raise NativeError(
                f"`{self.name}` takes {len(self._arguments)} arguments",
                expected=str(self.signature),
                found=str(len(arguments)),
            )
        words = [check(given) for check, given in zip(self._arguments, arguments, strict=True)]
        if self._stores:
            self._check_apart(words, arguments)
        return self.unchecked(*words)

    def __repr__(self) -> str:
        return f"<compiled {self.name}{self.signature}>"

    def _check_apart(self, words: list[Any], arguments: tuple[Any, ...]) -> None:
        """An array that is written to must be given once."""
        types, stored = self.signature.parameters, self.signature.stored
        arrays = [w for w, t, a in zip(words, types, arguments, strict=True) if t in POINTERS and a.size]
        if len(set(arrays)) == len(arrays):
            return
        for word, type, is_stored, parameter in zip(words, types, stored, self.signature.names, strict=True):
            if type in POINTERS and is_stored and arrays.count(word) > 1:
                raise NativeError(
                    f"`{self.name}` writes to `{parameter}`, which it gets twice",
                    expected="arrays that do not overlap",
                    edit="a second array for the result",
                )


def _argument(function: str, name: str, type: Type, stored: bool) -> Callable[[Any], Any]:
    """What checks an argument, and gives the word that is passed."""
    if type in POINTERS:
        return _array_check(function, name, type, stored)

    def refuse(given: Any, expected: str) -> NativeError:
        return NativeError(f"`{function}` can't take this for `{name}`", expected=expected, found=_shown(given))

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
            if types.parameters == DENSITY_PARAMETERS and types.result is Type.I64:
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

    def check(given: Any) -> int:
        if isinstance(given, np.ndarray) and (given.dtype is wanted or given.dtype == wanted):
            flags = given.flags
            if flags.c_contiguous:
                if flags.writeable and given.size:  # three times as fast as asking numpy
                    return ctypes.addressof(ctypes.c_char.from_buffer(given))
                if not stored or flags.writeable:
                    return given.ctypes.data
        raise NativeError(
            f"`{function}` can't take this for `{name}`",
            expected=f"{type}, a C-contiguous array of {wanted}" + (" that can be written to" if stored else ""),
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
