"""No graph and no number ends the process: infinities, nans and places out of range run through machine code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("fuzz_native.py")


def fuzz(count: int, seed: int) -> int:
    """How many of `count` random graphs ran (the others hold an operator that native lacks)."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(count), str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"seed {seed}: exit code {done.returncode}\n{done.stderr[-3000:]}"
    return int(done.stdout.split()[-1])


def test_random_graphs() -> None:
    assert fuzz(60, 1) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_random_graphs(seed: int) -> None:
    assert fuzz(1300, seed) >= 1000
