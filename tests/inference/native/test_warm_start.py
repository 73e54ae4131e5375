"""A process that finds its machine code on disk needs no compiler: it imports none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppl.compiler.native import image

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "eight_schools.py"

PROGRAM = f"""
import runpy, sys
import ppl

example = runpy.run_path({str(EXAMPLE)!r})
posterior = ppl.infer(
    example["eight_schools"](example["SIGMA"]).reparam(theta=ppl.NonCentered()),
    data={{"y": example["Y"]}},
    method=ppl.NUTS(),
    draws=20, warmup=20, chains=1, seed=0, progress=False,
)
print(*sorted({{"llvmlite", "numba"}} & set(sys.modules)))
print(posterior.draws["theta"].tobytes().hex())
"""


@pytest.mark.skipif(not image.POSSIBLE, reason="LLVM loads machine code on this system")
def test_a_second_process_samples_without_llvm(tmp_path: Path) -> None:
    environment = {**os.environ, "PPL_CACHE": "on", "PPL_CACHE_DIR": str(tmp_path)}
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.splitlines())
    (compiler, draws), (none, same) = said
    assert compiler == "llvmlite"
    assert none == "", "LLVM is imported although all machine code is in the cache"
    assert same == draws
