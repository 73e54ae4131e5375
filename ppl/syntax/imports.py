"""Where an import leads: to a file beside this one, or into the standard library. Nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ppl.syntax import tree
from ppl.syntax.problems import Problem

_ROOT = Path(__file__).resolve().parent.parent
STDLIB = next(p for p in (_ROOT / "std", _ROOT.parent / "stdlib") if p.is_dir())
"""The standard library: beside the package in a checkout, inside of it when installed."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an import names: a `.ppl` file, or (with `module`) a Python module of the standard library."""

    path: Path
    module: str | None = None


def found(item: tree.Import, folder: Path | None) -> Source | Problem:
    """The file behind an import, or the problem that there is none."""
    names = [name.id for name in item.path]
    span = item.path[0].span.to(item.path[-1].span)
    if names[0] == "std":
        base, parts = STDLIB, names[1:]
        if not parts:
            return Problem("import", span, "std is the whole library", edit=f"import std.{_known(STDLIB)[0]}")
    elif folder is None:
        return Problem(
            "import", span, "a text that is in no file can import from std only", edit="import std.…"
        )
    else:
        base, parts = folder, names
    file = base.joinpath(*parts).with_suffix(".ppl")
    if file.is_file():
        return Source(file)
    if base is STDLIB and ((base.joinpath(*parts) / "__init__.py").is_file()):
        return Source(base.joinpath(*parts) / "__init__.py", ".".join(["ppl", "std", *parts]))
    known = _known(base.joinpath(*parts[:-1]))
    return Problem(
        "import",
        span,
        f"there is no {'.'.join(names)}",
        expected=f"one of {', '.join(known[:8])}" if known else "a .ppl file in the folder of this one",
        found=f"no file {'/'.join(parts)}.ppl",
        edit=f"import {'.'.join([*names[:-1], known[0]])}" if known else None,
    )


def _known(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    files = [p.stem for p in folder.glob("*.ppl")]
    return sorted(files + [p.parent.name for p in folder.glob("*/__init__.py") if folder == STDLIB])
