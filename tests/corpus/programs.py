"""The corpus: every program that the engines are compared on, by name."""

from __future__ import annotations

# Importing them fills HANDWRITTEN.
from corpus import features, processes, regressions, structures, tensors  # noqa: F401
from corpus.entry import HANDWRITTEN, Entry
from corpus.families import OF_FAMILIES
from corpus.gathered import GATHERED

CORPUS: dict[str, Entry] = {**GATHERED, **HANDWRITTEN, **OF_FAMILIES}
