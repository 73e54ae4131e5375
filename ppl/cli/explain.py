"""`ppl explain FILE`: what a program means and what will be run."""

from __future__ import annotations

from pathlib import Path

import click

from ppl.cli.model import conditioned, ready, with_model


@click.command()
@with_model
def explain(file: Path, data_files: tuple[Path, ...], model: str | None) -> int:
    """Sites, supports, loops (and why each is a plate or a scan), cost and engine of the model in FILE."""
    job = ready(file, data_files, model)
    from ppl.language.explain import explain as explained
    from ppl.syntax.explain import loops_explained

    click.echo(str(explained(conditioned(job))))
    if rows := loops_explained(file.read_text(encoding="utf-8"), job.model.name):
        click.echo("\nloops in the source")
        for row in rows:
            click.echo(f"  {row}")
    return 0
