"""scan and switch: values and reverse rules against an unrolled loop, over every choice of plates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from compiler.checks import (
    PUPIL,
    SCHOOL,
    all_same,
    assignments,
    check_plated,
    cotangents_of,
    differentiated,
    pull,
    run,
    stacked_values,
)

from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import item, make_input, scan, scan_outputs, switch
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.tracer import trace

Step = Callable[..., tuple[torch.Tensor, ...]]


def oscillator(
    x: torch.Tensor, n: torch.Tensor, u: torch.Tensor, k: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Carries x (2,) and an integer n; input u (); constant k (2, 2). Outputs x·u and the count."""
    new = torch.tanh(k @ x) + u * x.flip(0)
    return new, n + 1, x * u + n, n


def unrolled(
    step: Step, carries: int, xs: int, length: int, reverse: bool
) -> Callable[..., tuple[torch.Tensor, ...]]:
    """What a scan means."""

    def function(*args: torch.Tensor) -> tuple[torch.Tensor, ...]:
        state, columns, consts = list(args[:carries]), args[carries : carries + xs], args[carries + xs :]
        rows: list[Sequence[torch.Tensor]] = []
        for t in reversed(range(length)) if reverse else range(length):
            out = step(*state, *[c[t] for c in columns], *consts)
            state, ys = list(out[:carries]), out[carries:]
            rows.append(ys)
        if reverse:
            rows.reverse()
        return (*state, *(torch.stack(column) for column in zip(*rows, strict=True)))

    return function


def scanned(step: Step, inputs: Sequence[Node], carries: int, xs: int, length: int, reverse: bool) -> Graph:
    init, columns, consts = inputs[:carries], inputs[carries : carries + xs], inputs[carries + xs :]
    body_inputs = [make_input(f"b{i}", n.shape, n.dtype) for i, n in enumerate(init)]
    body_inputs += [make_input(f"e{i}", n.shape[1:], n.dtype) for i, n in enumerate(columns)]
    body_inputs += [make_input(f"s{i}", n.shape, n.dtype) for i, n in enumerate(consts)]
    finals, ys, _ = scan_outputs(scan(trace(step, body_inputs), init, columns, consts, length, reverse))
    return Graph(tuple(inputs), (*finals, *ys))


def oscillator_inputs(length: int) -> list[Node]:
    f = torch.float64
    return [
        make_input("x", (2,), f),
        make_input("n", (), torch.int64),
        make_input("u", (length,), f),
        make_input("k", (2, 2), f),
    ]


def makers(length: int) -> list[Callable[[], torch.Tensor]]:
    return [
        lambda: torch.randn(2),
        lambda: torch.randint(0, 3, ()),
        lambda: torch.randn(length),
        lambda: torch.randn(2, 2),
    ]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 4])
def test_scan_is_an_unrolled_loop(length: int, reverse: bool) -> None:
    graph = scanned(oscillator, oscillator_inputs(length), 2, 1, length, reverse)
    function = unrolled(oscillator, 2, 1, length, reverse)
    values = [m() for m in makers(length)]
    cotangents = cotangents_of(graph)
    seeds = [torch.randn(c.shape) for c in cotangents]
    outs, grads = pull(function, values, seeds)
    both = differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents)
    all_same(run(both, [*values, *seeds]), [*outs, *grads], "scan")
    all_same(run(simplify(both), [*values, *seeds]), [*outs, *grads], "scan, simplified")


def test_scan_of_no_steps() -> None:
    graph = scanned(oscillator, oscillator_inputs(0), 2, 1, 0, False)
    values = [m() for m in makers(0)]
    cotangents = cotangents_of(graph)
    both = differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents)
    seeds = [torch.randn(c.shape) for c in cotangents]
    x, n, ys, counts, gx, gu, gk = run(both, [*values, *seeds])
    assert torch.equal(x, values[0]) and torch.equal(n, values[1])
    assert ys.shape == (0, 2) and counts.shape == (0,) and counts.dtype == torch.int64
    assert torch.equal(gx, seeds[0]) and gu.shape == (0,) and torch.equal(gk, torch.zeros(2, 2))


@pytest.mark.parametrize(
    "plates", assignments(4, [SCHOOL]), ids=lambda a: "".join("s" if p else "-" for p in a)
)
def test_scan_over_a_plate(plates: tuple[Any, ...]) -> None:
    """The plate on constants only, on carries only, on xs only, and on every other subset."""
    for reverse in (False, True):
        graph = scanned(oscillator, oscillator_inputs(3), 2, 1, 3, reverse)
        values = [stacked_values(m, p) for m, p in zip(makers(3), plates, strict=True)]
        check_plated(graph, unrolled(oscillator, 2, 1, 3, reverse), values, plates, "scan")


def test_scan_over_two_plates() -> None:
    graph = scanned(oscillator, oscillator_inputs(3), 2, 1, 3, False)
    for plates in [
        ((SCHOOL,), (), (PUPIL,), ()),
        ((), (), (SCHOOL, PUPIL), (SCHOOL,)),
        ((PUPIL,), (SCHOOL,), (), (SCHOOL, PUPIL)),
    ]:
        values = [stacked_values(m, p) for m, p in zip(makers(3), plates, strict=True)]
        check_plated(graph, unrolled(oscillator, 2, 1, 3, False), values, plates, "scan")


def inner_step(c: torch.Tensor, u: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (torch.sin(c * k) + u, c * u)


def test_scan_in_a_scan() -> None:
    """The outer step runs the inner scan from its carry, over its row; every operand gets a gradient."""
    f = torch.float64

    def function(c: torch.Tensor, u: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, ...]:
        def outer(c: torch.Tensor, row: torch.Tensor, k: torch.Tensor) -> tuple[torch.Tensor, ...]:
            final, ys = unrolled(inner_step, 1, 1, 2, True)(c, row, k)
            return final, ys

        return unrolled(outer, 1, 1, 3, False)(c, u, k)

    inputs = [make_input("c", (), f), make_input("row", (2,), f), make_input("k", (), f)]
    body = scanned(inner_step, inputs, 1, 1, 2, True)
    c, u, k = make_input("c", (), f), make_input("u", (3, 2), f), make_input("k", (), f)
    finals, ys, _ = scan_outputs(scan(body, [c], [u], [k], 3))
    graph = Graph((c, u, k), (*finals, *ys))
    draws: list[Callable[[], torch.Tensor]] = [
        lambda: torch.randn(()),
        lambda: torch.randn(3, 2),
        lambda: torch.randn(()),
    ]
    for plates in [((), (), ()), ((SCHOOL,), (), ()), ((), (SCHOOL,), (PUPIL,)), ((), (), (SCHOOL,))]:
        values = [stacked_values(m, p) for m, p in zip(draws, plates, strict=True)]
        check_plated(graph, function, values, plates, "nested scan")


def test_second_derivative_of_a_scan() -> None:
    """The reverse scan is a scan, so it differentiates again."""
    f = torch.float64
    inputs = [make_input("c", (), f), make_input("u", (3,), f), make_input("k", (), f)]
    graph = scanned(inner_step, inputs, 1, 1, 3, False)
    first = differentiated(
        Graph(graph.inputs, graph.outputs[:1]), [inputs[0], inputs[2]], [make_input("g", (), f)]
    )
    second = differentiated(first, list(first.inputs[:3]), cotangents_of(first))
    values = [torch.tensor(0.3), torch.randn(3), torch.tensor(1.2), torch.tensor(1.0)]
    seeds = [torch.randn(()) for _ in range(3)]

    def function(
        c: torch.Tensor, u: torch.Tensor, k: torch.Tensor, g: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        out = unrolled(inner_step, 1, 1, 3, False)(c, u, k)[0]
        return (out, *torch.autograd.grad(out, (c, k), g, create_graph=True))

    _, grads = pull(function, values, seeds)
    all_same(run(second, [*values, *seeds])[3:], grads[:3], "second derivative")


def test_differentiation_does_not_see_the_number_of_steps() -> None:
    sizes = []
    for length in (4, 400):
        graph = scanned(oscillator, oscillator_inputs(length), 2, 1, length, False)
        sizes.append(
            len(differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents_of(graph)))
        )
    assert sizes[0] == sizes[1] < 200


# ---------------------------------------------------------------- switch


def branches() -> list[Callable[..., tuple[torch.Tensor, ...]]]:
    return [
        lambda x, y: (torch.log(x) * y, x + y),
        lambda x, y: (x.exp() - y.sum(), x * 2.0),
        lambda x, y: (torch.sqrt(y) * 3.0, y * y),
    ]


def switched(index: torch.dtype = torch.int64, count: int = 3) -> tuple[Graph, Callable[..., Any]]:
    f = torch.float64
    i, x, y = make_input("i", (), index), make_input("x", (2,), f), make_input("y", (2,), f)
    operands = [make_input("p", (2,), f), make_input("q", (2,), f)]
    node = switch([trace(b, operands) for b in branches()[:count]], i, [x, y])

    def function(i: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return branches()[min(max(int(i), 0), count - 1)](x, y)

    return Graph((i, x, y), (item(node, 0), item(node, 1))), function


POSITIVE: list[Callable[[], torch.Tensor]] = [
    lambda: torch.randint(0, 3, ()),
    lambda: torch.rand(2) + 0.5,
    lambda: torch.rand(2) + 0.5,
]


@pytest.mark.parametrize(
    "plates", [((), (), ()), *assignments(3, [SCHOOL])], ids=lambda a: "".join("s" if p else "-" for p in a)
)
def test_switch(plates: tuple[Any, ...]) -> None:
    graph, function = switched()
    for _ in range(3):
        check_plated(
            graph,
            function,
            [stacked_values(m, p) for m, p in zip(POSITIVE, plates, strict=True)],
            plates,
            "switch",
        )


def test_switch_over_two_plates() -> None:
    graph, function = switched()
    for plates in [((SCHOOL,), (PUPIL,), ()), ((SCHOOL, PUPIL), (), (SCHOOL,)), ((), (SCHOOL,), (PUPIL,))]:
        check_plated(
            graph,
            function,
            [stacked_values(m, p) for m, p in zip(POSITIVE, plates, strict=True)],
            plates,
            "switch",
        )


@pytest.mark.parametrize("index", [-7, 0, 2, 99])
def test_an_index_outside_takes_the_nearest_branch(index: int) -> None:
    graph, function = switched()
    values = [torch.tensor(index), torch.rand(2) + 0.5, torch.rand(2) + 0.5]
    all_same(run(graph, values), function(*values), "switch")
    many = [torch.tensor([index, 1]), *values[1:]]
    check_plated(graph, function, many, ((SCHOOL,), (), ()), "switch")


def test_a_boolean_index() -> None:
    graph, function = switched(torch.bool, 2)
    draws = [lambda: torch.rand(()) < 0.5, *POSITIVE[1:]]
    for plates in [((), (), ()), ((SCHOOL,), (), ()), ((SCHOOL,), (SCHOOL,), ())]:
        for _ in range(3):
            check_plated(
                graph,
                function,
                [stacked_values(m, p) for m, p in zip(draws, plates, strict=True)],
                plates,
                "switch",
            )


@pytest.mark.parametrize("batched", [False, True])
def test_nan_of_the_branch_not_taken_stays_there(batched: bool) -> None:
    """log and sqrt of negative numbers have nan values and gradients; branch 1, taken, has neither."""
    graph, function = switched()
    plates: tuple[Any, ...] = ((SCHOOL,), (), ()) if batched else ((), (), ())
    index = torch.tensor([1, 1]) if batched else torch.tensor(1)
    values = [index, torch.tensor([-1.0, 0.0]), torch.tensor([-2.0, 0.0])]
    check_plated(graph, function, values, plates, "switch")
    both = differentiated(graph, list(graph.inputs[1:]), cotangents_of(graph))
    found = run(both, [torch.tensor(1), *values[1:], torch.ones(2), torch.ones(2)])
    assert all(torch.isfinite(f).all() for f in found)


def test_a_switch_inside_a_scan() -> None:
    def body(c: torch.Tensor, i: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.stack([c.sin(), c * c, c + 1.0])[i],)

    f = torch.float64
    c, i = make_input("c", (), f), make_input("i", (), torch.int64)
    choices = [trace(g, [make_input("p", (), f)]) for g in (torch.sin, lambda x: x * x, lambda x: x + 1.0)]
    node = switch(choices, i, [c])
    c0, choice = make_input("c0", (), f), make_input("choice", (5,), torch.int64)
    finals, _, _ = scan_outputs(scan(Graph((c, i), (item(node, 0),)), [c0], [choice], [], 5))
    graph = Graph((c0, choice), tuple(finals))
    draws: list[Callable[[], torch.Tensor]] = [lambda: torch.randn(()), lambda: torch.randint(0, 3, (5,))]
    for plates in [((), ()), ((SCHOOL,), ()), ((), (SCHOOL,)), ((SCHOOL,), (SCHOOL, PUPIL))]:
        values = [stacked_values(m, p) for m, p in zip(draws, plates, strict=True)]
        check_plated(graph, unrolled(body, 1, 1, 5, False), values, plates, "switch in scan")
