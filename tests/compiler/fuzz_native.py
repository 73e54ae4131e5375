"""Random graphs as machine code on random and extreme numbers: `python fuzz_native.py COUNT SEED` prints how many ran.

A program of its own, because what it looks for would end the process.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from compiler.checks import PUPIL, cotangents_of, differentiated
from compiler.samples import SAMPLES, Draw
from compiler.test_passes import random_graph
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ppl.compiler.engines.native import NativeProgram, Unsupported
from ppl.compiler.graph import Graph
from ppl.compiler.ops import make
from ppl.compiler.passes.vectorise import add_plate, vectorise
from ppl.compiler.tracer import working_dtype

EXTREME = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e308,
    -1e308,
    5e-324,
    float("inf"),
    -float("inf"),
    float("nan"),
    1e19,
    -1e19,
]
FAR = [0, -1, 1, 2**62, -(2**62), 10**6, -(10**6)]


def spoilt(x: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """The tensor with some of its elements made extreme."""
    flat = x.clone().reshape(-1)
    for i in range(flat.numel()):
        if rng.random() < 0.3:
            flat[i] = (
                rng.choice(EXTREME)
                if x.is_floating_point()
                else rng.choice(FAR if x.dtype == torch.int64 else [0, 1])
            )
    return flat.reshape(x.shape)


def gathering(graph: Graph) -> Graph:
    """The graph, and elements of its results at places that are computed from them."""
    outs = [o for o in graph.outputs if o.is_float and o.shape]
    extra = []
    for o in outs:
        flat = make("reshape", o, shape=(torch.Size(o.shape).numel(),))
        places = make("to", make("mul", flat, 3.0), dtype=torch.int64)
        extra.append(make("index", flat, places, positions=(0,)))
        wrapped = make("wrap_index", places, size=flat.shape[0])
        extra.append(make("index_add", flat, wrapped, dim=-1, size=flat.shape[0]))
    return Graph(graph.inputs, (*graph.outputs, *extra))


def expression(data: Any) -> tuple[Graph, list[torch.Tensor]]:
    graph = random_graph(data)
    cotangents = cotangents_of(graph)
    both = gathering(differentiated(graph, list(graph.inputs), cotangents))
    return both, [torch.randn(n.shape, dtype=n.dtype) for n in both.inputs]


def operator(data: Any) -> tuple[Graph, list[torch.Tensor]]:
    sample = SAMPLES[data.draw(st.sampled_from(sorted(SAMPLES)))](Draw(data.draw))
    graph = sample.graph()
    cotangents = cotangents_of(graph)
    both = differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents)
    values = [*[m() for m in sample.makers], *[torch.randn(c.shape, dtype=c.dtype) for c in cotangents]]
    if data.draw(st.booleans()):
        return vectorise(both), values
    plated = vectorise(add_plate(both, list(both.inputs), PUPIL))
    return plated, [v.expand(PUPIL.size, *v.shape).contiguous() for v in values]


def main(count: int, start: int) -> int:
    os.environ["PPL_CACHE"] = "off"
    rng = random.Random(start)
    ran = 0

    @seed(start)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def check(data: Any) -> None:
        nonlocal ran
        graph, values = (expression if data.draw(st.booleans()) else operator)(data)
        try:
            program = NativeProgram(graph)
            for _ in range(3):
                program(*[spoilt(v, rng) for v in values])
            ran += 1
        except Unsupported:
            pass

    with working_dtype(torch.float64):
        check()
    return ran


if __name__ == "__main__":
    print("ran", main(int(sys.argv[1]), int(sys.argv[2])), flush=True)
