"""`ppl run FILE`: the posterior of a file's model, as a table."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from ppl.cli.model import ready, with_model

INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the signal's number, as shells have it."""


@click.command()
@with_model
@click.option("--method", "-m", help="nuts, hmc, vi, …")
@click.option("--draws", "-n", type=int, help="Draws per chain.")
@click.option("--warmup", "-w", type=int, help="Warm-up steps per chain.")
@click.option("--chains", "-c", type=int, help="Chains.")
@click.option("--seed", "-s", type=int, help="The same seed gives the same draws.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other option of the method: --set target_accept=0.9",
)
@click.option("--out", "-o", type=click.Path(path_type=Path), help="Save the posterior as netCDF.")
@click.option(
    "--resume", is_flag=True, help="Go on from where an interrupted run with the same --out stopped."
)
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON, for scripts.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def run(
    file: Path, data_files: tuple[Path, ...], model: str | None, method: str | None, draws: int | None,
    warmup: int | None, chains: int | None, seed: int | None, settings: tuple[str, ...], out: Path | None,
    resume: bool, as_json: bool, quiet: bool,
) -> int:  # fmt: skip
    """Infer the posterior of the model in FILE and print its summary."""
    if resume and out is None:
        raise click.UsageError("--resume needs the --out of the run to go on with")
    job = ready(
        file, data_files, model, method=method, draws=draws, warmup=warmup, chains=chains, seed=seed,
        **dict(map(_setting, settings)),
    )  # fmt: skip
    from ppl.inference.infer import infer

    checkpoint = out.with_name(out.name + ".checkpoint") if out is not None else None
    going_on = checkpoint if resume and checkpoint is not None and checkpoint.exists() else None
    posterior = infer(
        job.model, job.data, coords=job.coords, progress=not (quiet or as_json), save_to=checkpoint,
        resume=going_on, **job.options,
    )  # fmt: skip
    interrupted = bool(posterior.attrs.get("interrupted"))
    if out is not None and posterior.num_draws:
        posterior.save(out)
    if checkpoint is not None and checkpoint.exists() and not interrupted:
        checkpoint.unlink()
    if as_json:
        click.echo(json.dumps(_as_json(posterior, job.hidden), indent=2))
    elif posterior.num_draws:
        _show(posterior, job.hidden, out)
    if not interrupted:
        return 0
    so_far = "these are the draws so far" if posterior.num_draws else "there are no draws yet"
    how = (
        f"`ppl run {file} --out {out} --resume` goes on"
        if out is not None
        else "give --out to be able to go on"
    )
    click.echo(f"interrupted: {so_far}; {how}", err=True)
    return INTERRUPTED


def _show(posterior: Any, hidden: Collection[str], out: Path | None) -> None:
    click.echo(str(_summary(posterior, hidden)))
    click.echo()
    click.echo(str(posterior.diagnose()))
    seconds = [(n, posterior.attrs.get(f"{n}_seconds")) for n in ("compile", "warmup", "sampling")]
    timed = ", ".join(f"{name} {value:.2f} s" for name, value in seconds if value is not None)
    if timed:
        click.echo(timed)
    if out is not None:
        click.echo(f"saved {out}")


def _summary(posterior: Any, hidden: Collection[str]) -> Any:
    return posterior.summary([name for name in posterior.draws if name not in hidden])


def _as_json(posterior: Any, hidden: Collection[str]) -> dict[str, Any]:
    table = json.loads(_summary(posterior, hidden).to_json(orient="index")) if posterior.num_draws else {}
    names = ("compile_seconds", "warmup_seconds", "sampling_seconds", "method", "seed", "interrupted")
    run = {n: posterior.attrs[n] for n in names if n in posterior.attrs}
    return {
        "summary": table,
        "divergences": int(posterior.divergences),
        "problems": _problems(posterior),
        "run": run,
    }


def _problems(posterior: Any) -> list[str]:
    return [str(p) for p in getattr(posterior.diagnose(), "problems", ())]


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise click.UsageError(f"--set takes NAME=VALUE, and this is {text!r}")
    for kind in (int, float):
        try:
            return name.strip(), kind(value)
        except ValueError:
            continue
    words = {"true": True, "false": False}
    return name.strip(), words.get(value.strip().lower(), value.strip())
