"""Seconds of the processor to record, lower and compile each program of the corpus, as JSON.

Each program runs in two processes of its own, copies of one that has imported everything and compiled nothing:
the first finds an empty cache on disk, the second the first one's machine code. A copy pays for every page of memory
that it is the first to write to, up to a third of these times; with `--fresh` the processes do their own imports
instead (not counted), which is slow to run and exact.

    python tests/corpus/timing.py [--fresh] [name …]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

import ppl.language.compiled
from corpus.programs import CORPUS
from ppl.compiler.engines import EngineNotice
from ppl.compiler.engines.native import NativeProgram


def measure(name: str) -> dict[str, Any]:
    """From the bound program to the first value and gradient."""
    bound = CORPUS[name].bind()
    start = process_time()
    program = ppl.language.compiled.compile(bound)
    _, recorded = program.dim, process_time()
    x = torch.zeros(program.dim, dtype=torch.float64)
    engine, lowered = program.engine.name, process_time()
    program.value_and_grad(x)
    stop = process_time()
    return {
        "total": stop - start,
        "record": recorded - start,
        "lower": lowered - recorded,
        "build": stop - lowered,
        "engine": engine,
    }


def apart(name: str, folder: str) -> dict[str, Any]:
    """The measurement in a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.environ["PPL_CACHE_DIR"] = folder
        found: Any = None
        try:
            found = measure(name)
        finally:
            with os.fdopen(write, "w") as out:
                json.dump(found, out)
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found = json.load(answer)
    os.waitpid(child, 0)
    assert found is not None, f"{name} can't be compiled"
    return dict(found)


def fresh(name: str, folder: str) -> dict[str, Any]:
    """The measurement in a process that imports for itself."""
    environment = {**os.environ, "PPL_CACHE_DIR": folder}
    command = [sys.executable, __file__, "--only", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--only", help="measure this one, here")
    options = parser.parse_args()
    assert NativeProgram is not None  # its imports are no part of the measurement
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", EngineNotice)
    if options.only:
        print(json.dumps(measure(options.only)))
        return
    run = fresh if options.fresh else apart
    results = {}
    for name in options.names or [name for name, entry in CORPUS.items() if not entry.fails]:
        with tempfile.TemporaryDirectory() as folder:
            cold, warm = run(name, folder), run(name, folder)
        parts = {part: cold[part] for part in ("record", "lower", "build")}
        results[name] = {"cold": cold["total"], "warm": warm["total"], "engine": cold["engine"], **parts}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
