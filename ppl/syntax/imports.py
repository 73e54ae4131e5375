"""Where an import leads: to a file beside this one, or into the standard library. Nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ppl.syntax import tree
from ppl.syntax.check.near import near
from ppl.syntax.problems import Problem

_ROOT = Path(__file__).resolve().parent.parent
STDLIB = next(p for p in (_ROOT / "std", _ROOT.parent / "stdlib") if p.is_dir())
"""The standard library: beside the package in a checkout, inside of it when installed."""


_PYTHONS = (
    "torch", "numpy", "scipy", "pandas", "math", "random", "os", "sys", "jax", "pyro", "numpyro",
    "pymc", "pystan", "cmdstanpy", "tensorflow", "sklearn", "matplotlib", "arviz", "ppl", "re", "io",
    "pathlib", "subprocess",
)  # fmt: skip


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
            listed = ", ".join(f"std.{name}" for name in _known(STDLIB))
            return Problem(
                "import", span, "std is the whole library", listed, "std", listed.partition(",")[0]
            )
    elif folder is None:
        headline = "a text that is in no file can import from std only"
        return Problem("import", span, headline, "import std.…", ".".join(names), "import std.objectives")
    else:
        base, parts = folder, names
    file = base.joinpath(*parts).with_suffix(".ppl")
    if file.is_file():
        if not file.resolve().is_relative_to(base.resolve()):
            what = f"{'/'.join(parts)}.ppl leads out of the folder of this file"
            edit = "a file in this folder, or below it"
            return Problem("import", span, what, edit, "a link to another place", edit)
        return Source(file)
    if base is STDLIB and ((base.joinpath(*parts) / "__init__.py").is_file()):
        return Source(base.joinpath(*parts) / "__init__.py", ".".join(["ppl", "std", *parts]))
    known = _known(base.joinpath(*parts[:-1]))
    alike = near(names[-1], known)
    missing = f"{'/'.join(parts)}.ppl"
    return Problem(
        "import",
        span,
        f"there is no {'.'.join(names)}",
        expected=f"one of {', '.join((alike or known)[:8])}"
        if alike or (known and base is STDLIB)
        else f"a file {missing} in the folder of this one",
        found=f"no file {missing}",
        edit=_instead(names, alike or (known if base is STDLIB else []), missing),
    )


def _instead(names: list[str], known: list[str], missing: str) -> str:
    if names[0] in _PYTHONS:
        return "leave it out: functions and distributions are there without it, and nothing else of Python"
    if known:
        return f"import {'.'.join([*names[:-1], known[0]])}"
    return f"a file {missing} beside this one"


def _known(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    files = [p.stem for p in folder.glob("*.ppl")]
    return sorted(files + [p.parent.name for p in folder.glob("*/__init__.py") if folder == STDLIB])
