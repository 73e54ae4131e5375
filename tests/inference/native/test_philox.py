"""Counter-based random numbers: the published answers, and the distributions they are turned into."""

import numpy as np
import pytest
from scipy import stats

from ppl.compiler.native import build
from ppl.inference.mcmc.native.philox import WORD, normals, philox, uniform


@pytest.fixture(scope="module", params=["python", "compiled"])
def functions(request):
    if request.param == "python":
        return {"philox": philox, "normals": normals, "uniform": uniform}
    return build([philox, normals, uniform], name="test philox")


# Random123, file kat_vectors, "philox4x32 10": counter, key, result.
PUBLISHED = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "result"), PUBLISHED)
def test_published_answers(functions, counter, key, result):
    a, b, c, d = (int(word, 16) for word in counter.split())
    low, high = (int(word, 16) for word in key.split())
    seed = np.uint64(low | high << 32).astype(np.int64)
    words = np.zeros(16, np.int64)
    functions["philox"](words, a, b, c, d, int(seed))
    got = [int(words[0]) & WORD, int(words[0]) >> 32 & WORD, int(words[8]) & WORD, int(words[8]) >> 32 & WORD]
    assert " ".join(f"{word:08x}" for word in got) == result


def test_eight_blocks_are_eight_counters(functions):
    all_words, one = np.zeros(16, np.int64), np.zeros(16, np.int64)
    functions["philox"](all_words, 5, 1, 2, 3, -4)
    for j in range(8):
        functions["philox"](one, 5 + j, 1, 2, 3, -4)
        assert (one[[0, 8]] == all_words[[j, 8 + j]]).all()


def test_uniforms_have_53_bits_below_one(functions):
    assert functions["uniform"](0) == 0.0
    assert functions["uniform"](-1) == 1.0 - 2.0**-53  # all ones
    assert functions["uniform"](1 << 11) == 2.0**-53


def draw(functions, dim, first=0, iteration=1, chain=0, purpose=1, seed=3):
    n = 16 * -(-dim // 16)
    z, words = np.full(n, 9.0), np.zeros(16, np.int64)
    functions["normals"](z, words, dim, n, first, iteration, chain, purpose, seed)
    assert (z[dim:] == 0).all()
    return z[:dim]


def test_normals_do_not_depend_on_how_many_are_drawn(functions):
    many = draw(functions, 100)
    assert (draw(functions, 5) == many[:5]).all() and (draw(functions, 40) == many[:40]).all()
    assert (draw(functions, 20, first=16) == many[16:36]).all()


@pytest.mark.parametrize("change", ["iteration", "chain", "purpose", "seed"])
def test_streams_differ_by_everything_they_are_named_by(functions, change):
    assert (draw(functions, 50) != draw(functions, 50, **{change: 8})).all()


def test_normals_are_normal_and_uncorrelated():
    compiled = build([philox, normals, uniform], name="test philox")
    z = np.stack([draw(compiled, 64, iteration=i) for i in range(2000)])
    assert stats.kstest(z.ravel(), stats.norm.cdf).pvalue > 1e-3
    assert stats.kstest((z[:, :8] ** 2 + z[:, 8:16] ** 2).ravel(), stats.chi2(2).cdf).pvalue > 1e-3
    angles = np.arctan2(z[:, 8:16], z[:, :8]).ravel() / (2 * np.pi) + 0.5
    assert stats.kstest(angles, stats.uniform.cdf).pvalue > 1e-3
    correlations = np.corrcoef(np.concatenate([z[:-1], z[1:]], axis=1).T)[np.triu_indices(128, 1)]
    # 8128 of them, each about N(0, 1/1999): the largest of so many is below 5 standard deviations
    assert np.abs(correlations).max() < 5 / np.sqrt(1999)
    assert abs(correlations.std() * np.sqrt(1999) - 1) < 5 / np.sqrt(2 * 8128)
