"""Stochastic variational inference on the CPU: steps a second of ppl's loop, NumPyro and Pyro, side by side.

    python benchmarks/vi_cpu.py [--models NAME ...] [--systems NAME ...] [--peers-python PATH] [--json FILE]

The same model, data, guide (mean-field normal), optimiser (Adam) and number of steps, float64. Each run is a
fresh process (`optimisers.py`) with empty caches, one at a time, systems in turn; a figure is the median of the
repetitions. A peer that isn't installed is skipped with a notice.

Columns:
    import, compile, total   seconds; `optimisers.py` says what each spans
    loop           seconds of all steps, with everything compiled
    steps/s        of the loop
    µs/step        the same the other way round
    ppl is         how many times faster ppl's loop is: the median of the repetitions' ratios
    ELBO           the mean of the last tenth of the estimates, and its standard error
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models import MODELS
from nuts_cpu import Caches, missing
from optimisers import IMPORTS, SYSTEMS
from value_and_grad import machine

WORKER = Path(__file__).resolve().parent / "optimisers.py"
DEFAULT = ("eight_schools", "eight_schools_centred", "logistic_1000x20")
Report = dict[str, Any]


@dataclass
class Row:
    """A system on a model: medians over the repetitions, and how many times faster ppl is."""

    model: str
    system: str
    figures: dict[str, float]
    ppl_is: float | None
    runs: list[Report]


def run_once(model: str, system: str, told: argparse.Namespace, python: str, env: dict[str, str]) -> Report:
    """What one process reports. RuntimeError with its last words if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.json"
        command = [python, str(WORKER), system, model, str(out), "--started", repr(time.time())]
        for name in ("steps", "rate", "particles", "seed"):
            command += [f"--{name}", str(getattr(told, name))]
        try:
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=told.timeout)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"not done after {told.timeout:.0f} s") from None
        if done.returncode != 0:
            raise RuntimeError("\n".join(done.stderr.strip().splitlines()[-3:]))
        report: Report = json.loads(out.read_text())
    return report | {"step_microseconds": 1e6 * report["loop_seconds"] / report["steps"]}


def summarise(model: str, reports: dict[str, list[Report]]) -> list[Row]:
    """A row for every system; ratios are those of runs that stood side by side."""
    rows = []
    for system, runs in reports.items():
        figures = {k: statistics.median(r[k] for r in runs) for k, v in runs[0].items() if k != "version"}
        ratio = None
        if system != "ppl" and "ppl" in reports:
            pairs = zip(runs, reports["ppl"], strict=False)
            ratio = statistics.median(a["step_microseconds"] / b["step_microseconds"] for a, b in pairs)
        rows.append(Row(model, system, figures, ratio, runs))
    return rows


HEADER = (
    f"{'model':23}{'system':13}{'import':>8}{'compile':>9}{'loop':>9}{'total':>8}{'steps/s':>12}{'µs/step':>10}"
    f"{'ppl is':>9}{'ELBO':>11}{'±':>8}"
)


def line(row: Row) -> str:
    f = row.figures
    times = f"{f['import_seconds']:8.2f}{f['compile_seconds']:9.2f}{f['loop_seconds']:9.3f}{f['total_seconds']:8.2f}"
    rates = f"{1e6 / f['step_microseconds']:12,.0f}{f['step_microseconds']:10.2f}"
    ratio = f"{'':9}" if row.ppl_is is None else f"{row.ppl_is:8.1f}×"
    return f"{row.model:23}{row.system:13}{times}{rates}{ratio}{f['elbo']:11.3f}{f['elbo_error']:8.3f}"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(DEFAULT), metavar="NAME")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--particles", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds a process may take")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--python-pyro", help="the Python that has Pyro")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    told = parse(arguments)
    pythons = {s: sys.executable if s == "ppl" else told.peers_python for s in SYSTEMS}
    pythons["pyro"] = told.python_pyro or told.peers_python
    systems = []
    for system in told.systems:
        lack = missing(IMPORTS[system], pythons[system])
        if lack:
            print(f"{system}: skipped, {pythons[system]} hasn't got it ({lack})")
        else:
            systems.append(system)
    print(HEADER)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        caches = Caches(folder, warm=False)
        for name in told.models:
            reports: dict[str, list[Report]] = {}
            for _ in range(told.repeat):
                for system in systems:
                    try:
                        report = run_once(name, system, told, pythons[system], caches.environment())
                    except RuntimeError as failure:
                        print(f"{name:23}{system:13}failed: {failure}")
                        continue
                    reports.setdefault(system, []).append(report)
            found = summarise(name, reports)
            print("\n".join(map(line, found)), flush=True)
            rows += found
            if told.json:
                write(told.json, told, rows)


def write(path: Path, told: argparse.Namespace, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(told).items()}
    found = {"machine": machine(), "settings": settings, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
