"""What other files give: the programs and functions of a `.ppl` file, the names of a Python module of the library."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from ppl.syntax import tree
from ppl.syntax.check.callees import Callee
from ppl.syntax.imports import Source
from ppl.syntax.problems import Problem

Exports = dict[str, Callee]


def exports(source: Source, item: tree.Import, importing: tuple[Path, ...]) -> Exports | Problem:
    """What an import brings, by name."""
    span = item.path[0].span.to(item.path[-1].span)
    path = source.path.resolve()
    if source.module is not None:
        return _python(path)
    if path in importing:
        circle = " → ".join(p.stem for p in (*importing, path))
        return Problem(
            "import", span, f"files import each other in a circle: {circle}", edit="import one way only"
        )
    try:
        text = source.path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return Problem("import", span, f"{source.path.name} can't be read as a text in UTF-8")
    from ppl.syntax.check.file import check

    checked = check(text, str(source.path), folder=source.path.parent, importing=(*importing, path))
    if checked.errors:
        first = checked.errors[0]
        return Problem(
            "import",
            span,
            f"{source.path.name} has {len(checked.errors)} errors; the first, on line {first.span.line}: {first.headline}",
            edit=f"ppl check {source.path.name}",
        )
    return dict(checked.exports)


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
