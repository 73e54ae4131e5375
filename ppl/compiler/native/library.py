"""`build`: native functions as a library of machine code, and how Python calls it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from . import cache, processor
from .compiled import Compiled
from .function import Native
from .image import Image, Loaded, NoImage, load
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
    digest = blake2b(cache.compiler_digest() + processor.identity(), digest_size=16)
    digest.update("\0".join((*names, Keys().key(*exported))).encode())
    key = digest.hexdigest()
    found = _found(key)
    notes, loaded = found or _compiled(exported, key)
    return Library(name, exported, notes, loaded, found is not None, time.perf_counter() - started)


def _found(key: str) -> tuple[dict[str, Any], Loaded] | None:
    """What is noted of each function, and the code, from the cache; None if there is none that can be loaded."""
    entry = cache.read(key)
    if entry is None:
        return None
    about, code = entry
    if about["image"] is None:
        from . import machine

        return about["functions"], machine.load(code, _symbols(about["functions"]))
    with contextlib.suppress(NoImage):
        return about["functions"], load(Image(code, **about["image"]))
    return None


def _compiled(exported: tuple[Native[..., Any], ...], key: str) -> tuple[dict[str, Any], Loaded]:
    """The same of what is compiled now, and kept in the cache: as an image, or else as an object file."""
    from . import machine
    from .emit import Module
    from .linker import link

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
    about: dict[str, Any] | None
    try:
        image = link(code, _symbols(notes))
        loaded = load(image)
    except NoImage:
        about, loaded = None, machine.load(code, _symbols(notes))
    else:
        about = image._asdict()
        code = about.pop("content")
    cache.write(key, {"functions": notes, "image": about}, code)
    return notes, loaded


def _symbols(notes: dict[str, Any]) -> list[str]:
    return [symbol for symbol, *_ in notes.values()]


class Library:
    """Compiled functions by name.

    from_cache: was the machine code found on disk? seconds: how long building took.
    """

    def __init__(
        self,
        name: str,
        functions: tuple[Native[..., Any], ...],
        notes: dict[str, Any],
        loaded: Loaded,
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
        from .machine import optimised

        return optimised(self.ir, self._module.vectorise)

    @cached_property
    def assembly(self) -> str:
        """The module's machine code, in words."""
        from .machine import assembly

        return assembly(self.ir, self._module.vectorise)
