"""Natives are compiled afresh in these tests, unless a test asks for the cache."""

import pytest


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPL_CACHE", "off")
