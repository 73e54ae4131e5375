"""Re-rolling graphs: what a loop looks like when it is rolled up, and what isn't a loop is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import full, make, make_input
from ppl.compiler.passes.differentiate import value_and_grad
from ppl.compiler.passes.reroll import loops, reroll
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.verify import verify

F = torch.float64
X = make_input("x", (64,), F, (), "flat")
P = make_input("p", (3,), F)


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(F)
    yield
    torch.set_default_dtype(before)


def at(i: int, x: Node = X) -> Node:
    return make("select", x, dim=-1, index=i)


def added(terms: list[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = make("add", total, term)
    return total


def run(graph: Graph, values: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(compile_torch(vectorise(graph), checked=True)(*values))


def check(graph: Graph) -> Graph:
    """The rolled graph has the values and gradients of the graph."""
    rolled = verify(reroll(graph))
    generator = torch.Generator().manual_seed(0)
    values = [0.7 * torch.randn(n.shape, generator=generator) for n in graph.inputs]
    before, after = run(value_and_grad(graph), values), run(value_and_grad(rolled), values)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-11)
    assert str(reroll(graph)) == str(rolled)
    assert reroll(rolled) is rolled or len(reroll(rolled)) < len(rolled)
    return rolled


def test_terms_with_numbers_of_their_own() -> None:
    graph = Graph((X,), (added([make("exp", make("mul", at(2 * i), 0.5 * i)) for i in range(10)]),))
    text = str(check(graph))
    assert (
        text.split("constant<")[0] + text.split(">)")[1]
        == """\
graph(%x.0: f64[64]):
  %0: f64[10] = slice(%x.0, dim=-1, start=0, step=2, stop=19)
  %1: f64[]@loop0:10 = plate_slice(%0, plate=loop0:10)
  %2: f64[10] = constant(value=
  %3: f64[]@loop0:10 = plate_slice(%2, plate=loop0:10)
  %4: f64[]@loop0:10 = mul(%1, %3)
  %5: f64[]@loop0:10 = exp(%4)
  %6: f64[] = plate_sum(%5, plate=loop0:10)
  return %6"""
    )


def test_a_recurrence() -> None:
    c = at(0, P)
    for i in range(9, -1, -1):
        c = make("tanh", make("add", make("mul", c, 0.5), at(i)))
    assert (
        str(check(Graph((X, P), (c,))))
        == """\
graph(%x.0: f64[64], %p.1: f64[3]):
  %0: f64[] = select(%p.1, dim=-1, index=0)
  %1: f64[10] = slice(%x.0, dim=-1, start=0, step=1, stop=10)
  %2: f64[10] = flip(%1, dims=(-1,))
  %3: (f64[], f64[10]) = scan "loop" 10 steps from (%0) over (%2)
    step(%c0.0: f64[], %x0.1: f64[]):
      %0: f64[] = mul(%c0.0, 0.5)
      %1: f64[] = add(%0, %x0.1)
      %2: f64[] = tanh(%1)
      return %2
  %4: f64[] = item(%3, index=0)
  return %4"""
    )


def test_a_recurrence_that_reads_its_own_vector_at_other_places() -> None:
    """c' = tanh(c c[t mod 3] + x[t]): the place is a number that differs from step to step."""
    v = P
    for t in range(12):
        v = make("tanh", make("add", make("mul", v, at(t % 3, v)), at(t)))
    total = make("sum", v, dims=(-1,), keepdim=False)
    assert loops(check(Graph((X, P), (total,)))) == ["recurrence of 12 steps"]


def test_two_values_that_depend_on_each_other() -> None:
    """Along the deepest path a comes from the b before it, b from the a before it: a step of two turns."""
    a, b = at(0, P), at(1, P)
    terms = []
    for t in range(24):
        a, b = make("tanh", make("add", b, at(t))), make("sin", make("mul", a, b))
        terms.append(make("exp", make("mul", a, b)))
    assert "recurrence of 12 steps" in loops(check(Graph((X, P), (added(terms),))))


def test_a_first_step_of_its_own() -> None:
    c = make("exp", make("neg", at(0, P)))
    for t in range(10):
        c = make("cos", make("mul", c, at(t)))
    c = make("exp", make("tanh", c))
    assert loops(check(Graph((X, P), (c,)))) == ["recurrence of 10 steps"]


def test_every_step_of_a_recurrence_is_handed_out() -> None:
    """Steps stacked in a vector, together with something else."""
    c, pieces = at(0, P), []
    for t in range(10):
        c = make("tanh", make("mul", c, at(t)))
        pieces.append(make("reshape", c, shape=(1,)))
    whole = make("cat", P, *pieces, dim=-1)
    total = make("sum", make("exp", whole), dims=(-1,), keepdim=False)
    assert len(check(Graph((X, P), (total,)))) < 20


def test_differences_and_numbers_in_a_sum() -> None:
    total: Node = make("neg", at(0, P))
    for t in range(20):
        term = make("sin", at(t)) if t % 2 else make("add", make("cos", at(t)), 1.5)
        total = make("sub" if t % 4 else "add", total, term)
    check(Graph((X, P), (total,)))


def test_zero_keeps_its_sign() -> None:
    """0.0 and −0.0 are two numbers."""
    terms = [make("exp", make("div", 1.0, make("mul", at(i), 0.0 if i % 2 else -0.0))) for i in range(16)]
    graph = Graph((X,), (added(terms),))
    values = [torch.ones(64)]
    (rolled,) = [n for n in reroll(graph).nodes() if n.op == "constant"]
    assert torch.equal(rolled.attr("value").tensor().signbit(), torch.arange(16) % 2 == 0)
    assert run(reroll(graph), values)[0] == run(graph, values)[0] == torch.inf


# ---------------------------------------------------------------- what must be left alone

UNARY = ("sin", "cos", "exp", "tanh", "sigmoid", "neg", "abs", "log1p", "erf", "atan")


def chain_both_ways() -> Node:
    """a[i] needs b[i] of the step before, but b[i] needs a[i+3], which is computed later on another path."""
    a = [at(i) for i in range(12)]
    terms = []
    for i in range(12):
        left = make(UNARY[i % 10], a[i])
        right = make(UNARY[(i * 3 + 1) % 10], make("mul", left, a[(i * 5 + 2) % 12]))
        terms.append(make("mul" if i % 3 else "sub", right, left))
    return added(terms)


LEFT = {
    "different operators": lambda: added([make(UNARY[i], at(i)) for i in range(10)]),
    "different shapes": lambda: added(
        [
            make(
                "sum",
                make("exp", make("slice", X, dim=-1, start=i, stop=2 * i + 1, step=1)),
                dims=(-1,),
                keepdim=False,
            )
            for i in range(10)
        ]
    ),
    "different powers": lambda: added([make("pow", at(i), i + 3) for i in range(10)]),
    "different bounds": lambda: added([make("clamp", at(i), low=0.1 * i, high=None) for i in range(10)]),
    "too few": lambda: added([make("exp", at(i)) for i in range(5)]),
    "no pattern": chain_both_ways,
    "a recurrence whose operators differ": lambda: _mixed(list(UNARY)),
}


def _mixed(ops: list[str]) -> Node:
    c = at(0)
    for i, op in enumerate(ops):
        c = make(op, make("mul", c, at(i)))
    return c


@pytest.mark.parametrize("what", LEFT)
def test_what_only_resembles_a_loop_is_left_alone(what: str) -> None:
    graph = Graph((X,), (LEFT[what](),))
    assert reroll(graph) is graph


def test_steps_that_read_later_steps_are_no_recurrence() -> None:
    """A sequence that runs forwards, and one backwards through it: two recurrences, one after the other."""
    forward, back = [at(0, P)], at(1, P)
    for t in range(12):
        forward.append(make("tanh", make("add", forward[-1], at(t))))
    for t in reversed(range(12)):
        back = make("sin", make("mul", back, forward[t]))
    scans = [n for n in check(Graph((X, P), (back,))).nodes() if n.op == "scan"]
    assert [n.attr("length") for n in scans] == [11, 11]


# ---------------------------------------------------------------- random loops

Tree = tuple[object, ...]
LEAVES = st.sampled_from(["carry", "other", "x", "back", "far", "data", "shared", "number", "few", "before"])
STEPS: st.SearchStrategy[object] = st.recursive(
    LEAVES,
    lambda e: st.one_of(
        st.tuples(st.sampled_from(["sin", "tanh", "neg", "cos"]), e),
        st.tuples(st.sampled_from(["add", "sub", "mul", "maximum"]), e, e),
    ),
    max_leaves=6,
)
Y = tuple(make_input(f"y{i}", (), F, (), "data") for i in range(14))


def node(value: Node | float) -> Node:
    return value if isinstance(value, Node) else full(value, (), F)


def evaluate(tree: object, env: dict[str, Node | float]) -> Node | float:
    if isinstance(tree, str):
        return env[tree]
    assert isinstance(tree, tuple)
    args = [evaluate(t, env) for t in tree[1:]]
    return (
        make(tree[0], *args)
        if any(isinstance(a, Node) for a in args)
        else make(tree[0], node(args[0]), *args[1:])
    )


def unrolled(steps: list[object], term: object, shape: dict[str, int]) -> Graph:
    n = shape["length"]
    carries = [make("mul", at(k, P), 0.5) if shape["start"] else full(0.3, (), F) for k in range(len(steps))]
    before, terms, pieces = at(2, P), [], []
    for turn in range(n):
        t = n - 1 - turn if shape["backwards"] else turn
        env: dict[str, Node | float] = {
            "carry": carries[0],
            "other": carries[-1],
            "x": at(shape["offset"] + shape["stride"] * t),
            "back": at(40 - shape["stride"] * t),
            "far": at((7 * t) % 50),
            "data": Y[t],
            "shared": at(0, P),
            "number": 0.1 * t - 0.3,
            "few": at(t % 2, P),
            "before": before,
        }
        carries = [make("tanh", node(evaluate(s, env))) for s in steps]
        if shape["special"] and turn == 0:
            carries[0] = make("exp", make("neg", carries[0]))
        before = node(evaluate(term, {**env, "carry": carries[0]}))
        terms.append(before)
        pieces.append(make("reshape", carries[-1], shape=(1,)))
    total = added(terms)
    if shape["stacked"]:
        stack = make("sin", make("cat", *pieces, dim=-1))
        total = make("add", total, make("sum", stack, dims=(-1,), keepdim=False))
    return Graph((X, P, *Y), (make("sub", total, make("mul", carries[0], carries[-1])),))


SHAPES = st.fixed_dictionaries(
    {
        "length": st.sampled_from([9, 14]),
        "stride": st.integers(1, 3),
        "offset": st.integers(0, 3),
        **{k: st.integers(0, 1) for k in ("start", "backwards", "special", "stacked")},
    }
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(STEPS, min_size=1, max_size=3), STEPS, SHAPES)
def test_random_loops(steps: list[object], term: object, shape: dict[str, int]) -> None:
    check(unrolled(steps, term, shape))
