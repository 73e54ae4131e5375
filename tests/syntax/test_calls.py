"""What is handed to functions, programs and distributions: supports, bounds, whole numbers, sizes."""

from __future__ import annotations

import pytest
import torch

import ppl
from ppl.errors import DataError
from ppl.syntax.check import check
from ppl.syntax.load import loads

ENTROPY = """
def entropy(p: simplex[K]) -> real:
    return -sum(p * log(p))

"""


def test_a_draw_of_dirichlet_is_a_simplex() -> None:
    fine = "model m():\n    a ~ Dirichlet([1, 2])\n    factor f = entropy(a) + entropy([0.5, 0.5])\n"
    assert check(ENTROPY + fine).problems == ()


def test_any_vector_is_not() -> None:
    (problem,) = check(ENTROPY + "model m(x: real[N]):\n    factor f = entropy(x)\n").problems
    assert (problem.headline, problem.edit) == (
        "`p` of entropy has to be a simplex, and this is real[N]",
        "softmax(x)",
    )


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        ("int(lower=0)[N]", [0, 3], [-1, 0]),
        ("int(1, 3)[N]", [1, 3], [4, 1]),
        ("index(3)[N]", [0, 2], [0, 3]),
        ("real(lower=0)[N]", [0.0, 1.0], [-0.1, 1.0]),
        ("positive[N]", [0.5, 1.0], [0.0, 1.0]),
    ],
)
def test_bounds_belong_to_their_interval(kind: str, inside: list[float], outside: list[float]) -> None:
    program = loads(f"model m(x: {kind}):\n    y ~ Normal(sum(x), 1)\n").m
    ppl.simulate(program(inside))
    with pytest.raises(DataError, match="outside of its type"):
        ppl.simulate(program(outside))


def test_whole_numbers_are_numbers_to_distributions() -> None:
    text = """
model m(n: int[N]):
    p ~ Dirichlet([1, 1, 1])
    x ~ Normal([0, 3], [1, 2])
    for i in N:
        k[i] ~ Binomial(n[i], 0.5)
    fixed ~ Delta([1, 2])
"""
    trace = ppl.simulate(loads(text).m([3, 4]), seed=0)
    assert trace["x"].dtype == torch.float64
    assert (trace["k"] <= torch.tensor([3, 4])).all()
    assert trace["fixed"].dtype == torch.int64  # a value stays what it is


def test_a_length_that_is_an_argument_is_the_size_of_a_draw() -> None:
    text = """
model m(T: int, K: int):
    phi: real[K] ~ Normal(0, 1)
    y ~ AutoregressiveNormal(phi, 1, T)
    L ~ LKJCholesky(K, 2)
    z = {}
    factor f = z
"""
    assert check(text.format("sum(y + zeros(T))")).errors == ()
    assert ppl.simulate(loads(text.format("sum(L)")).m(5, 2), seed=0).dims("y") == ("T",)
    (problem,) = check(text.format("sum(y + phi)")).errors
    assert problem.headline == "these don't have one shape: T against K"


def test_docstrings_are_pythons() -> None:
    module = loads('"""A file."""\n\n\ndef f(x: real):\n    """Twice x."""\n    return 2 * x\n')
    assert (module.__doc__, module.f.__doc__) == ("A file.", "Twice x.")
    program = loads('model m():\n    """A coin."""\n    x ~ Bernoulli(0.5)\n').m
    assert program.__doc__ == "A coin."


def test_python_calls_functions_with_loops() -> None:
    text = """
def total(x: real[N]) -> real:
    s = 0.0
    for i in N:
        s += x[i] ** 2
    for j in N:
        y[j] = x[j] - s
    return sum(y)
"""
    assert loads(text).total([1.0, 2.0]).item() == 3.0 - 2 * 5.0
