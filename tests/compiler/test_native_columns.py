"""Matrices stored by columns: the same values and gradients as by rows, for any number of rows and columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from compiler.checks import all_same
from hypothesis import given, settings
from hypothesis import strategies as st

import ppl
from ppl.compiler.engines.native import NativeProgram, columns
from ppl.compiler.engines.native.schedule import TILE
from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import make, make_input
from ppl.distributions import Normal, Poisson

F = torch.float64
ROWS = [1, 63, 64, 65, 128, 1000]


def transposed(X: Node) -> Node:
    return make("permute", X, dims=(1, 0))


def total(x: Node) -> Node:
    return make("sum", x, dims=(-1,), keepdim=False)


def matrix(n: int, k: int, name: str = "X") -> Node:
    return make_input(name, (n, k), F)


def vector(k: int, name: str = "b") -> Node:
    return make_input(name, (k,), F, (), "flat")


def value_of(node: Node) -> torch.Tensor:
    return torch.randn(node.shape, dtype=F)


def stored(graph: Graph) -> set[str]:
    """The names of the matrices that are stored by columns."""
    eligible = [n for n in graph.inputs if columns.eligible(n)]
    return {n.attr("name") for n in columns.chosen(graph, eligible)}


def check(graph: Graph, values: list[torch.Tensor], compiled: bool = True) -> NativeProgram:
    program = NativeProgram(graph)
    found = program(*values) if compiled else program.plain(*values)
    all_same(found, compile_torch(graph)(*values), str(graph), relative=1e-12)
    return program


# ---------------------------------------------------------------- densities


def linear(n: int, k: int) -> Graph:
    """Σ w (X b − y)² and its gradient."""
    X, b, y, w = matrix(n, k), vector(k), make_input("y", (n,), F), make_input("w", (n,), F)
    rest = make("sub", make("matmul", X, b), y)
    grad = make("matmul", transposed(X), make("mul", make("mul", rest, w), 2.0))
    return Graph((b, X, y, w), (total(make("mul", make("mul", rest, rest), w)), grad))


def logistic(n: int, k: int) -> Graph:
    """Σ log sigmoid(X b), its gradient, and X b itself: what is dear, and a product that others read."""
    X, b = matrix(n, k), vector(k)
    eta = make("matmul", X, b)
    grad = make("matmul", transposed(X), make("sigmoid", make("neg", eta)))
    return Graph((b, X), (total(make("log_sigmoid", eta)), grad, eta))


def two_predictors(n: int, k: int) -> Graph:
    """Σ ((y − X b)² / exp(X c) + X c) and both gradients: two products of one matrix each way."""
    X, b, c, y = matrix(n, k), vector(k), vector(k, "c"), make_input("y", (n,), F)
    scale, rest = make("exp", make("matmul", X, c)), make("sub", y, make("matmul", X, b))
    square = make("div", make("mul", rest, rest), scale)
    by_b = make("matmul", transposed(X), make("div", make("mul", rest, -2.0), scale))
    by_c = make("matmul", transposed(X), make("sub", 1.0, square))
    value = total(make("add", square, make("matmul", X, c)))
    return Graph((b, c, X, y), (value, by_b, by_c))


def two_matrices(n: int, k: int) -> Graph:
    """Σ exp(X b + Z c) and its gradient; X and Z may have as many columns, or not."""
    width = k if n % 2 else k + 2
    X, Z, b, c = matrix(n, k), matrix(n, width, "Z"), vector(k), vector(width, "c")
    rate = make("exp", make("add", make("matmul", X, b), make("matmul", Z, c)))
    grads = make("matmul", transposed(X), rate), make("matmul", transposed(Z), rate)
    return Graph((b, c, X, Z), (total(rate), *grads))


def normalised(n: int, k: int) -> Graph:
    """log Σ exp(X b) and its gradient Xᵀ softmax(X b), which needs a total over all rows first."""
    X, b = matrix(n, k), vector(k)
    eta = make("matmul", X, b)
    value = make("logsumexp", eta, dims=(-1,), keepdim=False)
    return Graph((b, X), (value, make("matmul", transposed(X), make("exp", make("sub", eta, value)))))


def two_parts(n: int, k: int) -> Graph:
    """Σ softplus(X [a, b]): the vector is put together of two."""
    X, a, b = matrix(n, k), vector(1, "a"), vector(k - 1)
    eta = make("matmul", X, make("cat", a, b, dim=0))
    return Graph((a, b, X), (total(make("softplus", eta)), make("matmul", transposed(X), make("exp", eta))))


DENSITIES: list[Callable[[int, int], Graph]] = [
    linear,
    logistic,
    two_predictors,
    two_matrices,
    normalised,
    two_parts,
]


@pytest.mark.parametrize("density", DENSITIES)
def test_any_shape_as_plain_python(density: Callable[[int, int], Graph]) -> None:
    """The workspace is full of nan there: nothing is read that was not written."""

    @settings(max_examples=10, deadline=None)
    @given(n=st.integers(1, 3 * TILE), k=st.integers(2, 14))
    def holds(n: int, k: int) -> None:
        graph = density(n, k)
        check(graph, [value_of(x) / 4 for x in graph.inputs], compiled=False)

    holds()


@pytest.mark.parametrize("density", DENSITIES)
def test_compiled_for_any_number_of_rows(density: Callable[[int, int], Graph]) -> None:
    texts = set()
    for n in ROWS:
        graph = density(n, 11)
        texts |= (
            {(n % 2, check(graph, [value_of(x) / 4 for x in graph.inputs]).source)} if n > TILE else set()
        )
        assert ("X" in stored(graph)) == (n > TILE)
    parity = {odd for odd, _ in texts} if density is two_matrices else {0}
    assert len({text for _, text in texts}) == len(parity)  # of other lengths: the same code


@pytest.mark.parametrize("k", [4, 9, 20, 70])
def test_compiled_for_any_number_of_columns(k: int) -> None:
    graph = two_predictors(200, k)
    assert stored(graph) == {"X"}
    program = check(graph, [value_of(x) / k**0.5 for x in graph.inputs])
    assert program.source.count("min(64, ") == 1  # forward and backward share one pass over the tiles


# ---------------------------------------------------------------- rows that there are not


@pytest.mark.parametrize("compiled", [False, True])
def test_infinite_coefficients_reach_no_row_that_is_missing(compiled: bool) -> None:
    """X b = ±inf in all rows, and 0 · inf = nan in those that only fill the last tile."""
    X, b = matrix(65, 5), vector(5)
    grad = make("matmul", transposed(X), make("sigmoid", make("matmul", X, b)))
    values = [torch.full((5,), torch.inf, dtype=F), torch.rand(65, 5, dtype=F) + 0.1]
    expected = values[1].sum(0)
    program = NativeProgram(Graph((b, X), (grad,)))
    found = program(*values) if compiled else program.plain(*values)
    all_same(found, (expected,), "Xᵀ sigmoid(inf)", relative=1e-12)


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
@pytest.mark.parametrize("row", [0, 1, 63, 64])
def test_infinite_rows_stay_where_they_are(row: int, bad: float) -> None:
    """One row of g is infinite: Xᵀ g is, and not nan, although rows of the tile before are left in the workspace."""
    X, b, y = matrix(65, 5), vector(5), make_input("y", (65,), F)
    grad = make("matmul", transposed(X), make("mul", make("exp", make("matmul", X, b)), y))
    data, y_value = torch.rand(65, 5, dtype=F) + 0.1, torch.rand(65, dtype=F)
    y_value[row] = bad
    found = NativeProgram(Graph((b, X, y), (grad,)))(torch.zeros(5, dtype=F), data, y_value)[0]
    assert torch.equal(found.isnan(), torch.full((5,), bad != bad)) and not bool(found.isfinite().any())


# ---------------------------------------------------------------- which matrices


def elementwise(n: int) -> Graph:
    X, b = matrix(n, 6), vector(6)
    return Graph((b, X), (total(make("matmul", X, b)), total(make("mul", X, X)), transposed(X)))


def gathered(n: int) -> Graph:
    X, b, i = matrix(n, 6), vector(6), make_input("i", (n,), torch.int64)
    rows = make("index", X, i, positions=(0,))
    return Graph((b, X, i), (total(make("matmul", X, b)), total(make("matmul", rows, b))))


def of_a_matrix(n: int) -> Graph:
    X, B = matrix(n, 6), make_input("B", (6, 3), F, (), "flat")
    return Graph((B, X), (make("matmul", X, B), make("matmul", transposed(X), make("matmul", X, B))))


def of_an_input(n: int) -> Graph:
    X, b, e = matrix(n, 6), vector(6), vector(n, "e")
    return Graph((b, e, X), (total(make("matmul", X, b)), make("matmul", transposed(X), e)))


def random_matrix(n: int) -> Graph:
    X, b = make_input("X", (n, 6), F, (), "value"), vector(6)
    return Graph((b, X), (total(make("matmul", X, b)),))


@pytest.mark.parametrize("other", [elementwise, gathered, of_a_matrix, of_an_input, random_matrix])
def test_what_is_read_otherwise_stays_by_rows(other: Callable[[int], Graph]) -> None:
    graph = other(100)
    values = [torch.randint(0, 100, n.shape) if n.dtype is torch.int64 else value_of(n) for n in graph.inputs]
    assert not check(graph, values, compiled=False).code.source.by_columns


def test_matrices_above_a_gibibyte_are_not_stored_twice() -> None:
    most = columns.LARGEST // 8
    assert stored(linear(most, 8)) == {"X"} and not stored(linear(most + 1, 8))


# ---------------------------------------------------------------- the arrangement


@pytest.mark.parametrize("n", ROWS)
def test_arrangement(n: int) -> None:
    X = np.random.default_rng(n).standard_normal((n, 5))
    found = columns.arrange(X.reshape(-1), 5)
    assert found.ctypes.data % 64 == 0 and len(found) == -(-n // TILE) * TILE * 5
    i, j = np.divmod(np.arange(n * 5), 5)
    assert np.array_equal(found[(i // TILE * 5 + j) * TILE + i % TILE], X.reshape(-1))
    assert np.count_nonzero(found) == X.size


# ---------------------------------------------------------------- programs


@ppl.model
def rows(x):
    alpha = ppl.sample("alpha", Normal(0.0, 1.0))
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([x.shape[1]]))
    for i in ppl.plate("row", len(x)):
        ppl.sample("y", Normal(alpha + x[i] @ beta, 2.0))


@pytest.mark.parametrize("n", [64, 65, 200])
def test_products_of_the_rows_in_a_loop(n: int) -> None:
    """x[i] @ beta for every i is X beta."""
    rng = torch.Generator().manual_seed(n)
    data = torch.randn(n, 7, dtype=F, generator=rng)
    program = rows(data).condition(y=torch.randn(n, dtype=F, generator=rng))
    native, reference = (ppl.compile(program, engine=name) for name in ("native", "torch"))
    x = torch.randn(native.dim, dtype=F, generator=rng)
    all_same(native.value_and_grad(x), reference.value_and_grad(x), "rows", relative=1e-12)
    assert bool(native.native()[0].code.source.by_columns) == (n > TILE)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("row", [False, True])
def test_sums_of_products_are_products(swapped: bool, row: bool) -> None:
    """Σⱼ Xᵢⱼ bⱼ and Σᵢ gᵢ Xᵢⱼ, the factors in either order; a sum over all is none, nor one along the other axis."""
    X, b, y = matrix(100, 5), vector(5), make_input("y", (100,), F)
    wide = make("reshape", b, shape=(1, 5)) if row else b
    tall = make("reshape", make("exp", y), shape=(100, 1))

    def products(*factors: Node) -> Node:
        return make("mul", *(factors[::-1] if swapped else factors))

    def sums(x: Node, *dims: int) -> Node:
        return make("sum", x, dims=dims, keepdim=False)

    two = Graph((b, X, y), (sums(products(X, wide), -1), sums(products(X, tall), -2)))
    values = [value_of(n) for n in two.inputs]
    assert check(two, values, compiled=False).code.source.by_columns
    others = sums(products(X, wide), 0), sums(products(X, tall), 1), sums(products(X, wide), 0, 1)
    assert not check(Graph((b, X, y), others), values, compiled=False).code.source.by_columns


@ppl.model
def counts(X, z, exposure, weight):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    tau = ppl.sample("tau", Normal(0.0, 1.0))
    ppl.sample("y", Poisson(exposure * torch.exp(X @ beta)))
    ppl.factor("z", (weight * Normal(X @ beta, torch.exp(tau)).log_prob(z)).sum())


@pytest.mark.parametrize("n", [64, 65, 200])
def test_two_likelihoods_of_one_matrix_with_weights(n: int) -> None:
    rng = torch.Generator().manual_seed(n)
    X = torch.randn(n, 7, dtype=F, generator=rng) / 3
    y, z = torch.poisson(X.sum(1).exp(), generator=rng), torch.randn(n, dtype=F, generator=rng)
    exposure, weight = torch.rand(2, n, dtype=F, generator=rng) + 0.5
    program = counts(X, z, exposure, weight).condition(y=y)
    native, reference = (ppl.compile(program, engine=name) for name in ("native", "torch"))
    x = torch.randn(native.dim, dtype=F, generator=rng) / 4
    all_same(native.value_and_grad(x), reference.value_and_grad(x), "counts", relative=1e-12)
    assert bool(native.native()[0].code.source.by_columns) == (n > TILE)
