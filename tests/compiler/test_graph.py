"""The IR: nodes are interned, texts the same everywhere, and `verify` sees what a broken pass would do."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ppl.compiler.graph import Graph, Node, Plate, Type, inline, intern_node, substitute, topological
from ppl.compiler.ops import (
    constant,
    full,
    item,
    make,
    make_input,
    plate_index,
    plate_slice,
    plate_stack,
    plate_sum,
    scan,
    switch,
)
from ppl.compiler.ops.effects import Site, effect
from ppl.compiler.verify import GraphError, verify
from ppl.errors import user_mark

F = torch.float64
PLATE = Plate(0, "school", 3)


def x_input(*shape: int, plates: tuple[Plate, ...] = ()) -> Node:
    return make_input("x", shape, F, plates)


# ---------------------------------------------------------------- interning


def test_equal_nodes_are_one_object() -> None:
    x = x_input(2)
    assert make("exp", x) is make("exp", x)
    assert x_input(2) is x and x_input(3) is not x
    assert make("softplus", x, beta=1.0, threshold=20.0) is make("softplus", x, threshold=20.0, beta=1.0)


@pytest.mark.parametrize("a, b", list(itertools.combinations([1, 1.0, True, 0.0, -0.0, 0, False], 2)))
def test_numbers_that_python_equates_are_different(a: float, b: float) -> None:
    x = x_input(2)
    assert make("mul", x, a) is not make("mul", x, b)


def test_attributes_that_python_equates_are_different() -> None:
    x = x_input(2)
    nodes = {make("clamp", x, low=v, high=None) for v in (0, 0.0, -0.0, False)}
    assert len(nodes) == 4
    assert full(0.0, (), F) is not full(-0.0, (), F)
    assert full(1, (), torch.int64) is not full(True, (), torch.bool)


def test_nan_is_equal_to_itself() -> None:
    assert full(float("nan"), (2,), F) is full(float("nan"), (2,), F)
    x = x_input(2)
    assert make("maximum", x, float("nan")) is make("maximum", x, -float("nan"))


def test_constants_are_equal_by_content() -> None:
    a, b = torch.arange(3), torch.arange(3)
    assert constant(a) is constant(b)
    assert constant(a) is not constant(a.to(torch.int32))
    assert constant(torch.zeros(2, 3)) is not constant(torch.zeros(3, 2))
    assert constant(torch.tensor([0.0])) is not constant(torch.tensor([-0.0]))


def test_the_mark_is_not_part_of_a_node() -> None:
    x = x_input(2)
    assert make("exp", x, mark=user_mark()) is make("exp", x)


# ---------------------------------------------------------------- text


def sample_graph() -> Graph:
    """One of everything whose text might depend on the process: constants, functions, bodies, floats."""
    x, y = x_input(plates=(PLATE,)), make_input("y", (4, 4), F)
    long = constant(torch.linspace(0, 1, 50))
    body_in = [make_input("c", (), F), make_input("e", (), F)]
    body = Graph(tuple(body_in), (make("mul", make("sin", body_in[0]), body_in[1]), body_in[0]))
    loop = scan(body, [x], [long], [], 50)
    choice = switch(
        [Graph((body_in[0],), (f,)) for f in (make("exp", body_in[0]), body_in[0])], make("gt", x, 0.1), [x]
    )
    opaque = torch_opaque(y)
    total = plate_sum(make("add", item(loop, 0), item(choice, 0)), PLATE)
    return Graph((x, y), (total, opaque, make("clamp", x, low=-0.0, high=float("inf"))), (), ("a", "b", "c"))


def torch_opaque(y: Node) -> Node:
    from ppl.compiler.ops import make_opaque

    return make_opaque(torch.ops.aten.linalg_matrix_exp.default, [y], {})


def test_digest_is_equal_in_another_process() -> None:
    code = (
        "import torch; torch.set_default_dtype(torch.float64); from compiler.test_graph import sample_graph; "
        "g = sample_graph(); print(g.digest); print(g)"
    )
    tests = str(Path(__file__).parent.parent)
    path = os.pathsep.join([tests, str(Path(tests).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"  # another order of sets than here
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    here = sample_graph()
    assert done.stdout == f"{here.digest}\n{here}\n"
    assert " at 0x" not in done.stdout


def test_the_digest_sees_every_difference() -> None:
    x = x_input(2)

    def digest(node: Node) -> str:
        return Graph((x,), (node,)).digest

    digests = [digest(make("mul", x, v)) for v in (2, 2.0, True, -0.0, 0.0, 0.1, 0.1 + 1e-17, 0.1 + 2e-17)]
    assert len(set(digests)) == 7  # 0.1 + 1e-17 is 0.1
    long = torch.linspace(0, 1, 50)
    assert digest(make("sum", constant(long), dims=(-1,), keepdim=False)) != digest(
        make("sum", constant(long.flip(0)), dims=(-1,), keepdim=False)
    )


def test_text() -> None:
    x = make_input("x", (2,), F, (PLATE,))
    graph = Graph((x,), (plate_sum(make("mul", make("exp", x), 2.0), PLATE),))
    assert str(graph) == (
        "graph(%x.0: f64[2]@school:3):\n"
        "  %0: f64[2]@school:3 = exp(%x.0)\n"
        "  %1: f64[2]@school:3 = mul(%0, 2.0)\n"
        "  %2: f64[2] = plate_sum(%1, plate=school:3)\n"
        "  return %2"
    )


# ---------------------------------------------------------------- order, substitution


def test_arguments_come_first() -> None:
    x = x_input(2)
    node = x
    for i in range(3000):  # deeper than Python's recursion limit
        node = make("add", make("sin", node), make("mul", node, float(i)))
    order = topological([node])
    place = {n: i for i, n in enumerate(order)}
    assert len(order) == len(place) and order[-1] is node
    assert all(place[a] < place[n] for n in order for a in n.nodes)
    assert topological([node], stop=[node]) == []


def test_substitute_and_inline() -> None:
    x, y = x_input(2), make_input("y", (2,), F, (PLATE,))
    f = Graph((x,), (make("exp", make("mul", x, 2.0)), x))
    out, same = inline(f, [y])
    assert out is make("exp", make("mul", y, 2.0)) and same is y
    assert out.plates == (PLATE,)
    assert inline(f, [x])[0] is f.outputs[0]
    with pytest.raises(ValueError, match="takes 1 inputs, got 2"):
        inline(f, [x, y])
    swapped = substitute(f.outputs, {}, lambda node, args: make("log", *args) if node.op == "exp" else None)
    assert swapped[0] is make("log", make("mul", x, 2.0))


def test_plates_follow_substitution() -> None:
    x = x_input()
    total = Graph((x,), (plate_sum(make("mul", x, plate_index(PLATE)), PLATE),))
    other = Plate(1, "pupil", 2)
    y = make_input("y", (), F, (other,))
    assert inline(total, [y])[0].plates == (other,)
    rows = x_input(3)
    assert plate_stack(plate_slice(rows, PLATE), PLATE) is rows


# ---------------------------------------------------------------- verify


def corrupt(node: Node, **fields: object) -> Node:
    """`node` as a broken pass would leave it."""
    parts = {
        name: getattr(node, name) for name in ("op", "args", "attrs", "type", "plates", "outs", "mark")
    } | fields
    return intern_node(
        parts["op"],
        parts["args"],
        parts["attrs"],
        parts["type"],
        parts["plates"],
        parts["outs"],
        parts["mark"],
    )


def loop() -> Node:
    c, e = make_input("c", (), F), make_input("e", (), F)
    return scan(Graph((c, e), (make("add", c, e),)), [x_input()], [make_input("u", (3,), F)], [], 3)


def branch(index: Node | None = None) -> Node:
    a = make_input("a", (), F)
    return switch(
        [Graph((a,), (make("exp", a),)), Graph((a,), (a,))],
        index or make_input("i", (), torch.int64),
        [x_input()],
    )


def wrong_type() -> Graph:
    x = x_input(2)
    return Graph((x,), (corrupt(make("sin", x), type=Type((3,), F)),))


def wrong_view_type() -> Graph:
    x = x_input(2, 3)
    return Graph((x,), (make("exp", corrupt(make("permute", x, dims=(1, 0)), type=Type((2, 3), F))),))


def wrong_plates() -> Graph:
    x = x_input(2, plates=(PLATE,))
    return Graph((x,), (corrupt(make("mul", x, 2.0), plates=()),))


def extra_plate() -> Graph:
    x = x_input(2)
    return Graph((x,), (corrupt(make("sum", x, dims=(-1,), keepdim=False), plates=(PLATE,)),))


def plates_out_of_order() -> Graph:
    x = make_input("x", (), F, (Plate(1, "pupil", 2), PLATE))
    return Graph((x,), (x,))


def unlisted_input() -> Graph:
    x, y = x_input(), make_input("y", (), F)
    return Graph((x,), (make("add", x, y),))


def input_twice() -> Graph:
    return Graph((x_input(), x_input()), (x_input(),))


def not_an_input() -> Graph:
    x = make("exp", x_input())
    return Graph((x,), (x,))


def open_body() -> Graph:
    node = loop()
    c, e = make_input("c", (), F), make_input("e", (), F)
    body = Graph((c, e), (make("add", c, make_input("elsewhere", (), F)),))
    attrs = tuple((k, body if k == "body" else v) for k, v in node.attrs)
    broken = corrupt(node, attrs=attrs)
    return Graph(node.nodes, (item(broken, 0),))


def item_out_of_range() -> Graph:
    node = branch()
    return Graph(node.nodes, (corrupt(item(node, 0), attrs=(("index", 5),)),))


def item_of_one() -> Graph:
    x = x_input(2)
    return Graph((x,), (intern_node("item", (x,), (("index", 0),), x.type, ()),))


def wrong_length() -> Graph:
    node = loop()
    attrs = tuple((k, 4 if k == "length" else v) for k, v in node.attrs)
    return Graph(node.nodes, (item(corrupt(node, attrs=attrs), 0),))


def real_index() -> Graph:
    node = branch(make_input("i", (), F))
    return Graph(node.nodes, (item(node, 0),))


def one_name_twice() -> Graph:
    draws = [effect("sample", Site("z", i), [], Type((), F), ()) for i in range(2)]
    return Graph((), (), tuple(draws))


def no_effect() -> Graph:
    x = x_input()
    return Graph((x,), (), (make("exp", x),))


def no_operator() -> Graph:
    x = x_input()
    return Graph((x,), (intern_node("frobnicate", (x,), (), x.type, ()),))


def bad_slice() -> Graph:
    x = x_input(4)
    return Graph((x,), (intern_node("plate_slice", (x,), (("plate", PLATE),), Type((), F), (PLATE,)),))


BROKEN: dict[Callable[[], Graph], str] = {
    wrong_type: "the type does not follow from the arguments",
    wrong_view_type: "the type does not follow from the arguments",
    wrong_plates: "the plates do not follow from the arguments",
    extra_plate: "the plates do not follow from the arguments",
    plates_out_of_order: "the plates are not in order",
    unlisted_input: "the graph reads 'y', which is not among its inputs",
    input_twice: "the input 'x' is listed twice",
    not_an_input: "an input of the graph is not an input node",
    open_body: "the graph reads 'elsewhere', which is not among its inputs",
    item_out_of_range: "'item' reads a result that does not exist",
    item_of_one: "'item' reads a node that has one result",
    wrong_length: "an x of the scan has another length",
    real_index: "the index of the switch is not one integer or boolean",
    one_name_twice: "two effects are named 'z'",
    no_effect: "'exp' stands among the effects but has none",
    no_operator: "there is no operator 'frobnicate'",
    bad_slice: "the first axis is not the plate's",
}


@pytest.mark.parametrize("broken", list(BROKEN), ids=lambda f: f.__name__)
def test_verify_sees(broken: Callable[[], Graph]) -> None:
    with pytest.raises(GraphError) as caught:
        verify(broken())
    assert caught.value.headline == BROKEN[broken]
    assert caught.value.expected


def test_verify_names_the_node_and_its_line() -> None:
    x = x_input(2)
    mark = user_mark()
    node = corrupt(make("cosh", x), type=Type((3,), F), mark=mark)
    with pytest.raises(GraphError) as caught:
        verify(Graph((x,), (node,)))
    text = str(caught.value)
    assert mark is not None and f"test_graph.py:{mark.line}" in text
    assert text.endswith(
        "the type does not follow from the arguments\n"
        "  expected: f64[2]\n"
        "  found:    f64[3]\n"
        "at cosh(<input f64[2]>)"
    )


def test_verify_passes_what_is_right() -> None:
    for graph in (
        sample_graph(),
        Graph(loop().nodes, (item(loop(), 0),)),
        Graph(branch().nodes, (item(branch(), 0),)),
    ):
        assert verify(graph) is graph
