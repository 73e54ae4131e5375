"""What the subset refuses: the whole text of the error, as it stands in `refusals.txt`.

Each entry there is `=== name`, the text of functions of which the last is built, `---`, and the error.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ppl.compiler.native import Floats, NativeError, build, f64, from_source, native

_ENTRY = re.compile(r"^=== (.*)\n((?:.*\n)*?)---\n((?:.*\n)*?)(?=^===|\Z)", re.MULTILINE)
GOLDEN = {
    name: (source, error.rstrip("\n") + "\n")
    for name, source, error in _ENTRY.findall(Path(__file__).with_name("refusals.txt").read_text("utf-8"))
}


def plain(x: float) -> float:
    return x


def refused(source: str) -> str:
    """The error of building a text, its file under the name it was first given."""
    with pytest.raises(NativeError) as caught:
        build(from_source(source, "t", {"plain": plain, "table": np.zeros(3)})[-1:])
    return re.sub(r"<native t \d+>", "<native t>", str(caught.value)) + "\n"


def test_the_golden_file_is_read() -> None:
    assert len(GOLDEN) >= 50


@pytest.mark.parametrize("name", list(GOLDEN))
def test_refusal(name: str) -> None:
    source, error = GOLDEN[name]
    assert refused(source) == error


@native
def of_a_file(x: f64, σ: Floats) -> f64:
    total = 0.0
    total = [x]
    return total + σ[0]


def test_an_error_in_a_file_names_its_line_and_characters() -> None:
    with pytest.raises(NativeError) as caught:
        build([of_a_file])
    where = caught.value.where
    assert where is not None
    assert where.file == __file__
    line = Path(__file__).read_text("utf-8").splitlines()[where.line - 1]
    assert line[where.column - 1 : where.end_column - 1] == "[x]"


def test_an_error_in_an_enclosed_function_has_its_own_columns() -> None:
    @native
    def inner(x: f64) -> f64:
        return x + missing  # noqa: F821

    with pytest.raises(NativeError) as caught:
        build([inner])
    assert str(caught.value).splitlines()[2].strip().endswith("return x + missing  # noqa: F821")
    assert "^^^^^^^" in str(caught.value)
    assert caught.value.headline == "`missing` is not defined"


def test_a_function_without_a_source_is_refused() -> None:
    space: dict[str, object] = {"f64": f64}
    exec("def f(x: f64) -> f64:\n    return x\n", space)
    with pytest.raises(NativeError, match="the source of `f` can't be read"):
        build([native(space["f"])])


def test_native_marks_functions_only() -> None:
    with pytest.raises(NativeError, match="@native marks a function"):
        native(3)


def test_two_functions_of_one_name_are_refused() -> None:
    f, g = (from_source(f"def f(x: f64) -> f64:\n    return {x}.0\n", "t")[0] for x in (1, 2))
    with pytest.raises(NativeError, match="two functions of a library are called `f`"):
        build([f, g])
    with pytest.raises(NativeError, match="`f` is defined twice"):
        from_source("def f(x: f64) -> f64:\n    return x\ndef f(x: f64) -> f64:\n    return x\n", "t")
