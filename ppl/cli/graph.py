"""`ppl graph FILE -o g.svg`: the plate diagram."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), help="The SVG file; FILE.svg otherwise.")
@click.option("--data", "data_files", multiple=True, type=click.Path(path_type=Path))
@click.option("--model", help="Which model, if the file has several.")
def graph(file: Path, out: Path | None, data_files: tuple[Path, ...], model: str | None) -> int:
    """Draw the model in FILE as a plate diagram."""
    from ppl.cli.files import read_data
    from ppl.language.draw import graph as drawn
    from ppl.syntax.job import job
    from ppl.syntax.load import load

    module = load(file)
    data = {n: v for path in data_files for n, v in read_data(path).items()}
    ready = job(module, data, model=model)
    place = out if out is not None else file.with_suffix(".svg")
    drawn(ready.model.condition(ready.data) if ready.data else ready.model, place)
    click.echo(f"saved {place}")
    return 0
