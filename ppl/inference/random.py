"""Counter-based randomness: numbers depend on what they are for, not on who draws beside.

A stream of random numbers is named by four things, `(seed, chain, purpose, step)`, and is a numpy generator
on the Philox 4×64-10 block cipher (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", section
3):

    key     = (seed, chain)
    counter = (0, 0, step, hash of purpose)

The two low words of the counter count blocks within the stream, so a stream holds 2¹²⁸ blocks and no two
streams overlap. As nothing is carried from one step to the next, chains give the same numbers run together or
apart, and a resumed run continues exactly without saving any generator state.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.random import Generator, Philox

from ppl.errors import PplError

_WORD = 1 << 64


@lru_cache(maxsize=1024)
def purpose_word(purpose: str) -> int:
    """A 64-bit number for a purpose's name: the same in every process and version (unlike `hash`).

    >>> purpose_word("transition") == purpose_word("transition") != purpose_word("initial")
    True
    """
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


def check_seed(seed: int) -> int:
    """`seed` as a Python int in [0, 2⁶⁴); raises `PplError` otherwise.

    >>> check_seed(7)
    7
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= int(seed) < _WORD:
        raise PplError(
            "the seed must be a whole number from 0 to 2**64 - 1",
            expected="an int, 0 <= seed < 2**64",
            found=repr(seed),
            edit="seed=0",
        )
    return int(seed)


class ChainStreams:
    """All streams of one (seed, chain), served by one generator that is moved from stream to stream.

    Moving costs 2 µs where a new generator costs 13. The generator that `at` returns is good until the next
    call of `at`.

    >>> streams = ChainStreams(seed=1, chain=0)
    >>> x = streams.at("transition", 5).random()
    >>> x == stream(1, 0, "transition", 5).random()
    True
    """

    __slots__ = ("_bits", "_generator", "_state", "_counter")

    def __init__(self, seed: int, chain: int) -> None:
        key = np.array([check_seed(seed), int(chain)], dtype=np.uint64)
        self._bits = Philox(key=key)
        self._generator = Generator(self._bits)
        # A fresh state is kept as a template: its buffer is empty (buffer_pos 4) and it holds no left-over
        # half word.
        self._state = self._bits.state
        self._counter = np.zeros(4, dtype=np.uint64)
        self._state["state"] = {"counter": self._counter, "key": key}

    def at(self, purpose: str, step: int = 0) -> Generator:
        """The generator, placed at the beginning of stream (purpose, step)."""
        self._counter[:] = (0, 0, step, purpose_word(purpose))
        self._bits.state = self._state
        return self._generator


def stream(seed: int, chain: int, purpose: str, step: int = 0) -> Generator:
    """A generator of its own for (seed, chain, purpose, step).

    Args:
        seed: the run's seed, 0 ≤ seed < 2⁶⁴.
        chain: the chain's number, ≥ 0.
        purpose: what the numbers are for ("transition", "initial", …): different purposes are independent
            streams.
        step: the iteration, ≥ 0.

    >>> bool((stream(1, 2, "a", 3).random(4) == stream(1, 2, "a", 3).random(4)).all())
    True
    >>> bool((stream(1, 2, "a", 3).random(4) == stream(1, 2, "a", 4).random(4)).any())
    False
    """
    return ChainStreams(seed, chain).at(purpose, step)
