"""The gradient with respect to a vector, from the gradients with respect to what is read of it.

A density reads its flat vector in slices. Differentiating with respect to each slice, and putting the adjoints
together once, is cheaper than adding up as many vectors of zeros as there are slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import constant, full, make
from ppl.compiler.ops.batching import reshape
from ppl.compiler.ops.pointwise import add
from ppl.compiler.passes.differentiate import materialise, vjp

_FEW = 4


@dataclass(frozen=True)
class _Read:
    """`x[start : stop : step]`"""

    node: Node
    start: int
    stop: int
    step: int

    def places(self) -> torch.Tensor:
        return torch.arange(self.start, self.stop, self.step)


def gradient(graph: Graph, x: Node) -> Node:
    """d output₀ / dx, `x` a vector among the inputs of a graph whose first output is a float number.

    >>> from ppl.compiler.ops import make_input
    >>> x = make_input("x", (3,), torch.float64)
    >>> tail = make("slice", x, dim=-1, start=1, stop=3, step=1)
    >>> total = make("sum", make("exp", tail), dims=(-1,), keepdim=False)
    >>> print(Graph((x,), (gradient(Graph((x,), (total,)), x),)))
    graph(%x.0: f64[3]):
      %0: f64[1] = full(value=0.0)
      %1: f64[2] = slice(%x.0, dim=-1, start=1, step=1, stop=3)
      %2: f64[2] = exp(%1)
      %3: f64[2] = mul(1.0, %2)
      %4: f64[3] = cat(%0, %3, dim=-1)
      return %4
    """
    total = graph.outputs[:1]
    users = [n for n in graph.nodes() if x in n.nodes]
    if any(n.op != "slice" for n in users) or x in total:
        return materialise(vjp(total, [1.0], [x])[0], x)
    reads = sorted((_read(n) for n in users), key=lambda r: (r.start, r.stop))
    found = vjp(total, [1.0], [r.node for r in reads])
    adjoints = {r: materialise(g, r.node) for r, g in zip(reads, found, strict=True)}
    pieces: list[Node] = []
    done = 0
    for group in _overlapping(reads):
        start, stop = group[0].start, max(r.stop for r in group)
        if start > done:
            pieces.append(full(0.0, (start - done,), x.dtype))
        pieces.append(_together(group, adjoints, start, stop))
        done = stop
    if done < x.shape[0]:
        pieces.append(full(0.0, (x.shape[0] - done,), x.dtype))
    return make("cat", *pieces, dim=-1) if len(pieces) > 1 else (pieces or [x])[0]


def _read(node: Node) -> _Read:
    start, _, step = slice(node.attr("start"), node.attr("stop"), node.attr("step")).indices(
        node.nodes[0].shape[0]
    )
    last = start + (node.shape[0] - 1) * step
    return _Read(node, start, last + 1 if node.shape[0] else start, step)


def _overlapping(reads: Sequence[_Read]) -> list[list[_Read]]:
    """Reads in order of their starts, those that reach into each other together."""
    groups: list[list[_Read]] = []
    end = 0
    for read in reads:
        if read.start == read.stop:
            continue
        if groups and read.start < end:
            groups[-1].append(read)
            end = max(end, read.stop)
        else:
            groups.append([read])
            end = read.stop
    return groups


def _together(group: Sequence[_Read], adjoints: dict[_Read, Node], start: int, stop: int) -> Node:
    """The adjoint of x[start:stop]: shifted and added, or scattered where that would be many vectors."""
    size = stop - start
    if len(group) <= _FEW and all(r.step == 1 for r in group):
        total: Node | None = None
        for r in group:
            whole = (r.start, r.stop) == (start, stop)
            g = adjoints[r]
            if not whole:
                a, b = r.start - start, r.stop - start
                g = make("slice_embed", g, size=size, dim=-1, start=a, stop=b, step=1)
            total = g if total is None else add(total, g)  # type: ignore[assignment]
        assert total is not None
        return total
    source = make("cat", *[adjoints[r] for r in group], dim=-1) if len(group) > 1 else adjoints[group[0]]
    places = torch.cat([r.places() - start for r in group])
    return make("index_add", reshape(source, (len(places),)), constant(places), dim=-1, size=size)


__all__ = ["gradient"]
