"""`ppl explain FILE`: what a program means and what will be run."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--data", "data_files", multiple=True, type=click.Path(path_type=Path))
@click.option("--model", help="Which model, if the file has several.")
def explain(file: Path, data_files: tuple[Path, ...], model: str | None) -> int:
    """Sites, supports, loops (and why each is a plate or a scan), cost and engine of the model in FILE."""
    from ppl.cli.files import read_data
    from ppl.language.explain import explain as explained
    from ppl.syntax.explain import loops_explained
    from ppl.syntax.job import job
    from ppl.syntax.load import load

    module = load(file)
    data = {n: v for path in data_files for n, v in read_data(path).items()}
    ready = job(module, data, model=model)
    click.echo(str(explained(ready.model.condition(ready.data) if ready.data else ready.model)))
    if rows := loops_explained(file.read_text(encoding="utf-8"), ready.model.name):
        click.echo("\nloops in the source")
        for row in rows:
            click.echo(f"  {row}")
    return 0
