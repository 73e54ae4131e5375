"""A text of the subset run twice, as Python and compiled: results and arrays are compared."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ppl.compiler.native import Compiled, Native, build, from_source


def one(source: str, **uses: Any) -> tuple[Native[..., Any], Compiled]:
    """The last function of a text, as Python and compiled."""
    *_, function = from_source(source, "test", uses)
    return function, build([function], "test")[function.name]


def run(function: Any, arguments: tuple[Any, ...]) -> tuple[Any, list[np.ndarray]]:
    """A function's result on copies of the arrays, and these arrays after."""
    given = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    with np.errstate(all="ignore"):
        result = function(*given)
    return result, [a for a in given if isinstance(a, np.ndarray)]


def same(source: str, *arguments: Any, rtol: float = 0.0, **uses: Any) -> Any:
    """Check that compiled code agrees with Python, to the bit unless told otherwise; Python's result."""
    python, compiled = one(source, **uses)
    expected, expected_arrays = run(python, arguments)
    found, found_arrays = run(compiled, arguments)
    assert type(found) is (type(expected) if not isinstance(expected, np.generic) else type(expected.item()))
    close(found, expected, rtol)
    for after, wanted in zip(found_arrays, expected_arrays, strict=True):
        np.testing.assert_allclose(after, wanted, rtol=rtol, atol=0.0)
    return expected


def close(found: Any, expected: Any, rtol: float) -> None:
    if not isinstance(expected, float):
        assert found == expected
    elif math.isnan(expected):
        assert math.isnan(found)
    else:
        assert math.isclose(found, expected, rel_tol=rtol, abs_tol=0.0), (found, expected)
        if expected == 0.0 and rtol == 0.0:
            assert math.copysign(1.0, found) == math.copysign(1.0, expected), "the sign of zero"
