"""What commands that need a model have in common: `--data`, `--model`, and the file made ready to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ppl.syntax.job import Job

Command = Callable[..., int]

_DATA = click.option(
    "--data",
    "data_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A .json, .csv or .nc file; it goes before the file's data block.",
)
_MODEL = click.option("--model", help="Which model, if the file has several (the last one otherwise).")


def with_data(command: Command) -> Command:
    """The options `--data` and `--model`."""
    return _DATA(_MODEL(command))


def with_model(command: Command) -> Command:
    """The argument FILE, and the options `--data` and `--model`."""
    return click.argument("file", type=click.Path(dir_okay=False, path_type=Path))(with_data(command))


def ready(file: Path, data_files: tuple[Path, ...], model: str | None, **options: Any) -> Job:
    """The model of a file, bound to the file's data and to those of the command line."""
    from ppl.cli.files import read_data
    from ppl.syntax.job import job
    from ppl.syntax.load import load

    module = load(file)
    data = {name: value for path in data_files for name, value in read_data(path).items()}
    return job(module, data, model=model, **options)


def conditioned(job: Job) -> Any:
    """The bound model with its data."""
    return job.model.condition(job.data) if job.data else job.model
