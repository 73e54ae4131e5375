"""Standard noise by counting: the numbers of a step depend on (seed, step, particle) and their place alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppl.compiler.native import Floats, Ints, as_floats, f64, i64, math, native
from ppl.errors import MethodError, closest
from ppl.inference.mcmc.native.philox import BLOCKS, NOISE, WORDS, normals, philox

NORMAL, UNIFORM, EXPONENTIAL, SUBSAMPLE = 0, 1, 2, 3
KINDS = {"normal": NORMAL, "uniform": UNIFORM, "exponential": EXPONENTIAL, "subsample": SUBSAMPLE}

Kind = tuple[str, int] | tuple[str, int, int]
"""A kind of noise and how many numbers of it; of a subsample also how many elements there are to draw from."""

# A row of the table of segments: the kind, where it begins, how long it is, how many numbers of the stream come
# before it; of a subsample the elements to draw from, and the address of their numbers.
KIND, START, SIZE, FIRST, OF, POOL, SEGMENT = 0, 1, 2, 3, 4, 5, 6

LOW_52 = (1 << 52) - 1
ULP = 1.0 / (1 << 52)


@native(inline=True)
def open_uniform(word: i64) -> f64:
    """The 52 high bits k of a word as (k + ½) 2⁻⁵², a number in (0, 1): its logarithm is finite.

    >>> open_uniform(0) == 2.0**-53, open_uniform(-1) == 1.0 - 2.0**-53
    (True, True)
    """
    return (float((word >> 12) & LOW_52) + 0.5) * ULP


@native
def uniforms(
    z: Floats, words: Ints, size: i64, first: i64, iteration: i64, chain: i64, seed: i64, exponential: bool
) -> None:
    """z[:size] uniform on (0, 1), or standard exponential: −log of these; writes up to a multiple of 16.

    Args:
        words: scratch of 16 words.
        first: how many numbers of the stream to pass over, a multiple of 16.
        iteration, chain, seed: the stream, see `philox`.
    """
    for chunk in range((size + WORDS - 1) // WORDS):
        philox(words, (first >> 1) + chunk * BLOCKS, iteration, chain, NOISE, seed)
        out = z[chunk * WORDS :]
        if exponential:
            for j in range(WORDS):
                out[j] = -math.log(open_uniform(words[j]))
        else:
            for j in range(WORDS):
                out[j] = open_uniform(words[j])


@native
def draw_subsample(z: Floats, size: i64, pool: Floats, of: i64) -> None:
    """z[:size], uniform on (0, 1), become different whole numbers below `of`, every subset equally likely: the first
    places of a Fisher–Yates shuffle of pool = 0, 1, …, which is then undone, so that nothing is carried along.
    """
    for j in range(size):
        k = j + min(int(z[j] * float(of - j)), of - j - 1)
        z[j] = float(k)
        held = pool[j]
        pool[j] = pool[k]
        pool[k] = held
    for back in range(size):
        j = size - 1 - back
        k = int(z[j])
        z[j] = pool[j]
        pool[j] = pool[k]
        pool[k] = z[j]


@native(inline=False)
def fill_noise(
    noise: Floats, words: Ints, segments: Ints, count: i64, step: i64, particle: i64, seed: i64
) -> None:
    """Fill all segments, first to last: what one writes beyond its end the next one writes over.

    Args:
        noise: reaches to a multiple of 16 beyond the start of the last segment.
        words: scratch of 16 words.
        segments: [count, 6], see `table_of`.
        step, particle: numbers of the estimate, below 2³².
    """
    for s in range(count):
        row = segments[SEGMENT * s :]
        z = noise[row[START] :]
        if row[KIND] == NORMAL:
            normals(z, words, row[SIZE], row[SIZE], row[FIRST], step, particle, NOISE, seed)
        else:
            uniforms(z, words, row[SIZE], row[FIRST], step, particle, seed, row[KIND] == EXPONENTIAL)
            if row[KIND] == SUBSAMPLE:
                draw_subsample(z, row[SIZE], as_floats(row[POOL]), row[OF])


def pools_of(kinds: Sequence[Kind]) -> list[NDArray[np.float64]]:
    """For each subsample the numbers it draws from, as `fill_noise` needs them: 0, 1, …"""
    return [np.arange(of, dtype=np.float64) for kind, size, *more in kinds for of in more if size]


def table_of(kinds: Sequence[Kind], pools: Sequence[NDArray[np.float64]] = ()) -> NDArray[np.int64]:
    """Kinds and sizes, in the order of the noise vector, as the table [segments, 6] that `fill_noise` reads.

    Neighbours of one kind become one segment, but for subsamples; empty ones are left out.

    Args:
        pools: those of the subsamples (`pools_of`); they must live as long as the table is used.

    >>> table_of([("normal", 3), ("normal", 20), ("uniform", 1)]).tolist()
    [[0, 0, 23, 0, 0, 0], [1, 23, 1, 32, 0, 0]]
    """
    merged: list[tuple[str, int]] = []
    for kind, size, *_ in kinds:
        if kind not in KINDS:
            near = closest(str(kind), KINDS) or list(KINDS)
            raise MethodError(
                f"there is no noise of kind {kind!r}",
                expected=", ".join(f'"{name}"' for name in KINDS),
                found=f"({kind!r}, {size})",
                edit=f'("{near[0]}", {size})',
            )
        if merged and merged[-1][0] == kind != "subsample":
            merged[-1] = (kind, merged[-1][1] + size)
        elif size:
            merged.append((kind, size))
    rows, start, first = [], 0, 0
    given = iter(pools)
    for kind, size in merged:
        pool = next(given) if kind == "subsample" else None
        rows.append(
            [KINDS[kind], start, size, first, *((0, 0) if pool is None else (len(pool), pool.ctypes.data))]
        )
        start += size
        first += WORDS * -(-size // WORDS)
    return np.array(rows, np.int64).reshape(len(rows), SEGMENT)


__all__ = ["KINDS", "Kind", "fill_noise", "open_uniform", "pools_of", "table_of", "uniforms"]
