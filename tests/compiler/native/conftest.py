"""Natives are compiled afresh in these tests, unless a test asks for the cache."""

import pytest

from ppl.compiler.native import machine


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPL_CACHE", "off")


@pytest.fixture(scope="module")
def fused() -> None:
    """Left out where `muladd` is two instructions: there compiled code may differ from Python in last digits."""
    here = machine.host()
    if here.triple.startswith(("x86", "i386", "i686")) and "+fma" not in here.features.split(","):
        pytest.skip("this machine does not fuse products and sums")
