"""Random numbers by counting: Philox 4×32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as
easy as 1, 2, 3"), uniforms and normals from it.

A block of 128 random bits is a function of six 32-bit words, here

    key     = (low word of the seed, its high word)
    counter = (number of the block, iteration, chain, purpose)

so that the numbers of an iteration depend on (seed, chain, iteration) alone: there is no generator to carry
along, to save or to share. Eight blocks are made at a time, which a compiler turns into one pass over vector
registers.
"""

from __future__ import annotations

from ppl.compiler.native import Floats, Ints, f64, i64, math, native, select, wrap

WORD = 0xFFFFFFFF
MULTIPLIER_0, MULTIPLIER_1 = 0xD2511F53, 0xCD9E8D57
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85  # golden ratio, √3 − 1
ROUNDS = 10

BLOCKS = 8
"""Blocks made at a time."""
WORDS = 16
"""64-bit words they hold."""

# What numbers are for: streams of different purposes are independent.
MOMENTUM, CHOICE, FIRST_SEARCH, SEARCH, NOISE = 1, 2, 3, 4, 5

LOW_53 = (1 << 53) - 1
ULP = 1.0 / (1 << 53)
HALF_PI = 1.5707963267948966


@native
def philox(words: Ints, block: i64, iteration: i64, chain: i64, purpose: i64, seed: i64) -> None:
    """Blocks `block` … `block` + 7: words[j] and words[8 + j] are the two halves of block number j of them.

    All arguments but the seed lie in [0, 2³²); the seed is any 64 bits.

    >>> import numpy as np
    >>> words = np.zeros(16, np.int64)
    >>> philox(words, 0, 0, 0, 0, 0)
    >>> hex(words[0] & WORD)
    '0x6627e8d5'
    """
    for j in range(BLOCKS):
        a = int(block + j) & WORD
        b = int(iteration) & WORD
        c = int(chain) & WORD
        d = purpose & WORD
        key_0 = int(seed) & WORD
        key_1 = (int(seed) >> 32) & WORD
        for _ in range(ROUNDS):
            left = MULTIPLIER_0 * a
            right = MULTIPLIER_1 * c
            a = ((right >> 32) & WORD) ^ b ^ key_0
            b = right & WORD
            c = ((left >> 32) & WORD) ^ d ^ key_1
            d = left & WORD
            key_0 = (key_0 + WEYL_0) & WORD
            key_1 = (key_1 + WEYL_1) & WORD
        words[j] = wrap(a | (b << 32))
        words[BLOCKS + j] = wrap(c | (d << 32))


@native(inline=True)
def uniform(word: i64) -> f64:
    """The 53 high bits of a word as a number in [0, 1)."""
    return float((word >> 11) & LOW_53) * ULP


@native(inline=True)
def sine(x: f64) -> f64:
    """sin x for |x| ≤ π/4, by Taylor's series: the rest is below 10⁻¹⁶ of it."""
    t = x * x
    rest = 1.0 / 6227020800.0 - t * (1.0 / 1307674368000.0)
    rest = 1.0 / 362880.0 - t * (1.0 / 39916800.0 - t * rest)
    return x * (1.0 - t * (1.0 / 6.0 - t * (1.0 / 120.0 - t * (1.0 / 5040.0 - t * rest))))


@native(inline=True)
def cosine(x: f64) -> f64:
    """cos x for |x| ≤ π/4, by Taylor's series: the rest is below 10⁻¹⁷."""
    t = x * x
    rest = 1.0 / 87178291200.0 - t * (1.0 / 20922789888000.0)
    rest = 1.0 / 3628800.0 - t * (1.0 / 479001600.0 - t * rest)
    return 1.0 - t * (0.5 - t * (1.0 / 24.0 - t * (1.0 / 720.0 - t * (1.0 / 40320.0 - t * rest))))


@native
def normals(
    z: Floats, words: Ints, dim: i64, n: i64, first: i64, iteration: i64, chain: i64, purpose: i64, seed: i64
) -> None:
    """z[:dim] standard normal, z[dim:n] zero; n is a multiple of 16, and z[i] does not depend on `dim`.

    Box & Muller (1958): √(−2 log u) (cos φ, sin φ) are two independent normals. φ is drawn within π/4 of 0;
    one more bit turns both signs and another exchanges the two, which takes it all round. Nothing branches
    and the number of words is fixed, so the loop vectorises and a normal can be had by its number. As u is a
    multiple of 2⁻⁵³, none lies beyond 8.6, where one in 10¹⁷ would.

    Args:
        words: scratch of 16 words.
        first: how many normals of this stream to pass over, a multiple of 16.
        iteration, chain, purpose, seed: the stream, see `philox`.
    """
    for chunk in range((dim + WORDS - 1) // WORDS):
        philox(words, (first >> 1) + chunk * BLOCKS, iteration, chain, purpose, seed)
        out = z[chunk * WORDS :]
        for j in range(BLOCKS):
            spare = words[BLOCKS + j]  # its 11 lowest bits are not in `uniform`
            radius = math.sqrt(-2.0 * math.log(uniform(words[j]) + ULP))
            radius = select(spare & 1 != 0, -radius, radius)
            angle = HALF_PI * (uniform(spare) - 0.5)
            x = radius * cosine(angle)
            y = radius * sine(angle)
            exchanged = spare & 2 != 0
            out[j] = select(exchanged, y, x)
            out[BLOCKS + j] = select(exchanged, x, y)
    for i in range(dim, n):
        z[i] = 0.0
