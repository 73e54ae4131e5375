"""What a function's machine code depends on, as digests: its text, its numbers, and the functions it uses."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from .known import is_math, math_name
from .special_table import redirected

if TYPE_CHECKING:
    from .function import Native


class Keys:
    """Digests of native functions as they are now; each is read once. Make a new one for another build."""

    def __init__(self) -> None:
        self._own: dict[Native, bytes] = {}
        self._direct: dict[Native, tuple[Native, ...]] = {}

    def _read(self, native: Native) -> None:
        """Digest a function's text, options and numbers; note the native functions it names."""
        from .function import Native

        digest = blake2b(
            f"{native.name}\0{native.exact}\0{native.inline}\0{native.c_library}\0{native.vectorise}".encode(),
            digest_size=16,
        )
        digest.update(native.origin.text_key)
        named: dict[Native, None] = {}
        mentioned = list(native.origin.mentioned())
        with_math = any(is_math(value) for _, value in mentioned)
        for name, value in mentioned:
            if isinstance(value, Native):
                named[value] = None
                digest.update(f"\0{name}={list(named).index(value)}".encode())
            elif isinstance(value, bool | int | float):
                digest.update(f"\0{name}={value!r}".encode())
            elif (ours := redirected(math_name(value) or (name if with_math else ""), native)) is not None:
                named[ours] = None
        self._own[native] = digest.digest()
        self._direct[native] = tuple(named)

    def own(self, native: Native) -> bytes:
        if native not in self._own:
            self._read(native)
        return self._own[native]

    def direct(self, native: Native) -> tuple[Native, ...]:
        if native not in self._direct:
            self._read(native)
        return self._direct[native]

    def uses(self, natives: Iterable[Native]) -> tuple[Native, ...]:
        """These functions and all that they use, in the order they are first met."""
        found = dict.fromkeys(natives)
        waiting = list(reversed(found))
        while waiting:
            new = [used for used in self.direct(waiting.pop()) if used not in found]
            found.update(dict.fromkeys(new))
            waiting.extend(reversed(new))
        return tuple(found)

    def key(self, *natives: Native) -> str:
        """A digest of all that the machine code of these depends on, but the compiler and the machine."""
        digest = blake2b(digest_size=16)
        found = self.uses(natives)
        place = {used: number for number, used in enumerate(found)}
        for used in found:
            digest.update(self.own(used))
            digest.update(repr([place[called] for called in self.direct(used)]).encode())
        return digest.hexdigest()


def uses(native: Native[Any, Any]) -> tuple[Native, ...]:
    """The native functions that a function's text names, theirs too."""
    return Keys().uses([native])[1:]
