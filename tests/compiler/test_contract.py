"""Sums of matrix products over plates are taken inside the products, and stay what they were."""

from __future__ import annotations

import pytest
import torch
from compiler.checks import PUPIL, SCHOOL, all_same, assignments, run

from ppl.compiler.graph import Graph, Plate
from ppl.compiler.ops import make_input, matmul, plate_sum
from ppl.compiler.passes.contract import contract

F = torch.float64
BOTH = (SCHOOL, PUPIL)


def total(plates: tuple[tuple[Plate, ...], ...], over: tuple[Plate, ...], inner: int) -> Graph:
    """Σ of A B over plates, A and B varying over some."""
    a, b = (make_input(n, s, F, p) for n, s, p in zip("ab", [(4, inner), (inner, 5)], plates, strict=True))
    out = matmul(a, b)
    for plate in over:
        out = plate_sum(out, plate)
    return Graph((a, b), (out,))


@pytest.mark.parametrize("inner", [1, 2])
@pytest.mark.parametrize("over", [(SCHOOL,), (PUPIL,), BOTH, BOTH[::-1]], ids=str)
def test_contract_on_and_off(over: tuple[Plate, ...], inner: int) -> None:
    for plates in assignments(2, BOTH):
        graph = total(plates, over, inner)
        values = [torch.randn(*(q.size for q in n.plates), *n.shape, dtype=F) for n in graph.inputs]
        short = contract(graph)
        all_same(run(short, values), run(graph, values), f"a, b over {plates}")
        products = [n for n in short.nodes() if n.op == "matmul"]
        assert not any(p in n.plates for n in products for p in over)
        assert not any(n.op == "plate_sum" and n.nodes[0] in products for n in short.nodes())
