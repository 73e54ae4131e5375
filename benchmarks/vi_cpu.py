"""Stochastic variational inference on the CPU: steps a second of `ppl.VI`, NumPyro and Pyro, side by side.

    python benchmarks/vi_cpu.py [--models NAME ...] [--systems NAME ...] [--peers-python PATH] [--json FILE]

The same model, data, guide (mean-field normal), optimiser (Adam) and number of particles; float64, and for NumPyro
float32 as well, which is its default. Each system is a process of its own (`optimisers.py`) with empty caches. They
take turns with short runs, so that all meet the machine in the same moods. In each turn a system's time a step is
that between two lengths of run, so that recording, compiling and drawing fall out; a ratio is that within a turn.
On a machine that others use, `--clock processor` counts the processor's time alone. A peer that isn't installed is
skipped with a notice.

Columns, medians over the turns:
    import, compile   seconds, once; compile is the time of a first run of one step, caches empty
    steps/s, µs/step  between two lengths of run
    ppl is            how many times faster ppl is, with the smallest and the largest turn
    ELBO              after the long run, and its standard error
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import Caches, there, write
from models import MODELS
from optimisers import CLOCKS, IMPORTS, SYSTEMS

WORKER = Path(__file__).resolve().parent / "optimisers.py"
DEFAULT = ("eight_schools", "eight_schools_centred", "logistic_1000x20")


@dataclass
class Row:
    """A system on a model: what it said of itself, its turns, and how many times faster ppl was in each."""

    model: str
    system: str
    facts: dict[str, Any]
    turns: list[dict[str, float]] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)

    def median(self, name: str) -> float:
        return statistics.median(turn[name] for turn in self.turns)


@contextlib.contextmanager
def worker(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next report of a worker; its errors stand on the terminal."""
    assert process.stdout is not None
    text = process.stdout.readline()
    if not text:
        raise RuntimeError("it ended")
    report: dict[str, Any] = json.loads(text)
    return report


def turn(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    print("go", file=process.stdin, flush=True)
    return heard(process)


def measure(
    model: str, systems: list[str], told: argparse.Namespace, pythons: dict[str, str], caches: Caches
) -> list[Row]:
    """All systems on a model, made ready one by one and then taking turns."""
    with contextlib.ExitStack() as stack:
        rows, processes = [], []
        for system in systems:
            command = [pythons[system], str(WORKER), system, model]
            for name in ("rate", "particles", "seed", "seconds", "clock"):
                command += [f"--{name}", str(getattr(told, name))]
            process = stack.enter_context(worker(command, caches.environment()))
            try:
                rows.append(Row(model, system, heard(process)))
                processes.append(process)
            except RuntimeError as failure:
                print(f"{model:23}{system:11}failed: {failure}")
        for _ in range(told.turns):
            for row, process in zip(rows, processes, strict=True):
                row.turns.append(turn(process))
    ours = next((row for row in rows if row.system == "ppl"), None)
    for row in rows:
        if ours is not None and row is not ours:
            pairs = zip(row.turns, ours.turns, strict=True)
            row.ratios = [theirs["microseconds"] / own["microseconds"] for theirs, own in pairs]
    return rows


HEADER = (
    f"{'model':23}{'system':11}{'import':>8}{'compile':>9}{'steps/s':>12}{'µs/step':>10}"
    f"{'ppl is':>9}{'':17}{'ELBO':>11}{'±':>8}"
)


def line(row: Row) -> str:
    micro = row.median("microseconds")
    times = f"{row.facts['import']:8.2f}{row.facts['compile']:9.2f}{1e6 / micro:12,.0f}{micro:10.2f}"
    ratio = " " * 26
    if row.ratios:
        spread = f"({min(row.ratios):.1f}–{max(row.ratios):.1f})"
        ratio = f"{statistics.median(row.ratios):8.1f}× {spread:16}"
    return f"{row.model:23}{row.system:11}{times}{ratio}{row.median('elbo'):11.3f}{row.median('error'):8.3f}"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(DEFAULT), metavar="NAME")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="about what a long run's steps take")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="of the steps")
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--particles", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peers-python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--python-pyro", help="the Python that has Pyro")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    told = parse(arguments)
    pythons = {s: sys.executable if s == "ppl" else told.peers_python for s in SYSTEMS}
    pythons["pyro"] = told.python_pyro or told.peers_python
    systems = there(told.systems, IMPORTS, pythons)
    print(HEADER)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        caches = Caches(folder, warm=False)
        for name in told.models:
            found = measure(name, systems, told, pythons, caches)
            print("\n".join(map(line, found)), flush=True)
            rows += found
            if told.json:
                write(told.json, vars(told), rows)


if __name__ == "__main__":
    main(sys.argv[1:])
