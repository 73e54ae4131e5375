"""Fixtures of the room of results."""

from __future__ import annotations

import pytest
from results.planted import hierarchical

from ppl.results import Posterior


@pytest.fixture
def posterior() -> Posterior:
    """Clean draws of a small hierarchy."""
    return hierarchical()
