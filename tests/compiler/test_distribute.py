"""Loop distribution: the same function, and only recurrences are left in scans."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, bodies
from ppl.compiler.ops import full, make, make_input, scan, scan_outputs
from ppl.compiler.passes.differentiate import value_and_grad
from ppl.compiler.passes.distribute import distribute
from ppl.compiler.passes.vectorise import vectorise

F = torch.float64
STEPS = 7


def scans(graph: Graph) -> list[Node]:
    return [n for n in graph.nodes() if n.op == "scan"]


def number(name: str) -> Node:
    return make_input(name, (), F)


def run(graph: Graph, values: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(compile_torch(vectorise(graph), checked=True)(*values))


def total(outs: list[Node]) -> Node:
    """One number that depends on all elements of all outputs, each with its own weight."""
    result = full(0.0, (), F)
    for i, out in enumerate(outs):
        flat = make("reshape", out, shape=(out.shape[0] if out.shape else 1,))
        places = make("add", make("to", make("iota", size=flat.shape[0], step=1), dtype=F), float(i + 1))
        weighted = make("mul", flat, make("cos", places))
        result = make("add", result, make("sum", weighted, dims=(-1,), keepdim=False))
    return result


def check(graph: Graph, values: list[torch.Tensor]) -> Graph:
    """The distributed graph has the same values and gradients, and so has what its reverse is distributed to."""
    after = distribute(graph)
    before, other = value_and_grad(graph), distribute(value_and_grad(after))
    for a, b in zip(run(before, values), run(other, values), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
    assert distribute(after) is after
    return after


def point(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(STEPS, generator=generator, dtype=F),
        torch.randn(STEPS, generator=generator, dtype=F),
        0.5 * torch.randn((), generator=generator, dtype=F),
    ]


X, Z, A = make_input("x", (STEPS,), F), make_input("z", (STEPS,), F), number("a")


def program(body: Graph, carries: int, reverse: bool = False) -> Graph:
    init = [make("mul", A, float(i + 1)) for i in range(carries)]
    finals, ys, entered = scan_outputs(scan(body, init, [X, Z], [A], STEPS, reverse))
    return Graph((X, Z, A), (total([*finals, *ys, *entered]),))


C, D, E = (number(f"c{i}") for i in range(3))
x, z, k = number("x"), number("z"), number("k")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_random_walk_needs_no_scan(reverse: bool) -> None:
    """The state is given (a latent value): each step reads the one before."""
    step = Graph((C, x, z, k), (x, make("mul", make("sub", x, C), make("exp", z))))
    assert not scans(check(program(step, 1, reverse), point()))


@pytest.mark.parametrize("reverse", [False, True])
def test_two_lags_need_no_scan(reverse: bool) -> None:
    y = make("sin", x)
    step = Graph((C, D, x, z, k), (y, C, make("add", make("mul", C, D), z)))
    assert not scans(check(program(step, 2, reverse), point()))


def test_a_sum_needs_no_scan() -> None:
    step = Graph((C, x, z, k), (make("add", C, make("exp", make("mul", x, k))),))
    finals, _, _ = scan_outputs(scan(step, [A], [X, Z], [A], STEPS))
    assert not scans(check(Graph((X, Z, A), (finals[0],)), point()))
    down = Graph((C, x, z, k), (make("sub", C, make("exp", x)),))
    finals, _, _ = scan_outputs(scan(down, [A], [X, Z], [A], STEPS))
    assert not scans(check(Graph((X, Z, A), (finals[0],)), point()))


def test_an_alternating_sum_is_a_recurrence() -> None:
    """c' = x − c is no sum."""
    step = Graph((C, x, z, k), (make("sub", make("exp", x), C),))
    finals, _, _ = scan_outputs(scan(step, [A], [X, Z], [A], STEPS))
    assert len(scans(check(Graph((X, Z, A), (finals[0],)), point()))) == 1


def test_a_recurrence_keeps_only_itself() -> None:
    """h' = k h + sin x is scanned; exp h and what becomes of it are not, nor is sin x."""
    h = make("add", make("mul", k, C), make("sin", x))
    y = make("mul", make("exp", h), z)
    graph = check(program(Graph((C, x, z, k), (h, y)), 1), point())
    (one,) = scans(graph)
    (body,) = bodies(one)
    assert sorted(n.op for n in body.nodes() if n.args) == ["add", "mul"]
    reverse = [n for n in scans(distribute(value_and_grad(graph))) if n.attr("reverse")]
    assert all(n.op in ("add", "mul") for r in reverse for n in bodies(r)[0].nodes() if n.args)


def test_what_follows_from_a_recurrence_leaves_it() -> None:
    """d' follows c, e' follows d, and neither leads back to c."""
    new = make("tanh", make("add", C, x))
    step = Graph((C, D, E, x, z, k), (new, make("mul", C, z), make("add", D, x), make("mul", E, D)))
    graph = check(program(step, 3), point())
    assert [len(n.attr("body").inputs) for n in scans(graph)] == [2]  # c and x


def test_recurrences_between_carries_stay_together() -> None:
    """c needs d and d needs c; e feeds them and is given."""
    step = Graph(
        (C, D, E, x, z, k), (make("sin", make("add", D, E)), make("mul", C, k), x, make("mul", C, E))
    )
    (one,) = scans(check(program(step, 3), point()))
    assert one.attr("carries") == 2


def test_a_recurrence_alone_is_left_as_it_is() -> None:
    step = Graph((C, x, z, k), (make("sin", make("add", C, x)),))
    finals, _, _ = scan_outputs(scan(step, [A], [X, Z], [A], STEPS))
    graph = Graph((X, Z, A), (finals[0],))
    assert distribute(graph) is graph


def test_branches_stay_in_their_scan() -> None:
    """What a branch not taken would compute must not be computed."""
    from ppl.compiler.ops import item, switch

    a = make_input("a0", (), F)
    branches = [Graph((a,), (make("log", a),)), Graph((a,), (make("exp", a),))]
    chosen = item(switch(branches, make("to", make("lt", x, 0.0), dtype=torch.int64), [x]), 0)
    step = Graph((C, x, z, k), (x, make("mul", chosen, C)))
    graph = program(step, 1)
    assert distribute(graph) is graph


def test_what_would_be_large_to_store_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    from ppl.compiler.passes import distribute as module

    rows = make_input("rows", (STEPS, 2), F)
    c, row = make_input("c0", (2,), F), make_input("x0", (2,), F)
    h = make("add", make("mul", c, 0.5), make("sin", row))
    node = scan(Graph((c, row), (h, make("exp", h))), [full(0.0, (2,), F)], [rows], [], STEPS)
    _, (ys,), _ = scan_outputs(node)
    graph = Graph((rows,), (make("sum", ys, dims=(-2, -1), keepdim=False),))
    for limit, inside in ((2 * STEPS, False), (2 * STEPS - 1, True)):
        monkeypatch.setattr(module, "LIMIT", limit)
        (one,) = scans(check(graph, [torch.randn(STEPS, 2, dtype=F)]))
        assert ("sin" in [n.op for n in bodies(one)[0].nodes()]) is inside


@st.composite
def steps(draw: st.DrawFn) -> tuple[Graph, int]:
    """Bodies of one to three carries, random expressions of everything that a step sees."""
    carries = [C, D, E][: draw(st.integers(1, 3))]
    known = [*carries, x, z, k]
    for _ in range(draw(st.integers(1, 8))):
        op = draw(st.sampled_from(["add", "sub", "mul", "sin", "tanh", "exp"]))
        a = draw(st.sampled_from(known))
        bounded = make("sin", a) if op == "exp" else a
        known.append(
            make(op, bounded) if op in ("sin", "tanh", "exp") else make(op, a, draw(st.sampled_from(known)))
        )
    outs = [draw(st.sampled_from(known)) for _ in range(len(carries) + draw(st.integers(0, 2)))]
    return Graph((*carries, x, z, k), tuple(outs)), len(carries)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(steps(), st.booleans(), st.booleans())
def test_random_scans_are_the_same_function(
    made: tuple[Graph, int], reverse: bool, only_finals: bool
) -> None:
    body, carries = made
    init = [make("mul", A, float(i + 1)) for i in range(carries)]
    finals, ys, entered = scan_outputs(scan(body, init, [X, Z], [A], STEPS, reverse))
    outs = finals if only_finals else [*finals, *ys, *entered]
    check(Graph((X, Z, A), (total(outs),)), [0.3 * v for v in point(1)])
