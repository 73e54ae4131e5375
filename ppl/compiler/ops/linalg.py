"""Contractions and factorisations of dense matrices."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops.batching import Batched, Operands, node_of, permute, reshape, sizes
from ppl.compiler.ops.core import Operand, define, make
from ppl.compiler.ops.opaque import constant
from ppl.compiler.ops.pointwise import add, mul, neg
from ppl.compiler.ops.shapes import sum_to


def transpose(x: Node) -> Node:
    r = len(x.shape)
    return permute(x, (*range(r - 2), r - 1, r - 2))


def matmul(a: Node, b: Node) -> Node:
    return make("matmul", a, b)


def _matmul_vjp(out: Node, g: Node, a: Node, b: Node) -> tuple[Operand, Operand]:
    ra, rb = len(a.shape), len(b.shape)
    if ra == 1 and rb == 1:
        return mul(g, b), mul(g, a)
    if rb == 1 and ra == 2:
        return mul(reshape(g, (*g.shape, 1)), b), matmul(transpose(a), g)
    if ra == 1 and rb == 2:
        return matmul(b, g), mul(reshape(a, (*a.shape, 1)), g)
    # a vector is a matrix of one row (or column); leading axes broadcast
    left, right = (a if ra > 1 else reshape(a, (1, *a.shape))), (b if rb > 1 else reshape(b, (*b.shape, 1)))
    g = reshape(g, (*out.shape[: len(out.shape) - (ra > 1) - (rb > 1)], left.shape[-2], right.shape[-1]))
    ga, gb = sum_to(matmul(g, transpose(right)), left.shape), sum_to(matmul(transpose(left), g), right.shape)
    return reshape(ga, a.shape), reshape(gb, b.shape)


def _matmul_batch(plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    a, b = node_of(args[0]), node_of(args[1])
    ra, rb = len(a.shape), len(b.shape)
    if rb == 1 and ra == 2 and not a.plates:  # A x for many x: one matrix product
        return matmul(b.node, transpose(a.node))
    if ra == 1 and rb == 2 and not b.plates:
        return matmul(a.node, b.node)
    if ra == 1 and rb == 1:
        return make("sum", make("mul", a.aligned(plates), b.aligned(plates)), dims=(-1,), keepdim=False)
    left = a if ra > 1 else Batched(reshape(a.node, (*sizes(a.plates), 1, *a.shape)), a.plates, (1, *a.shape))
    right = b if rb > 1 else Batched(reshape(b.node, (*b.node.shape, 1)), b.plates, (*b.shape, 1))
    rank = max(ra, rb, 2)
    out = matmul(left.aligned(plates, rank), right.aligned(plates, rank))
    if ra == 1:
        return reshape(out, (*out.shape[:-2], out.shape[-1]))
    return reshape(out, out.shape[:-1]) if rb == 1 else out


define("matmul", torch.matmul, batch=_matmul_batch, vjp=_matmul_vjp)


def _cholesky(x: Any) -> Any:
    factor, info = torch.linalg.cholesky_ex(x)
    return torch.where((info > 0)[..., None, None], torch.nan, factor)


def _phi(x: Node) -> Node:
    """Lower triangle with half the diagonal."""
    return make("mul", add(make("tril", x, diagonal=0), make("tril", x, diagonal=-1)), 0.5)


def _cholesky_vjp(out: Node, g: Node, x: Node) -> tuple[Operand]:
    inner = _phi(matmul(transpose(out), g))
    left = _solve(transpose(out), inner, upper=True)
    whole = transpose(_solve(transpose(out), transpose(left), upper=True))
    return (mul(add(whole, transpose(whole)), 0.5),)


define("cholesky", _cholesky, vjp=_cholesky_vjp)
"""The lower Cholesky factor; nan (not an error) where the matrix is not positive definite."""


def _solve(a: Node, b: Node, upper: bool) -> Node:
    return make("solve_triangular", a, b, upper=upper, unitriangular=False)


def _solve_run(a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    return torch.linalg.solve_triangular(a, b, upper=upper, unitriangular=unitriangular)


def _solve_vjp(
    out: Node, g: Node, a: Node, b: Node, upper: bool, unitriangular: bool
) -> tuple[Operand, Operand]:
    gb = make("solve_triangular", transpose(a), g, upper=not upper, unitriangular=unitriangular)
    ga = neg(matmul(gb, transpose(out)))
    assert isinstance(ga, Node)
    off = int(unitriangular)
    ga = make("triu", ga, diagonal=off) if upper else make("tril", ga, diagonal=-off)
    return sum_to(ga, a.shape), sum_to(gb, b.shape)


def _solve_batch(op: str, plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    a, b = node_of(args[0]), node_of(args[1])
    if (
        not a.plates and len(a.shape) == len(b.shape) == 2
    ):  # one factor, many right-hand sides: stack them as columns
        rows, cols = b.shape
        k = len(plates)
        wide = reshape(permute(b.node, (k, *range(k), k + 1)), (rows, b.node_size // max(rows, 1)))
        solved = make(op, a.node, wide, **attrs)
        return permute(reshape(solved, (rows, *sizes(plates), cols)), (*range(1, k + 1), 0, k + 1))
    rank = max(len(a.shape), len(b.shape))
    return make(
        op,
        a.aligned(plates, rank, expand=True),
        b.aligned(plates, rank, expand=True),
        **attrs,
    )


define("solve_triangular", _solve_run, batch=partial(_solve_batch, "solve_triangular"), vjp=_solve_vjp)


def _solve_any(a: Any, b: Any) -> Any:
    x, info = torch.linalg.solve_ex(a, b)
    return torch.where((info != 0)[..., None, None], torch.nan, x)


def _solve_any_vjp(out: Node, g: Node, a: Node, b: Node) -> tuple[Operand, Operand]:
    gb = make("solve", transpose(a), g)
    return sum_to(neg(matmul(gb, transpose(out))), a.shape), sum_to(gb, b.shape)  # type: ignore[arg-type]


define("solve", _solve_any, batch=partial(_solve_batch, "solve"), vjp=_solve_any_vjp)
"""X with A X = B, for any square matrix A; nan (not an error) where it is singular."""


def _logabsdet_vjp(out: Node, g: Node, a: Node) -> tuple[Operand]:
    identity = constant(torch.eye(a.shape[-1], dtype=a.dtype))
    if len(a.shape) > 2:
        identity = make("expand", identity, shape=a.shape)
    return (mul(make("solve", transpose(a), identity), reshape(g, (*g.shape, 1, 1))),)


define("logabsdet", lambda a: torch.linalg.slogdet(a)[1], vjp=_logabsdet_vjp)
define("detsign", lambda a: torch.linalg.slogdet(a)[0], vjp=lambda out, g, a: (None,))
