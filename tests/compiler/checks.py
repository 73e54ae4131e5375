"""What the compiler's tests share: run a graph, and compare it with torch and with loops over elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, Plate, inline
from ppl.compiler.ops import make_input
from ppl.compiler.passes.differentiate import materialise, vjp
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.verify import verify

Tensors = Sequence[torch.Tensor]

SCHOOL, PUPIL = Plate(0, "school", 2), Plate(1, "pupil", 3)


def run(graph: Graph, values: Tensors) -> tuple[torch.Tensor, ...]:
    verify(graph)
    physical = vectorise(graph)
    verify(physical)
    return compile_torch(physical)(*values)


def differentiated(graph: Graph, wrt: Sequence[Node], cotangents: Sequence[Node]) -> Graph:
    """(inputs…, cotangents…) → (outputs…, Σ cotangent · ∂output/∂w …), a cotangent for each float output."""
    outs = [o for o in graph.outputs if o.is_float]
    grads = vjp(outs, list(cotangents), list(wrt))
    full_size = tuple(materialise(g, w) for g, w in zip(grads, wrt, strict=True))
    return Graph((*graph.inputs, *cotangents), (*graph.outputs, *full_size))


def cotangents_of(graph: Graph, plates: tuple[Plate, ...] | None = None) -> list[Node]:
    """An input for each float output; over `plates`, or (None) over the output's own."""
    return [
        make_input(f"g{i}", o.shape, o.dtype, o.plates if plates is None else plates)
        for i, o in enumerate(graph.outputs)
        if o.is_float
    ]


def pull(
    function: Callable[..., Any], values: Tensors, cotangents: Tensors
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """torch's own (outputs, gradients with respect to the float arguments)."""
    leaves = [v.detach().clone().requires_grad_(v.is_floating_point()) for v in values]
    with torch.enable_grad():
        outs = function(*leaves)
        outs = list(outs) if isinstance(outs, tuple | list) else [outs]
        pairs = [
            (o, g)
            for o, g in zip([o for o in outs if o.is_floating_point()], cotangents, strict=True)
            if o.requires_grad
        ]
        wrt = [v for v in leaves if v.requires_grad]
        grads: Sequence[Any] = [None] * len(wrt)
        if pairs and wrt:
            grads = torch.autograd.grad([o for o, _ in pairs], wrt, [g for _, g in pairs], allow_unused=True)
    filled = [torch.zeros_like(v) if g is None else g for v, g in zip(wrt, grads, strict=True)]
    return [o.detach() for o in outs], filled


def same(found: torch.Tensor, expected: torch.Tensor, what: str, relative: float = 1e-9) -> None:
    """Equal shape, dtype and values, the tolerance relative to the largest value."""
    assert found.shape == expected.shape, (
        f"{what}: shape {list(found.shape)}, expected {list(expected.shape)}"
    )
    assert found.dtype == expected.dtype, f"{what}: {found.dtype}, expected {expected.dtype}"
    finite = expected[torch.isfinite(expected)] if expected.is_floating_point() else expected
    scale = float(finite.abs().max()) if finite.is_floating_point() and finite.numel() else 1.0
    epsilon = relative if expected.dtype != torch.float32 else 1e-5
    torch.testing.assert_close(
        found,
        expected,
        rtol=epsilon,
        atol=epsilon * max(scale, 1e-3),
        equal_nan=True,
        msg=lambda m: f"{what}: {m}",
    )


def all_same(found: Tensors, expected: Tensors, what: str, relative: float = 1e-9) -> None:
    assert len(found) == len(expected), f"{what}: {len(found)} results, expected {len(expected)}"
    for i, (f, e) in enumerate(zip(found, expected, strict=True)):
        same(f, e, f"{what}, result {i}", relative)


# ---------------------------------------------------------------- plates


def elements(plates: Sequence[Plate]) -> Iterator[dict[Plate, int]]:
    for position in itertools.product(*[range(p.size) for p in plates]):
        yield dict(zip(plates, position, strict=True))


def at(value: torch.Tensor, plates: Sequence[Plate], element: dict[Plate, int]) -> torch.Tensor:
    for p in plates:
        value = value[element[p]]
    return value


def plated(graph: Graph, plates: Sequence[tuple[Plate, ...]]) -> Graph:
    """`graph` as a function of inputs that vary over these plates."""
    inputs = tuple(
        make_input(n.attr("name"), n.shape, n.dtype, p, n.attr("role"))
        for n, p in zip(graph.inputs, plates, strict=True)
    )
    return Graph(inputs, tuple(inline(graph, inputs)))


def assignments(count: int, plates: Sequence[Plate]) -> list[tuple[tuple[Plate, ...], ...]]:
    """Every way to let `count` operands vary over subsets of `plates`, each plate being used."""
    subsets = [c for r in range(len(plates) + 1) for c in itertools.combinations(plates, r)]
    every = itertools.product(subsets, repeat=count)
    return [a for a in every if {p for s in a for p in s} == set(plates)]


def check_plated(
    graph: Graph,
    function: Callable[..., Any],
    values: Tensors,
    plates: Sequence[tuple[Plate, ...]],
    what: str,
) -> None:
    """Values of `graph` over plates equal a loop; a gradient sums over plates that its operand lacks."""
    batched = plated(graph, plates)
    names = [".".join(p.name for p in s) for s in plates]
    cotangents = cotangents_of(batched)
    shapes = [tuple(p.size for p in c.plates) + c.shape for c in cotangents]
    seeds = [torch.randn(s, dtype=c.dtype) for s, c in zip(shapes, cotangents, strict=True)]
    wrt = [n for n in batched.inputs if n.is_float]
    found = run(differentiated(batched, wrt, cotangents), [*values, *seeds])
    every = tuple(sorted({p for s in plates for p in s}))
    grads = {n: torch.zeros_like(v) for n, v in zip(batched.inputs, values, strict=True) if n.is_float}
    rows: list[list[torch.Tensor]] = []
    for element in elements(every):
        own = [at(v, n.plates, element) for v, n in zip(values, batched.inputs, strict=True)]
        weights = [at(s, c.plates, element) for s, c in zip(seeds, cotangents, strict=True)]
        outs, pulled = pull(
            function, own, [w * share(batched, c, every) for w, c in zip(weights, cotangents, strict=True)]
        )
        rows.append(outs)
        for n, g in zip(wrt, pulled, strict=True):
            at(grads[n], n.plates, element).add_(g)
    for i, out in enumerate(batched.outputs):
        columns = [row[i] for row in rows]
        stacked = torch.stack(columns).reshape([*(p.size for p in every), *columns[0].shape])
        for axis, p in reversed(list(enumerate(every))):
            if p not in out.plates:
                stacked = stacked.select(axis, 0)
        same(found[i], stacked, f"{what}: output {i} over {names}")
    for n, g in zip(wrt, found[len(batched.outputs) :], strict=True):
        # a gradient that is zero for want of a path to the outputs varies over nothing
        g = g.expand_as(grads[n]) if not g.any() else g
        same(g, grads[n], f"{what}: gradient of {n.attr('name')} over {names}", 1e-8)


def share(graph: Graph, cotangent: Node, every: tuple[Plate, ...]) -> float:
    """A result that does not vary over a plate is one value, which the loop sees `size` times."""
    result = 1.0
    for p in every:
        if p not in cotangent.plates:
            result /= p.size
    return result


def stacked_values(make: Callable[[], torch.Tensor], plates: tuple[Plate, ...]) -> torch.Tensor:
    if not plates:
        return make()
    return torch.stack([stacked_values(make, plates[1:]) for _ in range(plates[0].size)])
