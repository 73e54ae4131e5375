"""Pareto smoothing: against ArviZ's, and against tails that are known."""

from __future__ import annotations

import arviz
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppl.results.psis import fit_pareto, quantiles, smooth


def weights(kind: str, n: int, spread: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    draws = {
        "normal": lambda: rng.normal(size=n),
        "heavy": lambda: rng.standard_t(3, size=n),
        "skewed": lambda: rng.exponential(size=n),
        "rounded": lambda: rng.integers(0, 40, size=n) / 10.0,
    }
    return spread * draws[kind]() + 3.0


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(["normal", "heavy", "skewed", "rounded"]),
    n=st.integers(100, 4000),
    spread=st.sampled_from([0.01, 0.3, 1.0, 3.0, 10.0, 50.0, 500.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_as_arviz_has_it(kind: str, n: int, spread: float, seed: int) -> None:
    log_w = weights(kind, n, spread, seed)
    found, k = smooth(log_w.copy())
    with np.errstate(all="ignore"):
        expected, expected_k = arviz.psislw(log_w.copy())
    np.testing.assert_allclose(k, float(expected_k), rtol=1e-9, atol=1e-9)
    # Equal weights may change places.
    np.testing.assert_allclose(np.sort(found), np.sort(np.asarray(expected)), rtol=0, atol=1e-7)
    np.testing.assert_array_equal(
        np.argsort(found, kind="stable")[: n // 2], np.argsort(log_w, kind="stable")[: n // 2]
    )
    assert np.exp(found).sum() == pytest.approx(1.0)


def test_the_weights_given_are_left_alone() -> None:
    log_w = weights("heavy", 1000, 2.0, 0)
    before = log_w.copy()
    smooth(log_w)
    np.testing.assert_array_equal(log_w, before)


@pytest.mark.parametrize(("shape", "scale"), [(-0.3, 1.0), (0.2, 2.0), (0.7, 0.5), (1.2, 3.0)])
def test_a_known_tail_is_found(shape: float, scale: float) -> None:
    """The fit's standard error is about (1 + k)/√n, of the scale about √(2 (1 + k)) σ/√n."""
    n = 40_000
    draws = np.sort(quantiles(np.random.default_rng(2).uniform(size=n), shape, scale))
    k, sigma = fit_pareto(draws)
    assert abs(k - shape) < 4 * (1 + shape) / np.sqrt(n) + 10 * abs(0.5 - shape) / n
    assert abs(sigma - scale) < 4 * np.sqrt(2 * (1 + shape)) * scale / np.sqrt(n)


def test_a_tail_without_a_shape_is_exponential() -> None:
    shares = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(quantiles(shares, 0.0, 2.0), quantiles(shares, 1e-9, 2.0), rtol=1e-7)


def test_equal_weights_have_no_tail() -> None:
    """Nothing lies above the cutoff: ArviZ says the same."""
    found, k = smooth(np.zeros(200))
    assert k == np.inf
    np.testing.assert_allclose(found, -np.log(200.0))


def test_an_optimisation_does_not_load_arviz() -> None:
    import subprocess
    import sys

    text = (
        "import sys, torch, ppl; from ppl.distributions import Normal\n"
        "@ppl.model\n"
        "def m():\n"
        "    x = ppl.sample('x', Normal(0.0, 1.0)); ppl.sample('y', Normal(x, 1.0))\n"
        "p = ppl.infer(m().condition(y=1.0), method=ppl.VI(steps=50), draws=200, progress=False)\n"
        "assert p.khat is not None\n"
        "print([n for n in ('arviz', 'numba', 'xarray', 'matplotlib', 'scipy.stats') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
