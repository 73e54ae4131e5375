"""What other files give: the programs and functions of a `.ppl` file, the names of a Python module of the library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ppl.syntax import tree
from ppl.syntax.check.callees import Callee
from ppl.syntax.imports import Source
from ppl.syntax.limits import IMPORTS
from ppl.syntax.problems import Problem

if TYPE_CHECKING:
    from ppl.syntax.check.file import Checked

Exports = dict[str, Callee]


def exports(source: Source, item: tree.Import, importing: tuple[Path, ...]) -> Exports | Problem:
    """What an import brings, by name."""
    span = item.path[0].span.to(item.path[-1].span)
    path = source.path.resolve()
    if source.module is not None:
        return _python(path)
    if len(importing) >= IMPORTS:
        headline = f"files import each other more than {IMPORTS} deep"
        return Problem("resource", span, headline, f"at most {IMPORTS}", "more", "fewer files")
    if path in importing:
        circle = " → ".join(p.stem for p in (*importing[importing.index(path) :], path))
        return Problem(
            "import",
            span,
            f"files import each other in a circle: {circle}",
            "no circle",
            circle,
            "what both need in a third file",
        )
    try:
        text = source.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        what = f"{source.path.name} can't be read as a text in UTF-8"
        return Problem("import", span, what, "UTF-8", source.path.name, "save it as UTF-8")
    checked = _checked(text, source.path, (*importing, path))
    if checked.errors:
        first, count = checked.errors[0], len(checked.errors)
        if first.kind == "import" and "circle" in first.headline:
            return replace(first, span=span)
        many = f"{count} errors; the first" if count > 1 else "an error"
        headline = f"{source.path.name} has {many}, on line {first.span.line}: {first.headline}"
        names = "/".join(p.id for p in item.path)
        return Problem(
            "import", span, headline, "a file without errors", source.path.name, f"ppl check {names}.ppl"
        )
    return dict(checked.exports)


_known: ContextVar[dict[Path, Checked] | None] = ContextVar("known", default=None)
"""Files that were checked for the same file already: many ways can lead to one."""


@contextmanager
def once() -> Iterator[None]:
    """Within, every imported file is checked once."""
    token = _known.set({}) if _known.get() is None else None
    try:
        yield
    finally:
        if token is not None:
            _known.reset(token)


def _checked(text: str, path: Path, importing: tuple[Path, ...]) -> Checked:
    from ppl.syntax.check.file import check

    known = _known.get()
    place = importing[-1]
    if known is not None and place in known:
        return known[place]
    result = check(text, str(path), folder=path.parent, importing=importing)
    if known is not None:
        known[place] = result
    return result


@lru_cache
def _python(path: Path) -> Exports:
    """The names in a Python module's `__all__`; what they take is not known."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for statement in module.body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.List):
            continue
        if isinstance(target := statement.targets[0], ast.Name) and target.id == "__all__":
            names = [e.value for e in statement.value.elts if isinstance(e, ast.Constant)]
            return {str(n): Callee("objective", str(n), None) for n in names}
    return {}
