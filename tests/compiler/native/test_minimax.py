"""The coefficients in the source are those that `minimax` finds, and approximate as the comments say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from compiler.native import minimax

import ppl.compiler.native.special as special

# Relative errors with rounded coefficients. Rounding costs up to 2⁻⁵³ for each of numerator and denominator;
# the series behind log, pow, Stirling and the like are themselves 1/10 to 1/1000 of the result.
BOUNDS = {
    "log": 5e-16,
    "log1p_unit": 2e-16,
    "pow": 8e-16,
    "erfc_inverse": 1e-7,
    "lgamma_tail": 4e-16,
    "digamma_tail": 5e-15,
    "trigamma_tail": 2e-15,
}


def literals() -> set[float]:
    """Every number in the special functions' source, without its sign."""
    found = set()
    for path in Path(special.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, float):
                found.add(node.value)
    return found


@pytest.mark.parametrize("name", minimax.FITS)
def test_fits_give_the_coefficients_in_the_source(name: str) -> None:
    above, below = minimax.coefficients(name)
    if name == "erf":  # the source has erf(x) = x + x (…)
        above = [0.1283791670955126, *above[1:]]
    assert not {abs(c) for c in [*above, *below]} - literals()
    assert minimax.error(name) <= BOUNDS.get(name, 1.5e-16)
