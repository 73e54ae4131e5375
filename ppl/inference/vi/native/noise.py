"""Standard noise by counting: the numbers of a step depend on (seed, step, particle) and their place alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppl.compiler.native import Floats, Ints, f64, i64, math, native
from ppl.errors import MethodError, closest
from ppl.inference.mcmc.native.philox import BLOCKS, NOISE, WORDS, normals, philox

NORMAL, UNIFORM, EXPONENTIAL = 0, 1, 2
KINDS = {"normal": NORMAL, "uniform": UNIFORM, "exponential": EXPONENTIAL}

# A row of the table of segments: the kind, where it begins, how long it is, and how many numbers of the stream
# come before it.
KIND, START, SIZE, FIRST, SEGMENT = 0, 1, 2, 3, 4

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


@native(inline=False)
def fill_noise(
    noise: Floats, words: Ints, segments: Ints, count: i64, step: i64, particle: i64, seed: i64
) -> None:
    """Fill all segments, first to last: what one writes beyond its end the next one writes over.

    Args:
        noise: reaches to a multiple of 16 beyond the start of the last segment.
        words: scratch of 16 words.
        segments: [count, 4], see `table_of`.
        step, particle: numbers of the estimate, below 2³².
    """
    for s in range(count):
        row = segments[SEGMENT * s :]
        z = noise[row[START] :]
        if row[KIND] == NORMAL:
            normals(z, words, row[SIZE], row[SIZE], row[FIRST], step, particle, NOISE, seed)
        else:
            uniforms(z, words, row[SIZE], row[FIRST], step, particle, seed, row[KIND] == EXPONENTIAL)


def table_of(kinds: Sequence[tuple[str, int]]) -> NDArray[np.int64]:
    """Kinds and sizes, in the order of the noise vector, as the table [segments, 4] that `fill_noise` reads.

    Neighbours of one kind become one segment; empty ones are left out.

    >>> table_of([("normal", 3), ("normal", 20), ("uniform", 1)]).tolist()
    [[0, 0, 23, 0], [1, 23, 1, 32]]
    """
    merged: list[tuple[str, int]] = []
    for kind, size in kinds:
        if kind not in KINDS:
            near = closest(str(kind), KINDS) or list(KINDS)
            raise MethodError(
                f"there is no noise of kind {kind!r}",
                expected=", ".join(f'"{name}"' for name in KINDS),
                found=f"({kind!r}, {size})",
                edit=f'("{near[0]}", {size})',
            )
        if merged and merged[-1][0] == kind:
            merged[-1] = (kind, merged[-1][1] + size)
        elif size:
            merged.append((kind, size))
    rows, start, first = [], 0, 0
    for kind, size in merged:
        rows.append([KINDS[kind], start, size, first])
        start += size
        first += WORDS * -(-size // WORDS)
    return np.array(rows, np.int64).reshape(len(rows), SEGMENT)


__all__ = ["KINDS", "fill_noise", "open_uniform", "table_of", "uniforms"]
