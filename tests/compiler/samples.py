"""For every operator of the Graph a generator of calls."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import compiler.samples_draws  # noqa: F401  (adds its samples to the table)
import torch
from compiler.calls import SAMPLES as SAMPLES
from compiler.calls import Draw, Make, Sample, sample
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from ppl.compiler.ops import OPERATORS, scatter_sum


def pointwise_reference(name: str) -> Callable[..., Any]:
    found = (
        getattr(torch, name, None)
        or getattr(torch.special, name, None)
        or getattr(torch.nn.functional, name, None)
    )
    return {"log_sigmoid": torch.nn.functional.logsigmoid}.get(name, found)


# ---------------------------------------------------------------- pointwise

REAL_LINE = (
    "neg exp exp2 expm1 sigmoid tanh sin cos atan sinh cosh asinh erf erfc erfcx ndtr log_ndtr i0 i0e i1 i1e "
    "abs relu floor ceil round trunc sign detach isnan isinf isfinite logical_not log_sigmoid"
)
POSITIVE = "sqrt rsqrt log log2 log10 reciprocal lgamma digamma"
UNARY: dict[str, tuple[float, float]] = {
    **dict.fromkeys(REAL_LINE.split(), (-4.0, 4.0)),
    **dict.fromkeys(POSITIVE.split(), (0.2, 5.0)),
    **dict.fromkeys(("asin", "acos", "atanh", "erfinv"), (-0.95, 0.95)),
    "tan": (-1.4, 1.4),
    "log1p": (-0.9, 4.0),
    "acosh": (1.1, 4.0),
    "ndtri": (0.02, 0.98),
}


@sample(*UNARY)
def _unary(d: Draw, name: str) -> Sample:
    return Sample(name, (d.reals(d.shape(), *UNARY[name]),), reference=pointwise_reference(name))


@sample("softplus")
def _softplus(d: Draw, name: str) -> Sample:
    attrs = {"beta": d.choose([1.0, 2.5]), "threshold": d.choose([20.0, 2.0])}
    return Sample(name, (d.reals(d.shape(), -4, 4),), attrs, reference=torch.nn.functional.softplus)


@sample("threshold_backward")
def _threshold_backward(d: Draw, name: str) -> Sample:
    shape = d.shape()
    return Sample(
        name,
        (d.reals(shape), d.reals(shape)),
        reference=lambda g, x: torch.where(x <= 0, torch.zeros_like(g), g),
    )


@sample("polygamma")
def _polygamma(d: Draw, name: str) -> Sample:
    return Sample(
        name, (d.reals(d.shape(), 0.3, 5),), {"n": d.int(0, 3)}, reference=lambda x, n: torch.polygamma(n, x)
    )


@sample("clamp")
def _clamp(d: Draw, name: str) -> Sample:
    low, high = d.choose([(-1.0, None), (None, 1.0), (-1.0, 1.0)])
    return Sample(
        name,
        (d.reals(d.shape()),),
        {"low": low, "high": high},
        reference=lambda x, low, high: torch.clamp(x, low, high),
    )


@sample("bitwise_not")
def _bitwise_not(d: Draw, name: str) -> Sample:
    shape = d.shape()
    return Sample(name, (d.choose([d.bools(shape), d.ints(shape, -4, 4)]),), reference=torch.bitwise_not)


COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
ARITHMETIC = (
    "add sub mul maximum minimum hypot logaddexp atan2 div remainder fmod logical_and logical_or logical_xor"
)
BINARY: dict[str, tuple[float, float]] = {
    **dict.fromkeys((*ARITHMETIC.split(), *COMPARISONS, "floor_divide"), (-3.0, 3.0)),
    **dict.fromkeys(("pow", "xlogy"), (0.2, 3.0)),
}
# floor_divide is tested where x / y is no integer: elsewhere it jumps
TENSORS_ONLY = {
    "maximum",
    "minimum",
    "hypot",
    "logaddexp",
    "atan2",
    "logical_and",
    "logical_or",
    "logical_xor",
}


@sample(*BINARY)
def _binary(d: Draw, name: str) -> Sample:
    shapes = d.shapes(2)
    low, high = BINARY[name]
    operands: list[Any] = [d.numbers(s, low, high) for s in shapes]
    if name not in TENSORS_ONLY and d.int(0, 3) == 0:
        position = 1 if name in (*COMPARISONS, "floor_divide") else d.int(0, 1)
        operands[position] = d.choose([0.5, 2, 1.75, 1, 2.0] + ([-1, 0] if low < 0 and position == 0 else []))
    return Sample(name, tuple(operands), reference=_either_side(name))


def _either_side(name: str) -> Callable[..., Any]:
    """torch's function; where it takes no number on the left, a number becomes a 0-d tensor."""
    f = pointwise_reference(name)

    def call(a: Any, b: Any) -> Any:
        if name == "floor_divide":  # constant almost everywhere; torch has no derivative for it
            a, b = (v.detach() if isinstance(v, torch.Tensor) else v for v in (a, b))
        return f(a, b) if isinstance(a, torch.Tensor) or name in ("pow", "xlogy") else f(torch.tensor(a), b)

    return call


@sample("where")
def _where(d: Draw, name: str) -> Sample:
    c, x, y = d.shapes(3)
    operands: list[Any] = [d.bools(c), d.reals(x), d.reals(y)]
    if d.int(0, 2) == 0:
        operands[d.int(1, 2)] = d.choose([0.0, 1.5, float("inf")])
    return Sample(name, tuple(operands), reference=torch.where)


@sample("bitwise_and", "bitwise_or", "bitwise_xor")
def _bitwise(d: Draw, name: str) -> Sample:
    a, b = d.shapes(2)
    kinds = d.choose(
        [(d.bools(a), d.bools(b)), (d.ints(a, 0, 8), d.ints(b, 0, 8)), (d.ints(a, 0, 8), d.bools(b))]
    )
    return Sample(name, kinds, reference=pointwise_reference(name))


@sample("to")
def _to(d: Draw, name: str) -> Sample:
    shape = d.shape()
    dtype = d.choose([torch.float32, torch.int64, torch.bool, torch.float64])
    return Sample(name, (d.choose([d.reals(shape), d.ints(shape, -2, 3), d.bools(shape)]),), {"dtype": dtype})


# ---------------------------------------------------------------- views


def _regroup(d: Draw, count: int) -> tuple[int, ...]:
    shape: list[int] = []
    for prime in (2, 3, 5, 7):
        while count and count % prime == 0:
            shape.append(prime)
            count //= prime
    shape = [*([0] if count == 0 else []), *shape, *([1] if d.bool() else [])]
    return tuple(d.draw(st.permutations(shape)))


@sample("reshape")
def _reshape(d: Draw, name: str) -> Sample:
    shape = d.shape()
    return Sample(name, (d.reals(shape),), {"shape": _regroup(d, math.prod(shape))})


@sample("expand")
def _expand(d: Draw, name: str) -> Sample:
    shape = d.shape(high=2)
    wide = tuple(d.int(0, 3) if n == 1 else n for n in shape)
    return Sample(name, (d.reals(shape),), {"shape": d.shape(high=2) + wide})


@sample("permute")
def _permute(d: Draw, name: str) -> Sample:
    shape = d.shape()
    return Sample(name, (d.reals(shape),), {"dims": tuple(d.draw(st.permutations(range(len(shape)))))})


def _range(d: Draw, n: int) -> dict[str, int]:
    start = d.int(0, n)
    return {"start": start, "stop": d.int(start, n), "step": d.int(1, 3)}


@sample("slice")
def _slice(d: Draw, name: str) -> Sample:
    shape = d.shape(1)
    dim = d.dim(len(shape))
    return Sample(name, (d.reals(shape),), {"dim": dim, **_range(d, shape[dim])})


@sample("slice_embed")
def _slice_embed(d: Draw, name: str) -> Sample:
    shape = list(d.shape(1))
    dim, size = d.dim(len(shape)), d.int(0, 4)
    where = _range(d, size)
    shape[dim] = len(range(where["start"], where["stop"], where["step"]))
    return Sample(name, (d.reals(shape),), {"dim": dim, "size": size, **where})


@sample("select")
def _select(d: Draw, name: str) -> Sample:
    shape = d.shape(1, smallest=1)
    dim = d.dim(len(shape))
    return Sample(name, (d.reals(shape),), {"dim": dim, "index": d.int(0, shape[dim] - 1)})


@sample("flip")
def _flip(d: Draw, name: str) -> Sample:
    shape = d.shape()
    return Sample(name, (d.reals(shape),), {"dims": d.dims(len(shape))})


@sample("cat")
def _cat(d: Draw, name: str) -> Sample:
    shape = list(d.shape(1))
    dim = d.dim(len(shape))
    parts = [[*shape] for _ in range(d.int(2, 3))]
    for p in parts:
        p[dim] = d.int(0, 3)
    return Sample(name, tuple(d.reals(p) for p in parts), {"dim": dim})


@sample("tril", "triu")
def _triangle(d: Draw, name: str) -> Sample:
    return Sample(name, (d.reals(d.shape(2)),), {"diagonal": d.int(-2, 2)})


@sample("diagonal")
def _diagonal(d: Draw, name: str) -> Sample:
    shape = d.shape(2, smallest=1)
    dim1, dim2 = d.draw(st.permutations(range(-len(shape), 0)))[:2]
    return Sample(name, (d.reals(shape),), {"offset": d.int(-1, 1), "dim1": dim1, "dim2": dim2})


@sample("diagonal_embed")
def _diagonal_embed(d: Draw, name: str) -> Sample:
    made = _diagonal(d, "diagonal")
    whole = made.operands[0]()
    shape = torch.diagonal(whole, **made.attrs).shape
    sides = {"rows": whole.shape[made.attrs["dim1"]], "cols": whole.shape[made.attrs["dim2"]]}
    return Sample(name, (d.reals(shape),), {**made.attrs, **sides})


# ---------------------------------------------------------------- reductions


@sample("sum", "prod", "any", "all", "amax", "amin", "logsumexp")
def _reduction(d: Draw, name: str) -> Sample:
    shape = d.shape(smallest=1 if name in ("amax", "amin", "logsumexp") else 0)
    operand = d.bools(shape) if name in ("any", "all") else d.reals(shape)
    dims = d.dims(len(shape)) or tuple(range(-len(shape), 0))
    return Sample(name, (operand,), {"dims": dims, "keepdim": d.bool()})


@sample("argmax", "argmin")
def _arg(d: Draw, name: str) -> Sample:
    shape = d.shape(1, smallest=1)
    return Sample(name, (d.reals(shape),), {"dim": d.dim(len(shape)), "keepdim": d.bool()})


@sample("argsort")
def _argsort(d: Draw, name: str) -> Sample:
    shape = d.shape(1)
    return Sample(name, (d.reals(shape),), {"dim": d.dim(len(shape)), "descending": d.bool()})


@sample("cumsum", "cumprod", "logcumsumexp", "softmax", "log_softmax")
def _along(d: Draw, name: str) -> Sample:
    shape = d.shape(1)
    return Sample(name, (d.reals(shape),), {"dim": d.dim(len(shape))}, reference=getattr(torch, name))


# ---------------------------------------------------------------- indexing


@sample("take")
def _take(d: Draw, name: str) -> Sample:
    shape = d.shape(1, smallest=1)
    dim = d.dim(len(shape))
    return Sample(name, (d.reals(shape), d.ints((), -shape[dim], shape[dim])), {"dim": dim})


@sample("scatter_sum")
def _scatter_sum(d: Draw, name: str) -> Sample:
    shape, size = d.shape(), d.int(1, 3)
    attrs = {"dim": -1 - d.int(0, len(shape)), "size": size, "plates": ()}
    return Sample(name, (d.reals(shape), d.ints((), -size, size)), attrs, build=scatter_sum)


@sample("wrap_index")
def _wrap_index(d: Draw, name: str) -> Sample:
    return Sample(name, (d.ints(d.shape(), -3, 3),), {"size": 3})


@sample("iota")
def _iota(d: Draw, name: str) -> Sample:
    return Sample(name, (), {"size": d.int(0, 4), "step": d.int(1, 3)})


@sample("index_add")
def _index_add(d: Draw, name: str) -> Sample:
    shape, size = d.shape(1), d.int(1, 3)
    dim = d.dim(len(shape))
    return Sample(name, (d.reals(shape), d.ints((shape[dim],), 0, size)), {"dim": dim, "size": size})


@sample("index")
def _index(d: Draw, name: str) -> Sample:
    shape = d.shape(1, smallest=1)
    count = d.int(1, min(2, len(shape)))
    positions = tuple(sorted(d.draw(st.permutations(range(len(shape))))[:count]))
    shapes = d.draw(
        mutually_broadcastable_shapes(num_shapes=count, min_dims=1, max_dims=2, max_side=3)
    ).input_shapes
    indices = [d.ints(s, -shape[p], shape[p]) for s, p in zip(shapes, positions, strict=True)]
    return Sample(name, (d.reals(shape), *indices), {"positions": positions})


@sample("index_put_add")
def _index_put_add(d: Draw, name: str) -> Sample:
    made = _index(d, "index")
    whole = made.operands[0]()
    values = OPERATORS["index"].run(whole, *[i() for i in made.operands[1:]], **made.attrs)
    return Sample(
        name, (d.reals(values.shape), *made.operands[1:]), {**made.attrs, "shape": tuple(whole.shape)}
    )


@sample("gather")
def _gather(d: Draw, name: str) -> Sample:
    shape = d.shape(1, smallest=1)
    dim = d.dim(len(shape))
    index = [d.int(0, n) for n in shape]
    index[dim] = d.int(0, 4)
    return Sample(name, (d.reals(shape), d.ints(index, 0, shape[dim])), {"dim": dim})


@sample("gather_add")
def _gather_add(d: Draw, name: str) -> Sample:
    made = _gather(d, "gather")
    x, i = (m() for m in made.operands)
    return Sample(name, (d.reals(i.shape), made.operands[1]), {**made.attrs, "shape": tuple(x.shape)})


# ---------------------------------------------------------------- matrices


def _batched(d: Draw, *cores: tuple[int, ...]) -> list[tuple[int, ...]]:
    leads = d.draw(
        mutually_broadcastable_shapes(num_shapes=len(cores), min_dims=0, max_dims=2, min_side=0, max_side=2)
    ).input_shapes
    return [lead + core if len(core) == 2 else core for lead, core in zip(leads, cores, strict=True)]


@sample("matmul")
def _matmul(d: Draw, name: str) -> Sample:
    n, k, m = d.int(0, 3), d.int(0, 3), d.int(0, 3)
    a, b = _batched(d, d.choose([(k,), (n, k)]), d.choose([(k,), (k, m)]))
    return Sample(name, (d.reals(a), d.reals(b)))


def _definite(d: Draw, shape: tuple[int, ...]) -> Make:
    def make_values() -> torch.Tensor:
        a = d.reals(shape)()
        return a @ a.mT + torch.eye(shape[-1], dtype=a.dtype)

    return make_values


@sample("cholesky")
def _cholesky(d: Draw, name: str) -> Sample:
    n = d.int(1, 3)
    return Sample(name, (_definite(d, (*d.shape(high=2, largest=2), n, n)),))


@sample("solve_triangular")
def _solve_triangular(d: Draw, name: str) -> Sample:
    n, m = d.int(1, 3), d.int(1, 2)
    a, b = _batched(d, (n, n), (n, m))
    factor = d.reals(a)
    attrs = {"upper": d.bool(), "unitriangular": d.bool()}
    return Sample(name, (lambda: factor() + 3.0 * torch.eye(n), d.reals(b)), attrs)


@sample("solve")
def _solve(d: Draw, name: str) -> Sample:
    n, m = d.int(1, 3), d.int(1, 2)
    a, b = _batched(d, (n, n), (n, m))
    matrix = d.reals(a)
    return Sample(name, (lambda: matrix() + 3.0 * torch.eye(n), d.reals(b)))


@sample("logabsdet", "detsign")
def _determinant(d: Draw, name: str) -> Sample:
    n = d.int(1, 3)
    matrix = d.reals((*d.shape(high=2, largest=2), n, n))
    sign = 3.0 if d.bool() else -3.0
    return Sample(name, (lambda: matrix() + sign * torch.eye(n),))


# ---------------------------------------------------------------- anything else


@sample("opaque")
def _opaque(d: Draw, name: str) -> Sample:
    from ppl.compiler.ops.opaque import Slot

    shape = d.shape(2, smallest=1, largest=2)[:-2]
    func = d.choose(
        [
            torch.ops.aten.linalg_matrix_exp.default,
            torch.ops.aten.special_entr.default,
            torch.ops.aten.atan.default,
        ]
    )
    return Sample(
        name, (d.reals((*shape, 2, 2), 0.1, 1.5),), {"func": func, "template": (Slot(0),), "keywords": ()}
    )


@sample("vmapped")
def _vmapped(d: Draw, name: str) -> Sample:
    shape = d.shape(2, smallest=1)
    attrs = {"op": "cumprod", "attrs": (("dim", -1),), "levels": ((0,),)}
    return Sample(name, (d.reals(shape),), attrs)
