"""What everything that checks has in common: it reports problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span

Report = Callable[[Problem], None]


@dataclass
class Reporting:
    """Tells `report` what is wrong."""

    report: Report

    def _problem(
        self,
        kind: str,
        span: Span,
        headline: str,
        expected: str | None = None,
        found: str | None = None,
        edit: str | None = None,
        severity: str = "error",
    ) -> None:
        self.report(Problem(kind, span, headline, expected, found, edit, severity))
