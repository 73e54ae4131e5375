"""Every operator against torch: type, value, reverse rule, and both over plates against a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from compiler.checks import (
    PUPIL,
    SCHOOL,
    all_same,
    assignments,
    at,
    check_plated,
    cotangents_of,
    differentiated,
    elements,
    pull,
    run,
    same,
    stacked_values,
)
from compiler.samples import BINARY, SAMPLES, TENSORS_ONLY, UNARY, Draw, Sample, pointwise_reference
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph
from ppl.compiler.ops import OPERATORS, make, make_input
from ppl.compiler.passes.vectorise import add_plate, vectorise
from ppl.compiler.tracer import working_dtype

ONCE = (
    "standard_gamma_grad",
    "dirichlet_grad",
    "first_order",
    "black_box",
)  # derivatives without one of their own: see test_pathwise.py; a user's function: see test_black_boxes.py
NAMES = sorted(
    n
    for n, o in OPERATORS.items()
    if o.kind not in ("plate", "region", "effect", "item", "random", "barrier") and n not in ONCE
)

PHASES = (Phase.explicit, Phase.generate)  # shrinking takes longer than reading the sample that fails


def drawn(data: Any, name: str) -> Sample:
    return SAMPLES[name](Draw(data.draw))


def test_every_operator_has_a_sample() -> None:
    assert sorted(SAMPLES) == NAMES


def often(name: str, check: Callable[[str, Any], None], examples: int) -> None:
    @settings(max_examples=examples, phases=PHASES)
    @given(data=st.data())
    def run_check(data: Any) -> None:
        check(name, data)

    run_check()


@pytest.mark.parametrize("name", NAMES)
def test_type_value_and_gradient(name: str) -> None:
    often(name, check_value, 8)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "iota"])
def test_over_plates(name: str) -> None:
    often(name, check_over_plates, 2)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "iota"])
def test_a_plate_added_to_a_gradient(name: str) -> None:
    often(name, check_added_plate, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n != "iota"])
def test_many_more(name: str) -> None:
    often(name, check_value, 100)
    often(name, check_over_plates, 40)
    often(name, check_added_plate, 40)


def check_value(name: str, data: Any) -> None:
    sample = drawn(data, name)
    graph = sample.graph()
    values = [m() for m in sample.makers]
    out = graph.outputs[0]
    cotangents = cotangents_of(graph)
    seeds = [torch.randn(c.shape, dtype=c.dtype) for c in cotangents]
    expected, grads = pull(sample.run, values, seeds)
    assert out.shape == expected[0].shape and out.dtype == expected[0].dtype
    found = run(differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents), [*values, *seeds])
    same(found[0], expected[0], "value")
    all_same(found[1:], grads, "gradient")


def check_over_plates(name: str, data: Any) -> None:
    sample = drawn(data, name)
    graph = sample.graph()
    makers = sample.makers
    choices = assignments(len(makers), [SCHOOL]) + assignments(len(makers), [SCHOOL, PUPIL])
    if len(choices) > 8:
        choices = choices[:3] + [data.draw(st.sampled_from(choices[3:])) for _ in range(3)]
    for plates in choices:
        values = [stacked_values(m, p) for m, p in zip(makers, plates, strict=True)]
        check_plated(graph, sample.run, values, plates, name)


def check_added_plate(name: str, data: Any) -> None:
    """add_plate after differentiation: every element has a gradient of its own. And again on the result."""
    sample = drawn(data, name)
    makers = sample.makers
    graph = sample.graph()
    cotangents = cotangents_of(graph)
    wrt = [n for n in graph.inputs if n.is_float]
    both = differentiated(graph, wrt, cotangents)
    draws = [*makers, *[lambda c=c: torch.randn(c.shape, dtype=c.dtype) for c in cotangents]]
    inner = add_plate(both, list(both.inputs), PUPIL)
    physical = vectorise(inner)
    outer = add_plate(physical, list(physical.inputs), SCHOOL)
    plates = (SCHOOL, PUPIL)
    values = [stacked_values(m, plates) for m in draws]
    found = run(outer, values)
    for element in elements(plates):
        own = [at(v, plates, element) for v in values]
        outs, grads = pull(sample.run, own[: len(makers)], own[len(makers) :])
        for out, f, e in zip(both.outputs, found, [*outs, *grads], strict=True):
            varies = bool(out.nodes) or out.op == "input"
            same(at(f, plates if varies else (), element), e, name)


# ---------------------------------------------------------------- dtypes


def kinds() -> dict[str, Any]:
    shape = (2,)
    return {
        "f64": torch.tensor([0.5, -1.5]),
        "f32": torch.tensor([0.5, -1.5], dtype=torch.float32),
        "i64": torch.tensor([2, -3]),
        "i32": torch.tensor([2, 3], dtype=torch.int32),
        "bool": torch.tensor([True, False]),
        "f64 scalar": torch.tensor(0.75),
        "f32 scalar": torch.tensor(0.75, dtype=torch.float32),
        "i64 scalar": torch.tensor(3),
        "bool scalar": torch.tensor(True),
        "empty": torch.zeros((0, *shape)),
        "float": 0.5,
        "int": 2,
        "True": True,
    }


def applied(function: Callable[..., Any], *args: Any) -> torch.Tensor | None:
    try:
        return function(*args)
    except (RuntimeError, TypeError, NotImplementedError):
        return None


@pytest.mark.parametrize("name", [*BINARY, "bitwise_and", "bitwise_or", "bitwise_xor", "where"])
def test_promotion_of_two_operands(name: str) -> None:
    function = pointwise_reference(name)
    compared = 0
    for first, a in kinds().items():
        for second, b in kinds().items():
            if not isinstance(a, torch.Tensor) and not isinstance(b, torch.Tensor) and name != "where":
                continue
            mask = (torch.tensor([True, False]),) if name == "where" else ()
            expected = applied(function, *mask, a, b)
            if expected is None:
                continue
            compared += 1
            values = [v for v in (*mask, a, b) if isinstance(v, torch.Tensor)]
            inputs = [make_input(f"a{i}", v.shape, v.dtype) for i, v in enumerate(values)]
            supply = iter(inputs)
            node = make(name, *[next(supply) if isinstance(v, torch.Tensor) else v for v in (*mask, a, b)])
            assert node.type.dtype == expected.dtype and node.shape == expected.shape, (
                f"{name}({first}, {second}): {node}"
            )
            found = compile_torch(Graph(tuple(inputs), (node,)))(*values)[0]
            same(found, expected, f"{name}({first}, {second})")
    assert compared >= 16


@pytest.mark.parametrize("name", [*UNARY, "bitwise_not"])
def test_promotion_of_one_operand(name: str) -> None:
    function = pointwise_reference(name)
    for kind, a in kinds().items():
        if not isinstance(a, torch.Tensor):
            continue
        expected = applied(function, a)
        if expected is None:
            continue
        x = make_input("x", a.shape, a.dtype)
        same(compile_torch(Graph((x,), (make(name, x),)))(a)[0], expected, f"{name}({kind})")


@pytest.mark.parametrize("name", [n for n in [*BINARY] if n not in TENSORS_ONLY])
def test_folding_of_uniform_tensors(name: str) -> None:
    """`full` operands fold to what torch gives, whatever the mix of dtypes."""
    from ppl.compiler.ops import full

    for first, a in kinds().items():
        for second, b in kinds().items():
            if (
                not isinstance(a, torch.Tensor)
                or a.numel() == 0
                or (isinstance(b, torch.Tensor) and b.numel() == 0)
            ):
                continue
            uniform = [
                torch.full_like(v, v.flatten()[0]) if isinstance(v, torch.Tensor) else v for v in (a, b)
            ]
            expected = applied(pointwise_reference(name), *uniform)
            if expected is None:
                continue
            node = make(
                name,
                *[
                    full(v.flatten()[0].item(), v.shape, v.dtype) if isinstance(v, torch.Tensor) else v
                    for v in uniform
                ],
            )
            found = compile_torch(Graph((), (node,)))()[0]
            same(found, expected, f"{name}({first}, {second})")


def test_numbers_chosen_by_a_condition_have_the_working_dtype() -> None:
    mask = torch.tensor([True, False])
    condition = make_input("mask", (2,), torch.bool)
    with working_dtype(torch.float64):
        node = make("where", condition, 0.1, 0.0)
    (found,) = compile_torch(Graph((condition,), (node,)), checked=True)(mask)
    assert found.dtype == torch.float64 and found.tolist() == [0.1, 0.0]


def test_types_are_inferred_anew_for_another_working_dtype() -> None:
    counts = make_input("counts", (3,), torch.int64)
    for dtype in (torch.float32, torch.float64):
        with working_dtype(dtype):
            assert make("to", counts, dtype=dtype).dtype == dtype
            assert make("exp", counts).dtype == dtype
