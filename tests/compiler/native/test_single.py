"""The functions for one number at a time have the meaning of those that vectorise."""

from __future__ import annotations

import math

import pytest

from ppl.compiler.native import Native, build, from_source
from ppl.compiler.native.special import CALLED, SPECIAL, single

NUMBERS = [
    -math.inf,
    -1e308,
    -800.0,
    -37.5,
    -1.0,
    -1e-9,
    -5e-324,
    -0.0,
    0.0,
    1e-300,
    0.3,
    1.0,
    2.5,
    37.5,
    800.0,
]
NUMBERS += [1e308, math.inf, math.nan]
NAMES = [name for name in SPECIAL if isinstance(getattr(single, name, None), Native)]
OF_TWO = ("xlogy", "logaddexp", "pow")


def arguments(name: str) -> list[tuple[float, ...]]:
    if name == "softplus":
        return [(x, beta, 20.0) for x in NUMBERS for beta in (1.0, 2.5)]
    return [(x, y) for x in NUMBERS for y in NUMBERS] if name in OF_TWO else [(x,) for x in NUMBERS]


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= 1e-13 * abs(b) + 1e-320


def test_they_are_the_ones_that_are_called() -> None:
    assert len(NAMES) == 14
    assert all(CALLED[name] is getattr(single, name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_one_that_vectorises(name: str) -> None:
    for given in arguments(name):
        found, expected = CALLED[name](*given), SPECIAL[name](*given)
        assert same(found, expected), f"{name}{given} = {found}, expected {expected}"


@pytest.mark.parametrize("name", ["exp", "log_sigmoid", "logaddexp"])
def test_machine_code_calls_the_c_library(name: str) -> None:
    parameters = ["x", "y"][: len(arguments(name)[0])]
    header = ", ".join(f"{p}: f64" for p in parameters)
    text = f"def f({header}) -> f64:\n    return g({', '.join(parameters)})\n"
    library = build(from_source(text, "single", {"g": CALLED[name]}))
    assert "@exp(" in library.ir
    for given in arguments(name):
        assert same(library["f"](*given), CALLED[name](*given))
