"""The gradient strategies, one a file. Adding one adds a file and its name here."""

from ppl.compiler.estimators.strategies import (  # noqa: F401 (each registers itself)
    enumeration,
    mvd,
    reparam,
    score,
)
from ppl.compiler.estimators.strategies.score import Score

__all__ = ["Score"]
