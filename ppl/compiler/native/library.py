"""`build`: native functions as a library of machine code, and how Python calls it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from . import cache, machine
from .compiled import Compiled
from .function import Native
from .keys import Keys
from .refusals import NativeError
from .types import Signature, Type

if TYPE_CHECKING:
    from .emit import Module


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

    module = Module(exported)
    code = machine.object_code(module.text(), module.vectorise)
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
    def _module(self) -> Module:
        from .emit import Module

        return Module(self._functions)

    @cached_property
    def ir(self) -> str:
        """The module as the compiler writes it, in LLVM IR."""
        return self._module.text()

    @cached_property
    def optimised_ir(self) -> str:
        """The module after LLVM's passes."""
        return machine.optimised(self.ir, self._module.vectorise)

    @cached_property
    def assembly(self) -> str:
        """The module's machine code, in words."""
        return machine.assembly(self.ir, self._module.vectorise)
