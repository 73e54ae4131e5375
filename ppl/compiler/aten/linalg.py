"""Factorisations and linear systems."""

from __future__ import annotations

import torch

from ppl.compiler.aten.table import aten
from ppl.compiler.aten.views import expand, same_dtype, t
from ppl.compiler.graph import Node
from ppl.compiler.ops import constant, full, make
from ppl.compiler.ops.batching import reshape
from ppl.compiler.ops.core import Operand, broadcast
from ppl.compiler.ops.pointwise import exp, mul


@aten("linalg_cholesky_ex")
def _cholesky_ex(x: Node, upper: bool = False, check_errors: bool = False) -> tuple[Node, Node]:
    factor = make("cholesky", x)
    return (t(factor) if upper else factor), full(0, x.shape[:-2], torch.int32)


@aten("cholesky")
def _cholesky(x: Node, upper: bool = False) -> Node:
    return _cholesky_ex(x, upper)[0]


@aten("linalg_solve_triangular")
def _solve_triangular(a: Node, b: Node, upper: bool, left: bool = True, unitriangular: bool = False) -> Node:
    if not left:
        return t(_solve_triangular(t(a), t(b), not upper, True, unitriangular))
    lead = broadcast([a.shape[:-2], b.shape[:-2]])
    if len(a.shape) > 2 or len(b.shape) > 2:
        a, b = expand(a, lead + a.shape[-2:]), expand(b, lead + b.shape[-2:])
    return make("solve_triangular", *same_dtype([a, b]), upper=upper, unitriangular=unitriangular)


@aten("triangular_solve")
def _triangular_solve(
    b: Node, a: Node, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Node, Node]:
    return _solve_triangular(t(a) if transpose else a, b, upper != transpose, True, unitriangular), a


@aten("cholesky_solve")
def _cholesky_solve(b: Node, factor: Node, upper: bool = False) -> Node:
    lower = t(factor) if upper else factor
    return _solve_triangular(t(lower), _solve_triangular(lower, b, False), True)


@aten("cholesky_inverse")
def _cholesky_inverse(factor: Node, upper: bool = False) -> Node:
    return _cholesky_solve(_identity(factor), factor, upper)


# ---------------------------------------------------------------- any square matrix


def _identity(like: Node) -> Node:
    return constant(torch.eye(like.shape[-1], dtype=like.dtype))


def solve(a: Node, b: Node) -> Node:
    """X with A X = B, for matrices B."""
    lead = broadcast([a.shape[:-2], b.shape[:-2]])
    if len(a.shape) > 2 or len(b.shape) > 2:
        a, b = expand(a, lead + a.shape[-2:]), expand(b, lead + b.shape[-2:])
    return make("solve", *same_dtype([a, b]))


def _rest(a: Node) -> tuple[Node, Node, Node]:
    """What overloads return beside the result (factors, pivots, errors) and nobody may read."""
    return a, full(0, a.shape[:-1], torch.int32), full(0, a.shape[:-2], torch.int32)


@aten("_linalg_solve_ex")
def _solve_ex(a: Node, b: Node, left: bool = True, check_errors: bool = False) -> tuple[Node, ...]:
    vectors = len(b.shape) == 1 or (len(b.shape) == len(a.shape) - 1 and b.shape == a.shape[:-1])
    columns = reshape(b, (*b.shape, 1)) if vectors else b
    x = solve(a, columns) if left or vectors else t(solve(t(a), t(columns)))
    return reshape(x, x.shape[:-1]) if vectors else x, *_rest(a)


@aten("linalg_inv_ex")
def _inv_ex(a: Node, check_errors: bool = False) -> tuple[Node, Node]:
    return solve(a, _identity(a)), _rest(a)[2]


@aten("_linalg_slogdet")
def _slogdet(a: Node) -> tuple[Node, ...]:
    return make("detsign", a), make("logabsdet", a), *_rest(a)[:2]


@aten("_linalg_det")
def _det(a: Node) -> tuple[Operand, ...]:
    return mul(make("detsign", a), exp(make("logabsdet", a))), *_rest(a)[:2]
