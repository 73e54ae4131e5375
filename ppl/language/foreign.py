"""Errors that Python, torch or NumPy raise inside a user's program: they leave it with the line where they
arose and a way out.
"""

from __future__ import annotations

import linecache
import re
from typing import TYPE_CHECKING

from ppl.compiler.read_outs import INDEX
from ppl.errors import Location, PplError, RecordingError, raised_at

if TYPE_CHECKING:
    from ppl.language.program import Bound

_NUMBERS = "must all be instances of Number, torch.Tensor"
"""What torch's distributions say of a list."""


def placed_error(error: Exception, bound: Bound) -> PplError | None:
    """Give an error on its way out of `bound` its place: ppl's own in its text, others as a note.

    Returns an error to raise instead where the cause is that recorded values have no numbers, else None.
    """
    if isinstance(error, PplError):
        error.where = error.where or raised_at(error)
        if isinstance(error, RecordingError) and error.edit == INDEX:
            error.edit = _as_tensor(bound, error.where) or error.edit
        return None
    if type(error).__module__.startswith("ppl.") or getattr(error, "__notes__", None):
        return None
    where = raised_at(error)
    hint = _hint(error, bound)
    if "meta" in str(error):
        return RecordingError(
            "this call can't be recorded: it needs the numbers of a value that the program draws or that belongs to one element",
            where=where,
            expected="torch functions of tensors",
            found=f"{_origin(error) or 'a call'} that reads values",
            edit=hint or "write it with other torch functions: torch.stack, torch.where, arithmetic",
        )
    if _NUMBERS in str(error):
        return RecordingError(
            "a distribution is made of numbers and tensors",
            where=where,
            expected="a number, a tensor or an array",
            found="a list, or something else that is none of these",
            edit=_as_tensor(bound, where) or "torch.tensor(values), made outside the program",
        )
    place = f", {where}\n{where.excerpt()}" if where is not None else ""
    error.add_note(f"in {bound.program.kind} {bound.name}{place}" + (f"\n  edit:     {hint}" if hint else ""))
    return None


def _hint(error: Exception, bound: Bound) -> str | None:
    """An edit for the usual causes: arguments and constants that are not tensors."""
    tables = [k for k, v in bound.arguments.items() if hasattr(v, "columns")]
    if tables and (_origin(error) == "pandas" or "meta" in str(error)):
        return f"give the columns of '{tables[0]}' as arguments of their own: torch.tensor({tables[0]}[\"…\"].to_numpy())"
    if isinstance(error, AttributeError | TypeError):
        for name, value in bound.arguments.items():
            if value is None and "None" in str(error):
                return f"give the argument '{name}' a value: it is None"
            if isinstance(value, list | tuple) and type(value).__name__ in str(error):
                return _tensor(name)
    if "numpy" in str(error) or _origin(error) == "numpy":
        return "use torch in the program: torch.as_tensor(values) for NumPy arrays, torch.sum for np.sum"
    return None


def _as_tensor(bound: Bound, where: Location | None) -> str | None:
    """An edit for the line where a list that the program was given stands for an array."""
    line = linecache.getline(where.file, where.line) if where is not None else ""
    for name, value in bound.arguments.items():
        if isinstance(value, list | tuple | range) and re.search(rf"\b{name}\b", line):
            return _tensor(name)
    return None


def _tensor(name: str) -> str:
    return f"give '{name}' as a tensor or an array: torch.tensor({name})"


def _origin(error: Exception) -> str | None:
    """The library whose code raised an error."""
    step, last = error.__traceback__, ""
    while step is not None:
        last = step.tb_frame.f_globals.get("__name__", "")
        step = step.tb_next
    name = last.partition(".")[0]
    return name if name in ("numpy", "pandas", "torch") else None
