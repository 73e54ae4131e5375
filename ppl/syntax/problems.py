"""What is wrong in a `.ppl` file: a list of problems, each with its place, and the error that carries them."""

from __future__ import annotations

import linecache
from collections.abc import Iterable
from dataclasses import dataclass

from ppl.errors import Location, PplError
from ppl.syntax.tree import Span

KINDS = ("syntax", "name", "type", "shape", "support", "structure", "guide", "data", "resource", "import")
"""The classes of problems, as their first line names them ("type error: …")."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong at one place: what, what was expected and found there, and the edit that mends it.
    `severity` is "error", "warning", or "advice" (pedantic mode only).
    """

    kind: str
    span: Span
    headline: str
    expected: str | None = None
    found: str | None = None
    edit: str | None = None
    severity: str = "error"

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        place = {"line": self.span.line, "column": self.span.column, "end_line": self.span.end_line,
                 "end_column": self.span.end_column}  # fmt: skip
        words = {"headline": self.headline, "expected": self.expected, "found": self.found, "edit": self.edit}
        return {"severity": self.severity, "kind": self.kind, **place, **words}

    def error(self, path: str) -> PplError:
        """The problem as an error that prints itself with two lines of the source."""
        end = self.span.end_column if self.span.end_line == self.span.line else None
        error = PplError(
            self.headline,
            where=Location(path, self.span.line, self.span.column, end),
            expected=self.expected,
            found=self.found,
            edit=self.edit,
        )
        error.kind = f"{self.kind} {self.severity}"
        return error


class Rejected(Exception):
    """Carries a problem out of a place that can't go on."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.headline)


class SourceError(PplError):
    """A `.ppl` file that can't be used. `problems` has all of them, in the order of the source; the text shows each."""

    kind = "source error"

    def __init__(self, path: str, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda p: (p.span.line, p.span.column)))
        first = self.problems[0].error(path)
        super().__init__(
            first.headline, where=first.where, expected=first.expected, found=first.found, edit=first.edit
        )

    def __str__(self) -> str:
        return "\n\n".join(str(p.error(self.path)) for p in self.problems)


def remember(path: str, text: str) -> None:
    """Let errors quote a text that is not in a file (or not saved yet)."""
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
