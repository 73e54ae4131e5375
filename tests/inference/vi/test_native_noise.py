"""The noise of optimisation: its distributions, and what its numbers depend on."""

import numpy as np
import pytest
from scipy import stats

from ppl.compiler.native import build
from ppl.errors import MethodError
from ppl.inference.vi.native.noise import fill_noise, pools_of, table_of


@pytest.fixture(scope="module", params=["python", "compiled"])
def fill(request):
    return fill_noise if request.param == "python" else build([fill_noise], name="test noise")["fill_noise"]


MIXED = [("normal", 20), ("uniform", 17), ("exponential", 33), ("normal", 1)]


def draw(fill, kinds, step=3, particle=0, seed=7):
    table, size = table_of(kinds), sum(n for _, n in kinds)
    noise = np.full(size + 15, np.nan)
    fill(noise, np.zeros(16, np.int64), table.reshape(-1), len(table), step, particle, seed)
    return noise[:size]


@pytest.mark.parametrize("change", ["step", "particle", "seed"])
def test_every_number_depends_on_what_names_it(fill, change):
    first = draw(fill, MIXED)
    assert (draw(fill, MIXED) == first).all()
    assert (draw(fill, MIXED, **{change: 8}) != first).all()


def test_numbers_do_not_depend_on_what_follows(fill):
    assert (draw(fill, MIXED[:2]) == draw(fill, MIXED)[:37]).all()


def test_segments_do_not_share_random_words(fill):
    """Exponentials are −log of uniforms of the same place in the stream: of two segments none agrees."""
    noise = draw(fill, [("uniform", 16), ("exponential", 16), ("uniform", 16)])
    first, middle, last = noise[:16], np.exp(-noise[16:32]), noise[32:]
    for a, b in ((first, middle), (first, last), (middle, last)):
        assert np.abs(a[:, None] - b).min() > 1e-9
    assert np.allclose(np.exp(-draw(fill, [("exponential", 16)])), first, rtol=1e-14)


def test_noise_has_its_distributions_and_steps_are_independent():
    compiled = build([fill_noise], name="test noise")["fill_noise"]
    steps = 4000
    kinds = [("normal", 8), ("uniform", 8), ("exponential", 8)]
    z = np.stack([draw(compiled, kinds, step) for step in range(steps)])
    for columns, family in ((z[:, :8], stats.norm), (z[:, 8:16], stats.uniform), (z[:, 16:], stats.expon)):
        assert stats.kstest(columns.ravel(), family.cdf).pvalue > 1e-3
        for moment in (1, 2):  # the mean of x and x², within 5 of their standard errors
            found = (columns**moment).ravel()
            assert abs(found.mean() - family.moment(moment)) < 5 * found.std() / np.sqrt(found.size)
    scores = np.concatenate([z[:-1], z[1:]], axis=1)  # one step beside the next
    correlations = np.corrcoef(scores.T)[np.triu_indices(48, 1)]
    # 1128 of them, each about N(0, 1/3999): none beyond 5 standard deviations
    assert np.abs(correlations).max() < 5 / np.sqrt(steps - 1)
    assert abs(correlations.std() * np.sqrt(steps - 1) - 1) < 5 / np.sqrt(2 * correlations.size)


def test_uniforms_are_strictly_inside():
    from ppl.inference.vi.native.noise import open_uniform

    for word in (0, -1, 1 << 12, -(1 << 63), (1 << 63) - 1):
        assert 0.0 < open_uniform(word) < 1.0
    assert open_uniform(-1) + open_uniform(0) == 1.0


def test_an_unknown_kind_is_refused():
    with pytest.raises(MethodError) as caught:
        table_of([("normals", 3)])
    assert caught.value.edit == '("normal", 3)'
    assert table_of([("normal", 0)]).shape == (0, 6)


def test_subsamples_are_of_different_elements_and_equally_likely(fill):
    """Of 5 elements 2: ten subsets; the elements to draw from are in order again after each draw."""
    kinds = [("normal", 3), ("subsample", 2, 5), ("subsample", 4, 4)]
    pools = pools_of(kinds)
    table = table_of(kinds, pools)
    steps = 300 if fill is fill_noise else 20_000
    noise, counts = np.zeros(9 + 15), np.zeros((5, 5))
    for step in range(steps):
        fill(noise, np.zeros(16, np.int64), table.reshape(-1), len(table), step, 0, 7)
        a, b = sorted(noise[3:5].astype(int))
        counts[a, b] += 1
        assert sorted(noise[5:9]) == [0, 1, 2, 3] and np.isin(noise[3:5], range(5)).all()
    assert (pools[0] == range(5)).all() and (pools[1] == range(4)).all()
    assert counts.trace() == 0
    assert stats.chisquare(counts[np.triu_indices(5, 1)]).pvalue > 1e-3


def test_subsamples_are_the_same_in_python_and_in_machine_code():
    kinds = [("subsample", 20, 1000)]
    drawn = []
    for fill in (fill_noise, build([fill_noise], name="test noise")["fill_noise"]):
        pools = pools_of(kinds)
        table, noise = table_of(kinds, pools), np.zeros(32 + 15)
        fill(noise, np.zeros(16, np.int64), table.reshape(-1), len(table), 3, 1, 7)
        drawn.append(noise[:20].tolist())
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 20
