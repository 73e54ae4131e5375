"""What the benchmarks share: clocks, workers in processes of their own, empty caches, the machine, results on file.

A worker imports nothing at its top but numpy and the models, and neither does this file.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any


class Clock:
    """Times since a process was started, and of calls."""

    def __init__(self, started: float) -> None:
        self.started = started

    def total(self) -> float:
        return time.time() - self.started

    @staticmethod
    def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
        begun = time.perf_counter()
        result = call()
        return time.perf_counter() - begun, result


class Caches:
    """Where systems keep compiled code: an empty folder for every process, or one for all."""

    def __init__(self, folder: str, warm: bool) -> None:
        self.folder, self.warm = Path(folder), warm
        self._count = 0

    def environment(self) -> dict[str, str]:
        self._count += 1
        place = self.folder / ("caches" if self.warm else f"caches{self._count}")
        place.mkdir(exist_ok=True)
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
        return {
            **os.environ,
            **threads,
            "PPL_CACHE_DIR": str(place / "ppl"),
            "XDG_CACHE_HOME": str(place),  # httpstan's models
            "PYTENSOR_FLAGS": f"base_compiledir={place / 'pytensor'}",
            "NUMBA_CACHE_DIR": str(place / "numba"),
        }


def missing(modules: str, python: str) -> str | None:
    """Why a Python can't import modules, in the words of the failure."""
    done = subprocess.run([python, "-c", f"import {modules}"], capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it fails to start"])[-1]


def there(systems: Iterable[str], modules: dict[str, str], pythons: dict[str, str]) -> list[str]:
    """The systems whose Pythons can import them; the others with a notice."""
    found = []
    for system in systems:
        lack = missing(modules[system], pythons[system])
        if lack:
            print(f"{system}: skipped, {pythons[system]} hasn't got it ({lack})")
        else:
            found.append(system)
    return found


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = [s for s in Path("/proc/cpuinfo").read_text().splitlines() if s.startswith("model name")]
        name = lines[0].partition(":")[2].strip() if lines else name
    return {"processor": name, "cores": os.cpu_count(), "python": platform.python_version()}


def write(path: Path, settings: dict[str, Any], rows: Iterable[Any]) -> None:
    """The figures as JSON: what they were measured on, with which settings, and the rows (dataclasses)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {k: str(v) if isinstance(v, Path) else v for k, v in settings.items()}
    found = {"machine": machine(), "settings": told, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(found, indent=1))
