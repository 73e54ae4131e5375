"""`ppl graph FILE -o g.svg`: the plate diagram."""

from __future__ import annotations

from pathlib import Path

import click

from ppl.cli.model import conditioned, ready, with_model


@click.command()
@with_model
@click.option("--out", "-o", type=click.Path(path_type=Path), help="The SVG file; FILE.svg otherwise.")
def graph(file: Path, data_files: tuple[Path, ...], model: str | None, out: Path | None) -> int:
    """Draw the model in FILE as a plate diagram."""
    job = ready(file, data_files, model)
    from ppl.language.draw import graph as drawn

    place = out if out is not None else file.with_suffix(".svg")
    drawn(conditioned(job), place)
    click.echo(f"saved {place}")
    return 0
