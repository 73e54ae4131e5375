"""How much memory sampling takes beyond what importing torch takes: a hierarchical model of 5,000 parameters.

    python benchmarks/memory.py                    # every run below, each in a process of its own
    python benchmarks/memory.py --chains 1 --draws 10000 --engine native --to disk    # one, as JSON

Prints one row a run: the peak so far, in MiB above `import torch`, when the model is compiled, when the draws
are made, when they are named values, and when they have been judged (the end of `infer`); then what stands on
the disk, and the seconds. To beat: 1024 MiB at the end, for 10,000 draws to the disk, which are 381 MiB and
again as much as named values.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PARAMETERS = 5_000
RUNS: tuple[dict[str, Any], ...] = (
    {"chains": 4, "draws": 2_500, "engine": "native", "to": "disk"},
    {"chains": 1, "draws": 10_000, "engine": "native", "to": "disk"},
    {"chains": 4, "draws": 2_500, "engine": "native", "to": "disk", "checkpoint": True},
    {"chains": 4, "draws": 2_500, "engine": "torch", "to": "disk"},
    {"chains": 4, "draws": 2_500, "engine": "native", "to": "memory"},
)
STAGES = {"find_initial_points": "compiled", "assemble": "sampled", "_say": "named"}
"""Functions of a run, and what is done when one is called."""


def peak() -> float:
    """The largest resident size of this process so far, MiB. (`ru_maxrss` may be the parent's.)"""
    try:
        return int(re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[0]) / 2**10
    except (OSError, IndexError):
        import resource

        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def watched(stages: dict[str, float], base: float) -> None:
    """Make a run note its peak, stage by stage."""
    from ppl.inference import hamiltonian

    def noting(name: str, function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            stages[STAGES[name]] = peak() - base
            return function(*args, **kwargs)

        return call

    for name in STAGES:
        setattr(hamiltonian, name, noting(name, getattr(hamiltonian, name)))


def one(chains: int, draws: int, engine: str, to: str, checkpoint: bool = False) -> dict[str, float]:
    """One run in this process: MiB by stage, and seconds."""
    import torch

    base = peak()
    import ppl
    from ppl.distributions import HalfNormal, Normal

    @ppl.model
    def groups(n):
        mu = ppl.sample("mu", Normal(0.0, 1.0))
        tau = ppl.sample("tau", HalfNormal(1.0))
        for _ in ppl.plate("group", n):
            theta = ppl.sample("theta", Normal(mu, tau))
            ppl.sample("y", Normal(theta, 1.0))

    count = PARAMETERS - 2
    y = 2.0 * torch.randn(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    stages: dict[str, float] = {}
    watched(stages, base)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        options = {"draws_to": folder / "draws"} if to == "disk" else {}
        options |= {"save_to": folder / "run.npz"} if checkpoint else {}
        started = time.perf_counter()
        method = ppl.NUTS(max_treedepth=3)  # how far a trajectory goes takes time, not memory
        posterior = ppl.infer(groups(count), {"y": y}, method, draws, 200, chains, engine=engine, **options)
        stages["judged"] = peak() - base
        stages["seconds"] = time.perf_counter() - started
        stages["disk"] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20
        del posterior
    return stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--chains", type=int)
    parser.add_argument("--draws", type=int, default=2_500)
    parser.add_argument("--engine", default="native")
    parser.add_argument("--to", choices=("disk", "memory"), default="disk")
    parser.add_argument("--checkpoint", action="store_true")
    arguments = parser.parse_args()
    if arguments.chains is not None:
        print(json.dumps(one(**vars(arguments))))
        return
    columns = ("compiled", "sampled", "named", "judged", "disk", "seconds")
    print(f"{'MiB above import torch':44}" + "".join(f"{c:>10}" for c in columns), flush=True)
    for run in RUNS:
        flags = [f"--{k}={v}" for k, v in run.items() if v is not True]
        flags += [f"--{k}" for k, v in run.items() if v is True]
        done = subprocess.run(
            [sys.executable, __file__, *flags], stdout=subprocess.PIPE, text=True, check=True
        )
        row = json.loads(done.stdout)
        with_checkpoint = ", checkpoint" if run.get("checkpoint") else ""
        name = f"{run['chains']} × {run['draws']}, {run['engine']}, to {run['to']}{with_checkpoint}"
        print(f"{name:44}" + "".join(f"{row[c]:10.0f}" for c in columns), flush=True)


if __name__ == "__main__":
    main()
