"""`ppl check FILE…`: all problems of files, without running anything."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--pedantic", is_flag=True, help="Add advice on models that are not wrong.")
@click.option("--json", "as_json", is_flag=True, help="Problems as JSON, one list for all files.")
def check(files: tuple[Path, ...], pedantic: bool, as_json: bool) -> int:
    """Report every problem of FILES; exit 1 if there is an error."""
    from ppl.syntax.check import check as checked
    from ppl.syntax.problems import remember
    from ppl.syntax.source import read

    errors, rows = 0, []
    for file in files:
        text = read(file)
        remember(str(file), text)
        result = checked(text, str(file), folder=file.parent, pedantic=pedantic)
        errors += len(result.errors)
        for problem in result.problems:
            rows.append({"file": str(file), **problem.as_dict()})
            if not as_json:
                click.echo(f"{problem.error(str(file))}\n", err=problem.severity == "error")
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif not rows:
        click.echo(f"{len(files)} file{'s' if len(files) != 1 else ''}: no problems")
    else:
        others = len(rows) - errors
        click.echo(
            f"{errors} error{'s' if errors != 1 else ''}" + (f", {others} warnings" if others else ""),
            err=True,
        )
    return 1 if errors else 0
