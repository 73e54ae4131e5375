"""Every mistake in `programs/` is refused with the text in `golden/`, compared in full.

`REGENERATE=1 pytest tests/errors` writes the texts anew; read the difference before keeping it.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

import ppl

HERE = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))
FOREIGN = {
    "argument_list",
    "argument_none",
    "constant_index_beyond_length",
    "distribution_misspelt_parameter",
    "mismatched_matmul",
    "mismatched_parameters",
    "mistake_in_python",
    "numpy_array_times_random",
    "numpy_sum_of_random",
    "too_many_indices",
}
"""Errors of Python and torch: they stay what they are, and carry the place as a note."""

INTERPRETED = """
    argument_list broadcast_to_matrix block_data cond_not_functions cond_vector_condition
    condition_factor data_column data_complex data_extra_axis data_for_do data_infinite data_length
    data_none data_of_vector_transposed data_ragged data_scalar data_strings data_transposed
    dims_of_plate_size distribution_misspelt_parameter do_shape duplicate_in_python_loop
    duplicate_site mask_float mask_shape mismatched_parameters missing_count missing_in_dirichlet
    observe_broadcast observe_scalar_site observed_twice param_bad_constraint plate_enumerate
    plate_size_float plate_two_sizes reparam_no_form sample_class sample_dims_sizes
    sample_name_number sample_number sample_program sample_swapped sample_unknown_option
    sample_without_name scale_nan_constant scale_negative scale_shape scale_zero_constant
    scan_carry_structure scan_data_length scan_no_length scan_returns_none subprogram_scale
    subprogram_unknown_name
""".split()  # noqa: SIM905 (easier to read)
"""Programs that both runtimes refuse in the same words."""


def message(name: str) -> tuple[Exception, str]:
    """The error of a program, and its text as a user reads it."""
    path = HERE / "programs" / f"{name}.py"
    linecache.checkcache(str(path))
    try:
        exec(compile(path.read_text("utf-8"), str(path), "exec"), {"__name__": "__main__"})
    except Exception as error:
        kind = "" if isinstance(error, ppl.PplError) else f"{type(error).__name__}: "
        return error, "\n".join([kind + str(error), *getattr(error, "__notes__", [])]) + "\n"
    raise AssertionError(f"{path.name} raises nothing")


@pytest.mark.parametrize("name", PROGRAMS)
def test_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    error, text = message(name)
    golden = HERE / "golden" / f"{name}.txt"
    if os.environ.get("REGENERATE"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")
    assert isinstance(error, ppl.PplError) != (name in FOREIGN)


@pytest.mark.parametrize("name", PROGRAMS)
def test_message_is_complete(name: str) -> None:
    """Place, source line, what was expected and found, and an edit; nothing of what goes on inside."""
    text = (HERE / "golden" / f"{name}.txt").read_text("utf-8")
    assert f"programs/{name}.py:" in text and " | " in text
    if name not in FOREIGN:
        for label in ("  expected: ", "  found:    ", "  edit:     "):
            assert label in text
    for inside in ("Traceback", "site-packages", "meta", "Node", "0x", "aten::", "_local_scalar"):
        assert inside not in text


@pytest.mark.parametrize("name", INTERPRETED)
def test_the_interpreter_says_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(bound: ppl.Bound, data: Mapping[str, object]) -> ppl.Trace:
        return ppl.simulate(bound.condition(data), seed=0)

    monkeypatch.chdir(HERE)
    monkeypatch.setattr(ppl, "infer", lambda bound, data=None: simulate(bound, data or {}))
    assert message(name)[1] == (HERE / "golden" / f"{name}.txt").read_text("utf-8")


def test_every_golden_text_has_its_program() -> None:
    assert sorted(path.stem for path in (HERE / "golden").glob("*.txt")) == PROGRAMS
