"""The checker's tables say what the registry and torch say."""

from __future__ import annotations

from pathlib import Path

from syntax.describe import text

import ppl.syntax
from ppl.syntax.functions import ALIASES, FUNCTIONS
from ppl.syntax.mathematics import FUNCTIONS as COMPUTED


def test_the_table_of_families_is_that_of_the_registry():
    path = Path(ppl.syntax.__file__).parent / "families.json"
    assert path.read_text(encoding="utf-8") == text(), (
        "python tests/syntax/describe.py > ppl/syntax/families.json"
    )


def test_every_function_is_known_to_both_sides():
    assert set(FUNCTIONS) == set(COMPUTED)
    assert set(ALIASES.values()) <= set(FUNCTIONS)
