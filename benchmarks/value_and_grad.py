"""Log density and gradient: ppl's machine code against C written by hand, in µs a call and as their ratio.

    python benchmarks/value_and_grad.py [--models NAME ...] [--rounds N] [--json FILE]

The C of `benchmarks/c/` is compiled here with CFLAGS, and computes what ppl computes: the same
unconstrained coordinates, log-Jacobians included, constants left out. Before anything is timed the two are
compared at random points. Both are called from one loop in C through a function pointer, in turn, many
rounds; a figure is the median of the rounds, a ratio the median of the rounds' ratios. For models with a
matrix of data the time to read it once (a sum in C) is the limit of what one pass over the data can reach.

Needs a C compiler (`--cc`); without the native engine, ppl's columns stay empty.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import numpy as np
import torch
from harness import write
from models import MODELS, Model

import ppl

SOURCES = Path(__file__).resolve().parent / "c"
CFLAGS = ["-O3", "-march=native", "-ffast-math", "-fno-finite-math-only", "-shared", "-fPIC"]
SECONDS = 0.02
"""About how long one round of a function lasts."""
POINTS = 16
TOLERANCE = 1e-9

Points = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Function:
    """A compiled density, `int64 f(double *x, double *out, int64 *env)`: out is the value and the gradient.

    Args:
        address: of the machine code.
        env: the words it reads [n], int64: addresses, sizes.
        dim: the length of x.
        owner: whatever must live as long as the function.
    """

    address: int
    env: np.ndarray[Any, np.dtype[np.int64]]
    dim: int
    owner: Any = None

    def __call__(self, x: Points) -> tuple[float, Points]:
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 3)
        x, out = np.ascontiguousarray(x, np.float64), np.empty(1 + self.dim)
        kind(self.address)(x.ctypes.data, out.ctypes.data, self.env.ctypes.data)
        return float(out[0]), out[1:]


def ppl_native(compiled: Any) -> Function | None:
    """The machine code of a compiled program's density and gradient; None where there is none."""
    if getattr(compiled.engine, "name", "") != "native" or not hasattr(compiled, "native"):
        return None
    program, data = compiled.native()
    code, environment = program.environment(data)
    return Function(code.address, environment.words, compiled.dim, (code, environment))


# ---------------------------------------------------------------- C


class Compiler:
    """Compiles files of `benchmarks/c/` into a temporary folder."""

    def __init__(self, command: str, folder: str) -> None:
        self.command, self.folder = command, Path(folder)

    def library(self, name: str) -> ctypes.CDLL:
        target = self.folder / f"{Path(name).stem}.so"
        if not target.exists():
            subprocess.run([self.command, *CFLAGS, "-o", target, SOURCES / name, "-lm"], check=True)
        return ctypes.CDLL(str(target))

    def density(self, model: Model, data: dict[str, Any], dim: int) -> Function:
        """The model's C function with the data in its env."""
        library = self.library(model.module.C_FILE)
        address = ctypes.cast(library.density_of, ctypes.c_void_p).value
        assert address is not None
        inputs = [
            np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v for v in model.module.c_inputs(data)
        ]
        words = [v.ctypes.data if isinstance(v, np.ndarray) else int(v) for v in inputs]
        return Function(address, np.array(words, np.int64), dim, (library, inputs))


class Harness:
    """Times functions from compiled code."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        self._bench, self._read = library.bench, library.bench_read
        self._bench.argtypes = [integer, pointer, pointer, integer, integer, pointer, pointer]
        self._read.argtypes = [integer, pointer, integer, pointer]
        self._bench.restype = self._read.restype = ctypes.c_double

    def calls(self, f: Function, points: Points) -> Callable[[int], float]:
        """count → seconds of as many calls, at the points [n, dim] in turn."""
        out = np.empty(1 + f.dim)

        def run(count: int) -> float:
            n, dim = points.shape
            places = (points.ctypes.data, n, dim, out.ctypes.data, f.env.ctypes.data)
            return float(self._bench(count, f.address, *places))

        return run

    def reading(self, x: Points) -> Callable[[int], float]:
        """count → seconds of reading x as often."""
        flat, sink = np.ascontiguousarray(x, np.float64).reshape(-1), np.empty(1)
        return lambda count: float(self._read(count, flat.ctypes.data, flat.size, sink.ctypes.data))


def microseconds(runs: Sequence[Callable[[int], float]], rounds: int) -> list[list[float]]:
    """µs a call of each, by rounds: they take turns, so that a change of the machine's speed meets all."""
    counts = []
    for run in runs:
        count = 1
        while (seconds := run(count)) < SECONDS / 4:
            count *= 4
        counts.append(max(1, round(count * SECONDS / seconds)))
    found: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, count, row in zip(runs, counts, found, strict=True):
            row.append(1e6 * run(count) / count)
    return found


# ---------------------------------------------------------------- agreement


def random_points(dim: int, seed: int = 0) -> Points:
    return 0.5 * np.random.default_rng(seed).standard_normal((POINTS, dim))


def disagreement(f: Function, reference: Callable[[Points], tuple[float, Points]], points: Points) -> float:
    """The largest relative error of f: of its gradient at any point, and of its value less that at the first.

    Errors are relative to the largest entry of a gradient and to the largest value.
    """
    ours, theirs = [f(x) for x in points], [reference(x) for x in points]
    values = np.array([a - b for (a, _), (b, _) in zip(ours, theirs, strict=True)])
    worst = np.abs(values - values[0]).max() / max(abs(v) for v, _ in theirs)
    for (_, a), (_, b) in zip(ours, theirs, strict=True):
        worst = max(worst, np.abs(a - b).max() / max(1.0, np.abs(b).max()))
    return float(worst)


def torch_engine(model: Model, data: dict[str, Any]) -> Callable[[Points], tuple[float, Points]]:
    """Value and gradient by ppl's reference engine."""
    compiled = ppl.compile(model.module.ppl_model(data), engine="torch")

    def call(x: Points) -> tuple[float, Points]:
        value, gradient = compiled.value_and_grad(torch.from_numpy(x))
        return float(value), gradient.numpy()

    return call


# ---------------------------------------------------------------- the benchmark


@dataclass(frozen=True)
class Row:
    """µs a call (medians) and ratios; None where there is no such figure."""

    model: str
    dim: int
    c: float
    ppl: float | None
    ratio: float | None
    read: float | None
    error_c: float
    error_ppl: float | None


def measure(model: Model, compiler: Compiler, harness: Harness, rounds: int) -> Row:
    data = model.data()
    compiled = ppl.compile(model.module.ppl_model(data))
    points = random_points(compiled.dim)
    c, native = compiler.density(model, data, compiled.dim), ppl_native(compiled)
    reference = torch_engine(model, data)
    error_c = disagreement(c, reference, points)
    error_ppl = None if native is None else disagreement(native, reference, points)
    for name, error in (("C", error_c), ("the native engine", error_ppl)):
        if error is not None and not error < TOLERANCE:
            raise SystemExit(
                f"{model.name}: {name} disagrees with the torch engine: relative error {error:.1e}"
            )
    runs = {"c": harness.calls(c, points)}
    if native is not None:
        runs["ppl"] = harness.calls(native, points)
    if "X" in data:
        runs["read"] = harness.reading(data["X"])
    times = dict(zip(runs, microseconds(list(runs.values()), rounds), strict=True))
    middle = {name: statistics.median(row) for name, row in times.items()}
    ratio = None
    if native is not None:
        ratio = statistics.median(p / q for p, q in zip(times["ppl"], times["c"], strict=True))
    return Row(
        model.name,
        compiled.dim,
        middle["c"],
        middle.get("ppl"),
        ratio,
        middle.get("read"),
        error_c,
        error_ppl,
    )


HEADER = (
    f"{'model':24}{'dim':>5}{'C µs':>11}{'ppl µs':>11}{'ppl/C':>8}{'read µs':>11}{'C/read':>8}{'ppl/read':>9}"
)


def line(row: Row) -> str:
    def cell(value: float | None, width: int) -> str:
        return f"{'':>{width}}" if value is None else f"{value:{width}.{3 if value < 100 else 0}f}"

    by_read = [None if row.read is None or v is None else v / row.read for v in (row.c, row.ppl)]
    cells = [cell(row.c, 11), cell(row.ppl, 11), cell(row.ratio, 8), cell(row.read, 11)]
    return f"{row.model:24}{row.dim:5}" + "".join([*cells, cell(by_read[0], 8), cell(by_read[1], 9)])


def main(arguments: list[str]) -> None:
    with_c = [name for name, model in MODELS.items() if model.module.C_FILE]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=with_c, default=with_c, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    if shutil.which(options.cc) is None:
        raise SystemExit(f"no C compiler: {options.cc} is not on the path; name one with --cc")
    torch.set_num_threads(1)
    rows, noted = [], False
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(options.cc, folder)
        harness = Harness(compiler.library("harness.c"))
        for name in options.models:
            try:
                row = measure(MODELS[name], compiler, harness, options.rounds)
            except FileNotFoundError as absent:
                print(f"{name:24} skipped: {absent}")
                continue
            rows.append(row)
            print(line(row), flush=True)
            if row.ppl is None and not noted:
                print("native engine not available: ppl's columns stay empty")
                noted = True
    if options.json:
        write(options.json, {"cflags": CFLAGS}, rows)


if __name__ == "__main__":
    main(sys.argv[1:])
