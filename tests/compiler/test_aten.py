"""Ordinary torch code through the recorder: value, gradient, and both over plates."""

from __future__ import annotations

import pytest
import torch
from compiler.checks import (
    SCHOOL,
    all_same,
    check_plated,
    cotangents_of,
    differentiated,
    pull,
    run,
    stacked_values,
)
from compiler.torch_calls import CALLS

from ppl.compiler.ops import make_input
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.tracer import trace


@pytest.mark.parametrize("name", list(CALLS))
def test_call(name: str) -> None:
    function, makers = CALLS[name]
    torch.manual_seed(3)
    values = [m() for m in makers]
    graph = trace(function, [make_input(f"a{i}", v.shape, v.dtype) for i, v in enumerate(values)])
    cotangents = cotangents_of(graph)
    seeds = [torch.randn(c.shape, dtype=c.dtype) for c in cotangents]
    outs, grads = pull(function, values, seeds)
    both = differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents)
    all_same(run(both, [*values, *seeds]), [*outs, *grads], name)
    all_same(run(simplify(both), [*values, *seeds]), [*outs, *grads], f"{name}, simplified")
    every = [(SCHOOL,)] * len(makers)
    for plates in (every, [*every[:1], *[()] * (len(makers) - 1)], [*[()] * (len(makers) - 1), *every[:1]])[
        : 1 if len(makers) == 1 else 3
    ]:
        check_plated(
            graph, function, [stacked_values(m, p) for m, p in zip(makers, plates, strict=True)], plates, name
        )
