"""NUTS on the CPU: ppl, NumPyro, nutpie with PyMC, and PyStan on the same models and data.

    python benchmarks/nuts_cpu.py [--models NAME ...] [--systems NAME ...] [--peers-python PATH] [--json FILE]

Each pair of a model and a system runs in a fresh process (`samplers.py`), one at a time, with empty caches
for compiled code unless `--caches warm` is given; each system keeps its own adaptation and its defaults,
with equal numbers of chains, warm-up steps and draws, in float64. The effective sizes and Monte Carlo
errors of all are computed here, by ArviZ, over the same quantities. A peer that isn't installed is skipped
with a notice.

Columns:
    import, compile, sampling, total   seconds; `samplers.py` says what each spans; sampling has warm-up in it
    gradients      leapfrog steps of all chains, warm-up included
    µs/grad        sampling time over gradients: wall time, with chains side by side on the cores there are
    ESS            the smallest bulk effective sample size of a scalar quantity
    ESS/s          the same over the sampling time, and over the total time
    R-hat          the largest
    Δ ppl, Δ ref   the largest difference of a posterior mean from ppl's and from the reference posterior's,
                   in its standard errors; "!" marks more than 5, which chance does not explain
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from agreement import Estimates, estimate, from_reference, largest_difference
from harness import Caches, there, write
from models import MODELS, Model
from models.files import read_reference
from samplers import IMPORTS, SYSTEMS

WORKER = Path(__file__).resolve().parent / "samplers.py"
TIMES = ("import_seconds", "compile_seconds", "sampling_seconds", "total_seconds")
SUSPICIOUS = 5.0
"""Of 500 means compared, the largest difference exceeds 5 standard errors once in 3,000 comparisons."""


@dataclass(frozen=True)
class Options:
    chains: int
    draws: int
    warmup: int
    large_draws: int | None
    repeat: int
    seed: int
    timeout: float
    warm: bool
    pythons: dict[str, str]


@dataclass
class Row:
    """A system on a model: medians over the repetitions; draws are those of the first."""

    model: str
    system: str
    version: str
    chains: int
    draws: int
    warmup: int
    figures: dict[str, float | None]
    from_ppl: float | None = None
    from_reference: float | None = None
    runs: list[dict[str, Any]] = field(default_factory=list)


def run_once(
    model: Model, system: str, seed: int, draws: int, warmup: int, options: Options, env: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What one process reports, and its draws. RuntimeError with its last words if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/run"
        told = {"chains": options.chains, "draws": draws, "warmup": warmup, "seed": seed}
        command = [options.pythons[system], str(WORKER), system, model.name, out]
        command += [part for name, value in told.items() for part in (f"--{name}", str(value))]
        try:
            done = subprocess.run(
                [*command, "--started", repr(time.time())],
                env=env,
                capture_output=True,
                text=True,
                timeout=options.timeout,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"not done after {options.timeout:.0f} s") from None
        if done.returncode != 0:
            raise RuntimeError("\n".join(done.stderr.strip().splitlines()[-3:]))
        report = json.loads(Path(f"{out}.json").read_text())
        with np.load(f"{out}.npz") as arrays:
            return report, {name: arrays[name] for name in arrays.files}


def measure(model: Model, system: str, options: Options, caches: Caches) -> tuple[Row, Estimates]:
    """All repetitions of a system on a model, and the estimates of the first."""
    counts = (options.draws, options.warmup)
    if model.large and options.large_draws is not None:
        counts = (options.large_draws, options.large_draws)
    if caches.warm:
        run_once(model, system, options.seed + 1000, 2, 2, options, caches.environment())
    reports, kept = [], []
    for k in range(options.repeat):
        report, draws = run_once(model, system, options.seed + k, *counts, options, caches.environment())
        estimates = estimate(draws)
        report |= {"min_ess": estimates.min_ess, "max_rhat": estimates.max_rhat}
        report["ess_per_sampling_second"] = estimates.min_ess / report["sampling_seconds"]
        report["ess_per_total_second"] = estimates.min_ess / report["total_seconds"]
        if report["gradients"]:
            report["gradient_microseconds"] = 1e6 * report["sampling_seconds"] / report["gradients"]
        reports.append(report)
        kept.append(estimates)
    version = reports[0].pop("version")
    names = [n for n in reports[0] if reports[0][n] is not None]
    figures: dict[str, float | None] = {n: statistics.median(r[n] for r in reports) for n in names}
    return Row(model.name, system, version, options.chains, *counts, figures, runs=reports), kept[0]


def compare(rows: dict[str, tuple[Row, Estimates]], model: Model) -> None:
    """Fill in how far each system's means are from ppl's and from the reference posterior's."""
    reference = read_reference(model.module.REFERENCE) if model.module.REFERENCE else None
    for system, (row, estimates) in rows.items():
        if "ppl" in rows and system != "ppl":
            row.from_ppl = largest_difference(estimates, rows["ppl"][1])[0]
        if reference is not None:
            row.from_reference = from_reference(estimates, reference)[0]


COLUMNS = (
    ("import", "import_seconds", 8, 2),
    ("compile", "compile_seconds", 9, 2),
    ("sampling", "sampling_seconds", 10, 3),
    ("total", "total_seconds", 9, 2),
    ("gradients", "gradients", 11, 0),
    ("µs/grad", "gradient_microseconds", 10, 2),
    ("ESS", "min_ess", 7, 0),
    ("ESS/s", "ess_per_sampling_second", 9, 1),
    ("all ESS/s", "ess_per_total_second", 10, 1),
    ("R-hat", "max_rhat", 7, 3),
)
HEADER = (
    f"{'model':23}{'system':9}" + "".join(f"{c[0]:>{c[2]}}" for c in COLUMNS) + f"{'Δ ppl':>8}{'Δ ref':>8}"
)


def line(row: Row) -> str:
    cells = ""
    for _, name, width, digits in COLUMNS:
        value = row.figures.get(name)
        cells += f"{'':>{width}}" if value is None else f"{value:{width}.{digits}f}"
    for difference in (row.from_ppl, row.from_reference):
        mark = "!" if difference is not None and difference > SUSPICIOUS else " "
        cells += " " * 8 if difference is None else f"{difference:7.1f}{mark}"
    return f"{row.model:23}{row.system:9}{cells}"


def parse(arguments: list[str]) -> tuple[argparse.Namespace, Options]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--warmup", type=int, default=1000)
    parser.add_argument(
        "--large-draws", type=int, help="draws, and warm-up steps, of the models with many rows"
    )
    parser.add_argument("--repeat", type=int, default=1, help="processes a pair; figures are their medians")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds a process may take")
    parser.add_argument("--caches", choices=("cold", "warm"), default="cold")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has the peers")
    for system in SYSTEMS:
        if system != "ppl":
            parser.add_argument(f"--python-{system}", help=f"the Python that has {system}")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    told = parser.parse_args(arguments)
    pythons = {s: getattr(told, f"python_{s}", None) or told.peers_python for s in SYSTEMS}
    pythons["ppl"] = sys.executable
    counts = (told.chains, told.draws, told.warmup, told.large_draws, told.repeat, told.seed)
    return told, Options(*counts, told.timeout, told.caches == "warm", pythons)


def main(arguments: list[str]) -> None:
    told, options = parse(arguments)
    systems = there(told.systems, IMPORTS, options.pythons)
    print(HEADER)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        caches = Caches(folder, options.warm)
        for name in told.models:
            model, found = MODELS[name], {}
            try:
                model.data()
            except FileNotFoundError as absent:
                print(f"{name:23}skipped: {absent}")
                continue
            for system in systems:
                try:
                    found[system] = measure(model, system, options, caches)
                except RuntimeError as failure:
                    print(f"{name:23}{system:9}failed: {failure}")
                    continue
                compare(found, model)
                rows.append(found[system][0])
                print(line(rows[-1]), flush=True)
            if told.json:
                write(told.json, vars(told), rows)


if __name__ == "__main__":
    main(sys.argv[1:])
