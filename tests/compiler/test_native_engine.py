"""The native engine against the torch engine: every operator, random programs of loops, all that it refuses."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from compiler.checks import PUPIL, all_same, cotangents_of, differentiated, stacked_values
from compiler.samples import SAMPLES, Draw
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import ppl
from ppl.compiler.engines import EngineNotice, choose
from ppl.compiler.engines.native import NativeProgram, Unsupported
from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import OPERATORS, make, make_input
from ppl.compiler.passes.vectorise import add_plate, vectorise
from ppl.compiler.tracer import working_dtype

F = torch.float64
LACKING = {
    "opaque": "calls of torch's own functions",
    "vmapped": "the same over plates",
    "cumprod": "its reverse is torch's own",
    "i1e": "its reverse is torch's own",
    "index": "over plates it is torch's vmap",
    "index_add": "over plates it is torch's vmap",
    "index_put_add": "over plates it is torch's vmap",
    "to": "casts to float32",
    "threshold_backward": "the torch engine's own",
    "implicit": "draws run on the torch engine",
    "implicit_gamma": "draws run on the torch engine",
    "implicit_dirichlet": "draws run on the torch engine",
}
"""Operators that, or whose reverse or plated forms, run on the torch engine."""

NAMES = sorted(SAMPLES)


def graphs(data: Any, name: str) -> list[tuple[Graph, list[torch.Tensor]]]:
    """An operator's value and gradient, alone and with a plate added, with arguments for each."""
    sample = SAMPLES[name](Draw(data.draw))
    graph = sample.graph()
    cotangents = cotangents_of(graph)
    makers = [*sample.makers, *[lambda c=c: torch.randn(c.shape, dtype=c.dtype) for c in cotangents]]
    both = differentiated(graph, [n for n in graph.inputs if n.is_float], cotangents)
    plated = add_plate(both, list(both.inputs), PUPIL)
    return [
        (vectorise(both), [m() for m in makers]),
        (vectorise(plated), [stacked_values(m, (PUPIL,)) for m in makers]),
    ]


def agree(name: str, data: Any, compiled: bool) -> None:
    for graph, values in graphs(data, name):
        try:
            program = NativeProgram(graph)
        except Unsupported:
            assert name in LACKING, f"{name} is not in the table of what native lacks"
            continue
        found = program(*values) if compiled else program.plain(*values)
        all_same(found, compile_torch(graph)(*values), name)


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_as_plain_python(name: str, doubles: None) -> None:
    @settings(max_examples=6, phases=[Phase.explicit, Phase.generate])
    @given(data=st.data())
    def check(data: Any) -> None:
        agree(name, data, compiled=False)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_compiled(name: str, doubles: None) -> None:
    @settings(max_examples=1, phases=[Phase.explicit, Phase.generate])
    @given(data=st.data())
    def check(data: Any) -> None:
        agree(name, data, compiled=True)

    check()


@pytest.fixture
def doubles() -> Any:
    with working_dtype(F):
        yield


# ---------------------------------------------------------------- loops


def program_of(output: Node, *inputs: Node) -> NativeProgram:
    return NativeProgram(Graph(inputs, (output,)))


def loops(text: str) -> int:
    return text.count("for ")


def test_forward_and_backward_of_a_regression_share_one_pass_over_the_rows() -> None:
    """value Σ (X b − y)², gradient 2 Xᵀ(X b − y): X is read in one loop over its rows."""
    X, b, y = make_input("X", (100, 3), F), make_input("b", (3,), F, (), "flat"), make_input("y", (100,), F)
    rest = make("sub", make("matmul", X, b), y)
    value = make("sum", make("mul", rest, rest), dims=(-1,), keepdim=False)
    grad = make("matmul", make("permute", X, dims=(1, 0)), make("mul", rest, 2.0))
    program = NativeProgram(Graph((b, X, y), (value, grad)))
    rows = [line for line in program.source.splitlines() if line.startswith("    for ") and "range(n" in line]
    assert len(rows) == 1
    values = [torch.randn(3, dtype=F), torch.randn(100, 3, dtype=F), torch.randn(100, dtype=F)]
    all_same(program(*values), compile_torch(program.graph)(*values), "regression")


def test_data_of_another_length_need_no_new_code() -> None:
    def program(n: int) -> NativeProgram:
        x, y = make_input("x", (), F, (), "flat"), make_input("y", (n,), F)
        rest = make("sub", y, x)
        return NativeProgram(
            Graph((x, y), (make("sum", make("mul", rest, rest), dims=(-1,), keepdim=False),))
        )

    short, long = program(100), program(5000)
    assert short.source == long.source
    y = torch.arange(5000.0, dtype=F)
    assert float(long(torch.tensor(1.0, dtype=F), y)[0]) == pytest.approx(
        float(((y - 1.0) ** 2).sum()), rel=1e-12
    )


def test_what_does_not_change_leaves_the_loop() -> None:
    x, y = make_input("x", (), F, (), "flat"), make_input("y", (100,), F)
    program = program_of(make("sum", make("mul", make("exp", x), y), dims=(-1,), keepdim=False), x, y)
    before, _, inside = program.source.partition("for ")
    assert "exp_called(" in before and "exp" not in inside.partition("def density")[0]


def test_what_is_dear_is_computed_once() -> None:
    """exp of 3 numbers, read at 100 places: three calls, not a hundred. (For so few numbers it is not inlined.)"""
    x, i = make_input("x", (3,), F, (), "flat"), make_input("i", (100,), torch.int64)
    read = make("index", make("exp", x), i, positions=(0,))
    program = program_of(make("sum", read, dims=(-1,), keepdim=False), x, i)
    assert "for j" in program.source.partition("exp_called(")[0]
    lines = program.source.splitlines()
    at = next(k for k, line in enumerate(lines) if "exp_called(" in line)
    header = next(line for line in reversed(lines[:at]) if "for " in line)
    assert "range(3)" in header


def test_the_same_cost_is_not_paid_in_two_loops() -> None:
    """exp(x) enters a sum, and beside that sum a second one: it is computed in one loop and kept."""
    x = make_input("x", (100,), F, (), "flat")
    weights = make("exp", x)
    total = make("sum", weights, dims=(-1,), keepdim=False)
    shares = make("div", weights, total)
    entropy = make("sum", make("mul", shares, x), dims=(-1,), keepdim=False)
    program = program_of(entropy, x)
    assert program.source.count("exp(") == 1
    value = torch.randn(100, dtype=F)
    all_same(program(value), compile_torch(program.graph)(value), "shares")


@pytest.mark.parametrize("n", [65, 128, 130, 1000])
def test_rows_are_taken_in_tiles(n: int) -> None:
    """Logistic regression with a group effect: a matrix, an index, two dear functions of each row."""
    X, y = make_input("X", (n, 10), F), make_input("y", (n,), F)
    group = make_input("group", (n,), torch.int64)
    b, a = make_input("b", (10,), F, (), "flat"), make_input("a", (70,), F, (), "value")
    eta = make("add", make("matmul", X, b), make("index", a, group, positions=(0,)))
    terms = make("sub", make("mul", eta, y), make("softplus", eta))
    value = make("sum", terms, dims=(-1,), keepdim=False)
    rest = make("sub", y, make("sigmoid", eta))
    slopes = make("matmul", make("permute", X, dims=(1, 0)), rest)
    effects = make("index_add", rest, make("wrap_index", group, size=70), dim=-1, size=70)
    program = NativeProgram(Graph((b, a, X, y, group), (value, slopes, effects)))
    assert "min(64, " in program.source
    draw = torch.Generator().manual_seed(n)
    values = [
        torch.randn(10, generator=draw, dtype=F),
        torch.randn(70, generator=draw, dtype=F),
        torch.randn(n, 10, generator=draw, dtype=F),
        torch.randint(0, 2, (n,), generator=draw).to(F),
        torch.randint(0, 70, (n,), generator=draw),
    ]
    expected = compile_torch(program.graph)(*values)
    all_same(program(*values), expected, "compiled")
    all_same(program.plain(*values), expected, "plain")


@pytest.mark.parametrize(("n", "places"), [(100, 7), (103, 7), (1000, 250), (1000, 251), (99, 3)])
def test_many_additions_to_few_places(n: int, places: int) -> None:
    """A long scatter adds to copies of a short result in turn; a short one, or to many places, does not."""
    x, scale = make_input("x", (n,), F, (), "flat"), make_input("scale", (), F, (), "value")
    group = make_input("group", (n,), torch.int64)
    source = make("mul", make("mul", x, x), scale)
    sums = make("index_add", source, make("wrap_index", group, size=places), dim=-1, size=places)
    total = make("sum", source, dims=(-1,), keepdim=False)
    program = NativeProgram(Graph((x, scale, group), (sums, total)))
    copies = n >= 100 and 4 * places <= n
    assert ("// 4" in program.source) is copies
    draw = torch.Generator().manual_seed(n)
    values = [
        torch.randn(n, generator=draw, dtype=F),
        torch.tensor(0.5, dtype=F),
        torch.randint(0, places, (n,), generator=draw).sort().values,
    ]
    expected = compile_torch(program.graph)(*values)
    all_same(program(*values), expected, "compiled")
    all_same(program.plain(*values), expected, "plain")


@pytest.mark.parametrize("k", [2, 3, 9, 10])
def test_components_of_many_rows(k: int) -> None:
    """A mixture's rows: what belongs to a component is written out, or looped over where there are many."""
    y, at = make_input("y", (200,), F), make_input("at", (k,), F, (), "flat")
    gaps = make("sub", make("reshape", y, shape=(200, 1)), at)
    terms = make("mul", make("mul", gaps, gaps), -0.5)
    value = make("logsumexp", terms, dims=(-1,), keepdim=False)
    shares = make("exp", make("sub", terms, make("reshape", value, shape=(200, 1))))
    slopes = make("sum", make("mul", shares, gaps), dims=(0,), keepdim=False)
    total = make("sum", value, dims=(-1,), keepdim=False)
    program = NativeProgram(Graph((at, y), (total, slopes, shares)))
    values = [torch.linspace(-2.0, 2.0, k, dtype=F), torch.linspace(-3.0, 3.0, 200, dtype=F)]
    expected = compile_torch(program.graph)(*values)
    all_same(program(*values), expected, "compiled")
    all_same(program.plain(*values), expected, "plain")


# ---------------------------------------------------------------- places


def gathered(n: int, size: int) -> tuple[NativeProgram, Node, Node]:
    x, i = make_input("x", (size,), F, (), "flat"), make_input("i", (n,), torch.int64)
    taken = make("index", x, i, positions=(0,))
    return program_of(make("sum", taken, dims=(-1,), keepdim=False), x, i), x, i


def test_places_that_count_from_the_end() -> None:
    program, _, _ = gathered(3, 5)
    x = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0], dtype=F)
    assert float(program(x, torch.tensor([0, 1, 2]))[0]) == 7.0
    assert float(program(x, torch.tensor([-1, 0, -5]))[0]) == 18.0


def test_places_out_of_range_never_leave_the_array() -> None:
    """The torch engine raises there; machine code must at least stay inside."""
    program, _, _ = gathered(2, 4)
    x = torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=F)
    assert float(program(x, torch.tensor([10**12, -(10**12)]))[0]) == 9.0


def test_computed_places_are_kept_inside() -> None:
    x = make_input("x", (4,), F, (), "flat")
    place = make("to", make("mul", make("select", x, dim=-1, index=0), 1e6), dtype=torch.int64)
    program = program_of(make("take", x, place, dim=-1), x)
    for first in (float("nan"), float("inf"), -float("inf"), 1e300, 0.0):
        out = program(torch.tensor([first, 2.0, 4.0, 8.0], dtype=F))[0]
        assert out.shape == ()


# ---------------------------------------------------------------- extreme numbers

EXTREME = st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 1e308, -1e308, 1e-310, float("inf"), -float("inf"), float("nan")]
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(values=st.lists(EXTREME, min_size=4, max_size=4))
def test_infinities_and_nans_mean_what_they_mean_to_torch(values: list[float]) -> None:
    x = torch.tensor(values, dtype=F)
    all_same(DENSITY(x), compile_torch(DENSITY.graph)(x), "extreme")


def _density() -> NativeProgram:
    with working_dtype(F):
        x = make_input("x", (4,), F, (), "flat")
        e = make("exp", x)
        outs = [
            e,
            make("log", x),
            make("log1p", e),
            make("sigmoid", x),
            make("log_sigmoid", x),
            make("maximum", x, make("flip", x, dims=(-1,))),
            make("where", make("gt", x, 0.0), x, 0.0),
            make("logsumexp", x, dims=(-1,), keepdim=False),
            make("amax", x, dims=(-1,), keepdim=False),
            make("sum", make("where", make("isfinite", x), x, 0.0), dims=(-1,), keepdim=False),
        ]
        return NativeProgram(Graph((x,), tuple(o for o in outs if isinstance(o, Node))))


DENSITY = _density()


def test_a_matrix_that_is_not_positive_definite_gives_nan() -> None:
    a = make_input("a", (2, 2), F, (), "flat")
    program = program_of(make("cholesky", a), a)
    assert torch.isnan(program(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=F))[0]).all()


# ---------------------------------------------------------------- choosing


def test_what_native_lacks_falls_back_with_one_notice() -> None:
    x = make_input("x", (3,), F, (), "flat")
    value = Graph((x,), (make("i1e", x),))
    seeds = cotangents_of(value)
    gradient = differentiated(value, [x], seeds)
    with pytest.warns(EngineNotice, match="native engine can't run this program"):
        engine, reason = choose("auto", lambda: gradient, "cpu", F)
    assert engine.name == "torch" and "native can't" in reason


def test_float32_and_other_devices_run_on_torch_without_a_notice() -> None:
    x = make_input("x", (3,), torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose("auto", lambda: Graph((x,), (x,)), "cpu", torch.float32)[0].name == "torch"
        assert choose("auto", lambda: Graph((x,), (x,)), "cuda", F)[0].name == "torch"


def test_a_program_runs_native_and_says_why() -> None:
    @ppl.model
    def normal():
        ppl.sample("x", ppl.distributions.Normal(0.0, 1.0))

    compiled = ppl.compile(normal())
    assert compiled.engine.name == "native"
    assert "without Python" in compiled.engine_reason
    value, grad = compiled.value_and_grad(torch.tensor([[0.5], [2.0]], dtype=F))
    expected = -0.5 * np.array([0.25, 4.0]) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(grad[:, 0], [-0.5, -2.0], rtol=1e-12)


def test_every_lack_is_an_operator() -> None:
    assert set(LACKING) <= set(OPERATORS)


# ---------------------------------------------------------------- factorisations


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 37])
def test_factors_and_triangular_systems(n: int) -> None:
    """Rows are taken four at a time; what is left, one by one."""
    A, B = make_input("A", (n, n), F, (), "flat"), make_input("B", (n, 3), F, (), "value")
    factor = make("cholesky", A)
    lower = make("solve_triangular", factor, B, upper=False, unitriangular=False)
    upper = make("solve_triangular", make("permute", factor, dims=(1, 0)), B, upper=True, unitriangular=False)
    program = NativeProgram(Graph((A, B), (factor, lower, upper)))
    draw = torch.Generator().manual_seed(n)
    root = torch.randn(n, n, generator=draw, dtype=F)
    values = [root @ root.T + n * torch.eye(n, dtype=F), torch.randn(n, 3, generator=draw, dtype=F)]
    expected = compile_torch(program.graph)(*values)
    all_same(program(*values), expected, "compiled")
    all_same(program.plain(*values), expected, "plain")
