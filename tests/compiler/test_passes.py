"""Passes on against off: simplify and fold change the graph, never its results."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compiler.checks import PUPIL, SCHOOL, all_same, cotangents_of, differentiated, run, same, stacked_values
from compiler.samples import SAMPLES, Draw
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, Plate
from ppl.compiler.ops import full, make, make_input, plate_index, plate_slice, plate_stack, plate_sum
from ppl.compiler.passes.fold import fold
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.passes.vectorise import vectorise

F = torch.float64
PHASES = (Phase.explicit, Phase.generate)
SHAPE = (2, 3)
SMOOTH = ["neg", "exp", "tanh", "sin", "sigmoid", "softplus", "abs", "relu", "log1p_square"]
NUMBERS = [0, 1, -1, 2, 0.5, 0.0, 1.0, -1.0, 2.0, 3.7, True]


class Expressions:
    """Random DAGs: every node has shape SHAPE, a broadcastable shape or none, so that any two combine."""

    def __init__(self, draw: Any, inputs: list[Node]) -> None:
        self.draw = draw
        self.pool: list[Node] = [*inputs, full(1.0, SHAPE, F), full(0.0, (), F), full(2, (3,), torch.int64)]

    def pick(self) -> Node:
        return self.pool[-1 - self.draw(st.integers(0, len(self.pool) - 1))]

    def step(self) -> None:
        kind = self.draw(
            st.sampled_from(
                ["unary", "binary", "binary", "number", "number", "view", "sum", "cast", "where", "table"]
            )
        )
        self.pool.append(getattr(self, kind)(self.pick()))

    def unary(self, a: Node) -> Node:
        op = self.draw(st.sampled_from(SMOOTH))
        if op == "log1p_square":
            return make("log1p", make("mul", a, a))
        # bounded before it grows: a result of 1e300 would compare as nothing but infinities
        return make(op, make("tanh", a) if op == "exp" else a)

    def binary(self, a: Node) -> Node:
        op = self.draw(st.sampled_from(["add", "sub", "mul", "maximum", "div"]))
        b = self.pick()
        return make(op, a, make("add", make("mul", b, b), 1.0) if op == "div" else b)

    def number(self, a: Node) -> Node:
        op = self.draw(st.sampled_from(["add", "sub", "mul", "div", "pow"]))
        value = self.draw(st.sampled_from(NUMBERS))
        if op == "div" and value == 0:
            value = 1
        if op == "pow":
            return make("pow", a, self.draw(st.sampled_from([1, 2, 1.0, 2.0, 3])))
        if op == "sub" and value is True:  # not a number that torch subtracts
            value = 3
        return make(op, a, value) if op == "div" or self.draw(st.booleans()) else make(op, value, a)

    def view(self, a: Node) -> Node:
        rank = len(a.shape)
        kind = self.draw(st.sampled_from(["twice", "permute", "expand", "reshape"]))
        if kind == "permute" and rank == 2:
            b = make("permute", a, dims=(1, 0))
            return make("permute", make("sin", b) if self.draw(st.booleans()) else b, dims=(1, 0))
        if kind == "expand" and a.shape != SHAPE:
            return make("expand", a, shape=SHAPE)
        count = 1
        for n in a.shape:
            count *= n
        flat = make("reshape", a, shape=(count,))
        return make("reshape", make("neg", flat) if kind == "twice" else flat, shape=a.shape)

    def sum(self, a: Node) -> Node:
        rank = len(a.shape)
        dims = () if rank == 0 else (-1,) if rank == 1 else self.draw(st.sampled_from([(), (-2,), (-2, -1)]))
        return make("sum", a, dims=dims, keepdim=False)

    def cast(self, a: Node) -> Node:
        return make("to", a, dtype=self.draw(st.sampled_from([F, F, torch.float32, torch.int64])))

    def where(self, a: Node) -> Node:
        return make("where", make("gt", a, self.pick()), a, self.draw(st.sampled_from([0.0, 1.5])))

    def table(self, a: Node) -> Node:
        return make("add", make("sum", a, dims=tuple(range(-len(a.shape), 0)), keepdim=False), a)


def settle(values: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    return [torch.nan_to_num(v) if v.is_floating_point() else v for v in values]


def random_graph(data: Any, plates: tuple[Plate, ...] = ()) -> Graph:
    subsets = [(), *[(p,) for p in plates], plates]
    inputs = [
        make_input(f"x{i}", s, F, data.draw(st.sampled_from(subsets)))
        for i, s in enumerate([SHAPE, (3,), ()])
    ]
    expressions = Expressions(data.draw, inputs)
    for _ in range(data.draw(st.integers(3, 14))):
        expressions.step()
    return Graph(tuple(inputs), tuple(expressions.pool[-3:]))


def values_of(graph: Graph) -> list[torch.Tensor]:
    return [torch.randn([*(p.size for p in n.plates), *n.shape]) for n in graph.inputs]


@settings(max_examples=120, phases=PHASES)
@given(data=st.data())
def test_simplify_on_and_off(data: Any) -> None:
    graph = random_graph(data, (SCHOOL, PUPIL))
    values = values_of(graph)
    simpler = simplify(graph)
    assert [o.type for o in simpler.outputs] == [o.type for o in graph.outputs]
    assert len(simpler) <= len(graph)
    physical = vectorise(graph)
    expected = compile_torch(physical)(*values)
    all_same(
        settle(compile_torch(simplify(physical))(*values)),
        settle(expected),
        "simplified after vectorising",
        1e-12,
    )
    for n, o, e in zip(simpler.outputs, settle(run(simpler, values)), settle(expected), strict=True):
        same(o.expand_as(e) if not n.plates else o, e, "simplified", 1e-12)


@settings(max_examples=50, phases=PHASES)
@given(data=st.data())
def test_simplify_a_gradient_on_and_off(data: Any) -> None:
    graph = random_graph(data)
    cotangents = cotangents_of(graph)
    both = differentiated(graph, list(graph.inputs), cotangents)
    values = [*values_of(graph), *[torch.randn(c.shape, dtype=c.dtype) for c in cotangents]]
    all_same(settle(run(simplify(both), values)), settle(run(both, values)), "simplified gradient", 1e-9)


@settings(max_examples=80, phases=PHASES)
@given(data=st.data())
def test_fold_on_and_off(data: Any) -> None:
    """Any subset of the inputs are data; what depends on them alone moves out, plates or no plates."""
    graph = random_graph(data, (SCHOOL,))
    data_inputs = [n for n in graph.inputs if not n.plates and data.draw(st.booleans())]
    values = dict(zip(graph.inputs, values_of(graph), strict=True))
    rest = [n for n in graph.inputs if n not in data_inputs]
    found = fold(graph, data_inputs)
    folded, held = found.graph, found.data(values)
    assert set(folded.inputs) >= set(rest)
    found = run(folded, [values[n] if n in rest else held[n] for n in folded.inputs])
    expected = run(graph, [values[n] for n in graph.inputs])
    all_same(settle(found), settle(expected), "folded", 1e-12)


def test_fold_moves_data_out() -> None:
    """Sufficient statistics are computed once, inside a plate and out."""
    x = make_input("x", (3, 2), F)
    theta = make_input("theta", (), F)
    row = plate_slice(x, Plate(0, "row", 3))
    square = make("sum", make("mul", row, row), dims=(-1,), keepdim=False)
    weighted = make("mul", square, plate_index(Plate(0, "row", 3)))
    total = plate_sum(make("mul", weighted, theta), Plate(0, "row", 3))
    value = torch.randn(3, 2)
    taken_out = fold(Graph((x, theta), (total,)), [x])
    folded, held = taken_out.graph, taken_out.data({x: value})
    assert [n.op for n in folded.nodes() if n.op in ("sum", "iota", "plate_index")] == []
    new = next(n for n in held if n is not x)
    same(held[new], (value**2).sum(-1) * torch.arange(3), "what was folded")
    found = run(folded, [held[n] if n in held else torch.tensor(2.0) for n in folded.inputs])
    same(found[0], ((value**2).sum(-1) * torch.arange(3)).sum() * 2.0, "total")


@pytest.mark.parametrize(
    "name",
    [
        "matmul",
        "cat",
        "gather",
        "take",
        "cholesky",
        "index",
        "scatter_sum",
        "where",
        "amax",
        "reshape",
        "permute",
    ],
)
@settings(max_examples=4, phases=PHASES)
@given(data=st.data())
def test_simplify_operators_over_plates(name: str, data: Any) -> None:
    sample = SAMPLES[name](Draw(data.draw))
    graph = sample.graph()
    cotangents = cotangents_of(graph)
    both = vectorise(differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents))
    values = [stacked_values(m, ()) for m in sample.makers] + [
        torch.randn(c.shape, dtype=c.dtype) for c in cotangents
    ]
    all_same(compile_torch(simplify(both))(*values), compile_torch(both)(*values), name, 1e-12)


def test_stack_of_a_slice_is_the_whole() -> None:
    x = make_input("x", (3, 2), F)
    plate = Plate(0, "row", 3)
    assert plate_stack(plate_slice(x, plate), plate) is x


def test_large_values_are_written_over_and_views_and_outputs_are_not() -> None:
    """The torch engine reuses the memory of a value read for the last time, if nothing else shares it."""
    x = make_input("x", (128, 64), torch.float64)
    a = make("exp", x)
    b = make("neg", a)  # a is read once more: kept
    view = make("permute", b, dims=(-1, -2))
    c = make("mul", b, 2.0)  # b lives on in its view
    d = make("add", c, a)
    graph = Graph((x,), (make("sum", view, dims=(-1, -2), keepdim=False), make("sigmoid", d), d))
    program = compile_torch(graph)
    assert program.source.count("write_over(") == 1  # d in the place of c (or a)
    value = torch.randn(128, 64, dtype=torch.float64)
    kept = value.clone()
    with torch.no_grad():
        total, s, whole = program(value)
    e = value.exp()
    torch.testing.assert_close(total, -e.sum())
    torch.testing.assert_close(whole, -2 * e + e)
    torch.testing.assert_close(s, torch.sigmoid(-e))
    assert torch.equal(value, kept)
