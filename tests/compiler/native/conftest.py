"""Natives are compiled afresh in these tests, unless a test asks for the cache."""

import pytest

from ppl.compiler.native import build, from_source


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPL_CACHE", "off")


@pytest.fixture(scope="module")
def fused() -> None:
    """Left out where `muladd` is two instructions: there compiled code may differ from Python in last digits."""
    [f] = from_source("def f(x: f64, y: f64, z: f64) -> f64:\n    return muladd(x, y, z)\n", "fused")
    if build([f])["f"](0.1, 10.0, -1.0) == 0.0:
        pytest.skip("this machine does not fuse products and sums")
