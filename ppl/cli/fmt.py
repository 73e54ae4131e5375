"""`ppl fmt FILE…`: the one canonical style."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Change nothing; show what would change.")
def fmt(files: tuple[Path, ...], only_check: bool, diff: bool) -> int:
    """Format FILES in place. A file with syntax errors is left as it is."""
    from ppl.syntax.format import differences, format_text
    from ppl.syntax.problems import remember
    from ppl.syntax.source import read

    changed = 0
    for file in files:
        text = read(file)
        remember(str(file), text)
        result = format_text(text, str(file))
        if result == text:
            continue
        changed += 1
        if diff:
            click.echo("".join(differences(text, result)), nl=False)
        elif only_check:
            click.echo(f"{file} would change")
        else:
            _replace(file, result)
            click.echo(f"formatted {file}")
    if not changed:
        click.echo(f"{len(files)} file{'s' if len(files) != 1 else ''}: nothing to change")
    return 1 if changed and (only_check or diff) else 0


def _replace(file: Path, text: str) -> None:
    """Write beside, then rename: a crash leaves the old file or the new one."""
    beside = file.with_name(file.name + ".new")
    beside.write_text(text, encoding="utf-8")
    beside.chmod(file.stat().st_mode)
    beside.replace(file)
