"""Errors as part of the interface: what went wrong, where, what was expected and found, and the edit that
mends it.
"""

from __future__ import annotations

import difflib
import linecache
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from types import CodeType, FrameType
from typing import ParamSpec, TypeVar

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = os.path.join(os.path.dirname(os.path.dirname(_HERE)), "stdlib") + os.sep  # in a checkout
_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_FEW, _SHOWN = 8, 6
"""How many names an error lists in full, and how many it shows of more."""
_COMPARED, _LONG = 50, 50
"""Names that are compared with one that is not known, and the letters that they have at most."""
_LIBRARY_PARTS = (
    "<string>",
    "<frozen",
    *(f"{os.sep}site-packages{os.sep}{p}{os.sep}" for p in ("torch", "numpy", "pandas", "scipy")),
)


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a user's source: file, line (from 1) and, where known, columns (from 1, end exclusive)."""

    file: str
    line: int
    column: int | None = None
    end_column: int | None = None

    def __str__(self) -> str:
        path = os.path.relpath(self.file) if os.path.isabs(self.file) else self.file
        if path.startswith(".." + os.sep + ".."):
            path = self.file
        if self.column is None:
            return f"{path}:{self.line}"
        if self.end_column is None:
            return f"{path}:{self.line}:{self.column}"
        return f"{path}:{self.line}:{self.column}-{self.end_column}"

    def excerpt(self) -> str:
        """The line before, the line itself and a caret under the columns."""
        rows = []
        for number in (self.line - 1, self.line):
            text = linecache.getline(self.file, number).rstrip()
            if number >= 1 and (text or number == self.line):
                rows.append(f"{number:>4} | {text}")
        if self.column is not None and linecache.getline(self.file, self.line):
            width = max(1, (self.end_column or self.column + 1) - self.column)
            rows.append("     | " + " " * (self.column - 1) + "^" * width)
        return "\n".join(rows)


@dataclass(frozen=True, slots=True)
class Mark:
    """A cheap note of a place (code object and instruction), turned into a `Location` only when an
    error needs it.
    """

    code: CodeType
    instruction: int
    line: int

    def locate(self) -> Location:
        positions = list(self.code.co_positions())
        entry = positions[self.instruction // 2] if self.instruction // 2 < len(positions) else (None,) * 4
        line, end_line, column, end_column = entry
        if line is None or line != end_line or column is None or end_column is None:
            return Location(self.code.co_filename, line or self.line)
        return Location(self.code.co_filename, line, column + 1, end_column + 1)

    def __str__(self) -> str:
        return f"{os.path.basename(self.code.co_filename)}:{self.line}"


def _is_library(filename: str, cache: dict[str, bool] = {}) -> bool:  # noqa: B006 (a memo, filled once per file)
    known = cache.get(filename)
    if known is None:
        standard = filename.startswith(_STANDARD) and "site-packages" not in filename
        known = (
            standard
            or filename.startswith((_HERE, _STDLIB))
            or any(part in filename for part in _LIBRARY_PARTS)
        )
        cache[filename] = known
    return known


def user_mark(depth: int = 1) -> Mark | None:
    """The innermost frame that belongs to the user: not ppl's, torch's, NumPy's or Python's own."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        if not _is_library(frame.f_code.co_filename):
            return Mark(frame.f_code, frame.f_lasti, frame.f_lineno)
        frame = frame.f_back
    return None


def raised_at(error: BaseException) -> Location | None:
    """Where in the user's code an error that is being handled came from: the innermost of their frames
    in its traceback.
    """
    found, step = None, error.__traceback__
    while step is not None:
        if not _is_library(step.tb_frame.f_code.co_filename):
            found = Mark(step.tb_frame.f_code, step.tb_lasti, step.tb_lineno)
        step = step.tb_next
    return found.locate() if found is not None else None


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def placed(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """`function`, whose errors that have no place in a program get the line of the call, if that is in
    the user's code.
    """

    @wraps(function)
    def call(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return function(*args, **kwargs)
        except PplError as error:
            frame = sys._getframe(1)
            if error.where is None and not _is_library(frame.f_code.co_filename):
                error.where = Mark(frame.f_code, frame.f_lasti, frame.f_lineno).locate()
            raise

    return call


def comparable(name: str, known: Iterable[str]) -> list[str]:
    """Those of the known names that are worth comparing with `name` in detail, which is slow: of the first five hundred
    the fifty that are nearest by their length and letters, and none that is very long.
    """
    short = [k for k in islice(known, _COMPARED * 10) if len(k) <= _LONG] if len(name) <= _LONG else []
    if len(short) <= _COMPARED:
        return short
    letters = set(name.lower())
    return sorted(short, key=lambda k: len(letters ^ set(k.lower())) + abs(len(k) - len(name)))[:_COMPARED]


def closest(name: object, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names most like `name`, best first."""
    return difflib.get_close_matches(str(name), comparable(str(name), map(str, known)), n=n, cutoff=0.5)


def listed(known: Iterable[object], name: object = "") -> str:
    """Names for an error's text: all of a few, of many those most like `name` and how many more.

    >>> listed(["mu", "tau"], "x99")
    'mu, tau'
    >>> listed([f"x{i}" for i in range(40)], "x99")
    'x9, x39, x29, x19, x0, x1, … and 34 more'
    """
    names = list(dict.fromkeys(str(k) for k in known))
    if len(names) <= _FEW:
        return ", ".join(names)
    shown = list(dict.fromkeys([*closest(name, names, _SHOWN), *names]))[:_SHOWN]
    return f"{', '.join(shown)}, … and {len(names) - _SHOWN} more"


class PplError(Exception):
    """The base of every error a user can cause.

    The text has a fixed order: kind and place, the source line, the headline, what was expected and
        found, and the edit.

    >>> print(PplError("scale must be positive", site="y", expected="scale > 0", found="-1.0", edit="Normal(mu, 1.0)"))
    error at site 'y'
    scale must be positive
      expected: scale > 0
      found:    -1.0
      edit:     Normal(mu, 1.0)
    """

    kind = "error"

    def __init__(
        self,
        headline: str,
        *,
        site: str | None = None,
        where: Location | Mark | None = None,
        expected: str | None = None,
        found: str | None = None,
        edit: str | None = None,
        details: str | None = None,
    ) -> None:
        self.headline = headline
        self.site = site
        self.where = where.locate() if isinstance(where, Mark) else where
        self.expected = expected
        self.found = found
        self.edit = edit
        self.details = details
        super().__init__(headline)

    def __str__(self) -> str:
        title = self.kind
        if self.where is not None:
            title += f": {self.where}"
        if self.site is not None:
            title += f" at site '{self.site}'" if self.where is None else f" (site '{self.site}')"
        rows = [title]
        if self.where is not None and (excerpt := self.where.excerpt()):
            rows.append(excerpt)
        rows.append(self.headline)
        for label, text in (("expected", self.expected), ("found", self.found), ("edit", self.edit)):
            if text is not None:
                rows.append(f"  {label + ':':<9} {text}")
        if self.details:
            rows.append(self.details)
        return "\n".join(rows)


class RecordingError(PplError):
    """The program does something that a graph can't hold: a branch on a random value, a read-out,
    unnamed randomness.
    """

    kind = "recording error"


class StructureError(PplError):
    """The program's sites, plates or regions contradict each other."""

    kind = "structure error"


class DataError(PplError):
    """Data or arguments that don't fit the program: unknown names, wrong sizes, values outside a support."""

    kind = "data error"


class ParameterError(PplError):
    """A distribution got a parameter outside its domain (a scale that is not positive, a nan)."""

    kind = "parameter error"


class MethodError(PplError):
    """An inference method can't be used for this program, or was given options it doesn't know."""

    kind = "method error"
