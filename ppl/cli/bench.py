"""`ppl bench FILE…`: how fast a model is sampled, or several ways of writing one, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppl.cli.model import ready, with_data

if TYPE_CHECKING:
    from ppl.inference.posterior import Posterior

# Heading, and how a figure is shown.
COLUMNS = {
    "compile s": "{:.2f}",
    "sample s": "{:.2f}",
    "gradients": "{:,.0f}",
    "µs each": "{:.3g}",
    "least ess": "{:,.0f}",
    "ess/s": "{:,.0f}",
    "r-hat": "{:.3f}",
    "divergences": "{:.0f}",
}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@with_data
@click.option("--draws", "-n", type=int, help="Draws per chain.")
@click.option("--warmup", "-w", type=int, help="Warm-up steps per chain.")
@click.option("--chains", "-c", type=int, help="Chains.")
@click.option(
    "--repeat", "-r", type=click.IntRange(1), default=3, show_default=True, help="Runs of each file."
)
def bench(
    files: tuple[Path, ...], data_files: tuple[Path, ...], model: str | None, draws: int | None,
    warmup: int | None, chains: int | None, repeat: int,
) -> int:  # fmt: skip
    """Sample the models of FILES with NUTS, in turn, and compare their speed.

    Medians of the runs, which have seeds 0, 1, …: seconds to compile and to sample (warm-up too), evaluations of the
    gradient and microseconds of sampling for each, the least bulk ESS of any quantity, that per second of sampling, and
    the largest R-hat.
    """
    from statistics import median

    from ppl.inference.infer import infer

    jobs = {
        f: ready(f, data_files, model, method="nuts", draws=draws, warmup=warmup, chains=chains)
        for f in files
    }
    found: dict[Path, list[dict[str, float]]] = {f: [] for f in jobs}
    for seed in range(repeat):
        for file, job in jobs.items():
            options = {**job.options, "seed": seed, "progress": False}
            found[file].append(_figures(infer(job.model, job.data, coords=job.coords, **options)))
    rows = {str(f): {c: median(run[c] for run in runs) for c in COLUMNS} for f, runs in found.items()}
    click.echo(_table(rows))
    return 0


def _figures(posterior: Posterior) -> dict[str, float]:
    facts, summary = posterior.attrs, posterior.summary()
    seconds = facts["warmup_seconds"] + facts["sampling_seconds"]
    ess = float(summary["ess_bulk"].min())
    return {
        "compile s": facts["compile_seconds"],
        "sample s": seconds,
        "gradients": facts["gradient_evaluations"],
        "µs each": 1e6 * seconds / facts["gradient_evaluations"],
        "least ess": ess,
        "ess/s": ess / seconds,
        "r-hat": float(summary["r_hat"].max()),
        "divergences": float(posterior.divergences),
    }


def _table(rows: Mapping[str, Mapping[str, float]]) -> str:
    cells = [["", *COLUMNS]]
    cells += [[name, *(shown.format(row[c]) for c, shown in COLUMNS.items())] for name, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(_line(row, widths) for row in cells)


def _line(cells: list[str], widths: list[int]) -> str:
    name, *rest = (
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((name, *rest))
