"""Counter-based randomness: keyed, reproducible, independent streams."""

import numpy as np
import pytest
from scipy import stats

from ppl.errors import PplError
from ppl.inference.random import ChainStreams, check_seed, purpose_word, stream


def test_moving_one_generator_gives_the_numbers_of_a_fresh_one():
    streams = ChainStreams(3, 1)
    for step in (0, 5, 2, 5):
        moved = streams.at("a", step)
        fresh = stream(3, 1, "a", step)
        # an odd count of 32-bit integers leaves half a word behind, which must not leak into the next stream
        assert (
            moved.integers(0, 100, 3, dtype=np.uint32) == fresh.integers(0, 100, 3, dtype=np.uint32)
        ).all()
        assert (moved.standard_normal(7) == fresh.standard_normal(7)).all()


def test_every_part_of_the_name_matters():
    names = [(1, 0, "a", 0), (2, 0, "a", 0), (1, 1, "a", 0), (1, 0, "b", 0), (1, 0, "a", 1)]
    draws = {stream(*name).bytes(16) for name in names}
    assert len(draws) == len(names)


def test_the_stream_is_philox_with_the_documented_key_and_counter():
    counter = np.array([0, 0, 9, purpose_word("x")], np.uint64)
    expected = np.random.Generator(np.random.Philox(key=np.array([7, 4], np.uint64), counter=counter))
    assert (stream(7, 4, "x", 9).random(11) == expected.random(11)).all()


def test_purpose_words_do_not_depend_on_the_process():
    assert purpose_word("transition") == 0xA4A854BF69F92DDA


def test_first_numbers_of_neighbouring_streams_are_uniform_and_uncorrelated():
    n = 2000
    u = np.array([[stream(1, chain, "t", step).random() for step in range(n)] for chain in (0, 1)])
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    for a, b in ((u[0], u[1]), (u[0, :-1], u[0, 1:])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(n)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", None, True, 2**64])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(PplError, match="seed"):
        check_seed(seed)


def test_largest_seed_is_accepted():
    assert check_seed(np.int64(5)) == 5
    stream(2**64 - 1, 3, "a").random()
