"""The functions of the language on tensors. `functions.py` has their names and types; this loads torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ppl.errors import DataError, user_mark
from ppl.language.gfi import log_density, score, simulate
from ppl.language.marginals import importance, marginal, normalize
from ppl.language.primitives import assume_continuous
from ppl.syntax.runtime import as_tensor, counted, of_one_kind


def _real(f: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`f` of numbers and whole numbers too."""

    def apply(*arguments: Any) -> Tensor:
        held = [as_tensor(a) for a in arguments]
        return f(*(h if h.is_floating_point() else h.to(torch.float64) for h in held))

    return apply


def _reduced(f: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction: over everything, or over one axis (`sum(x, axis=0)`)."""

    def apply(x: Any, axis: int | None = None) -> Any:
        held = as_tensor(x)
        return f(held) if axis is None else f(held, axis)

    return apply


def _over(f: Callable[..., Any], *, last: bool = True) -> Callable[..., Any]:
    """A function along an axis, the last if none is given."""

    def apply(x: Any, axis: int = -1) -> Any:
        return f(as_tensor(x), axis)

    return apply


def _extreme(
    pair: Callable[..., Any], reduce: Callable[..., Any], along: Callable[..., Any]
) -> Callable[..., Any]:
    def apply(x: Any, *others: Any, axis: int | None = None) -> Any:
        if others:
            result = as_tensor(x)
            for other in others:
                result = pair(*of_one_kind(result, as_tensor(other)))
            return result
        return reduce(as_tensor(x)) if axis is None else along(as_tensor(x), axis)

    return apply


def _float(x: Any) -> Tensor:
    held = as_tensor(x)
    return held if held.is_floating_point() else held.to(torch.float64)


def log_sum_exp(x: Any, axis: int | None = None) -> Tensor:
    held = _float(x)
    return torch.logsumexp(held, tuple(range(held.dim())) if axis is None else axis)


def log_mean_exp(x: Any, axis: int | None = None) -> Tensor:
    held = _float(x)
    count = held.numel() if axis is None else held.shape[axis]
    return log_sum_exp(held, axis) - math.log(count)


def size(x: Any, axis: int | None = None) -> int:
    held = as_tensor(x)
    return int(held.shape[axis]) if axis is not None else int(held.shape[0])


def _filled(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *sizes: make(_shape(sizes), dtype=torch.float64)


def _shape(sizes: Sequence[Any]) -> tuple[int, ...]:
    whole = tuple(map(_whole, sizes))
    counted(math.prod(whole))
    return whole


def _whole(size: Any) -> int:
    number = float(size)
    if number % 1:
        raise DataError("a size is a whole number", where=user_mark(2), expected="0, 1, 2, …", found=f"{number:g}",
                        edit="a // b, or floor(…)")  # fmt: skip
    return int(size)


_POINTWISE = (
    "exp", "log", "log1p", "expm1", "exp2", "log2", "log10", "sqrt", "rsqrt", "square", "reciprocal", "sign", "floor",
    "ceil", "round", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh",
    "atanh", "sigmoid", "logit", "relu", "erf", "erfc", "lgamma", "digamma",
)  # fmt: skip

FUNCTIONS: dict[str, Any] = {
    **{name: _real(getattr(torch, name)) for name in _POINTWISE},
    "abs": lambda x: torch.abs(as_tensor(x)),
    "softplus": _real(torch.nn.functional.softplus),
    "log_sigmoid": _real(torch.nn.functional.logsigmoid),
    "Phi": _real(torch.special.ndtr),
    "inv_Phi": _real(torch.special.ndtri),
    "lbeta": _real(lambda a, b: torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)),
    "log_diff_exp": _real(lambda a, b: a + torch.log(-torch.expm1(b - a))),
    "log_add_exp": _real(torch.logaddexp),
    "log1m": _real(lambda x: torch.log1p(-x)),
    "softmax": _over(torch.softmax),
    "log_softmax": _over(torch.log_softmax),
    "cumsum": _over(torch.cumsum),
    "cumprod": _over(torch.cumprod),
    "sort": lambda x: torch.sort(as_tensor(x)).values,
    "sum": _reduced(torch.sum),
    "mean": _reduced(lambda x, *a: torch.mean(_float(x), *a)),
    "prod": _reduced(torch.prod),
    "var": _reduced(lambda x, *a: torch.var(_float(x), *a)),
    "sd": _reduced(lambda x, *a: torch.std(_float(x), *a)),
    "any": _reduced(torch.any),
    "all": _reduced(torch.all),
    "min": _extreme(torch.minimum, torch.amin, torch.amin),
    "max": _extreme(torch.maximum, torch.amax, torch.amax),
    "log_sum_exp": log_sum_exp,
    "log_mean_exp": log_mean_exp,
    "size": size,
    "dot": lambda a, b: (as_tensor(a) * as_tensor(b)).sum(-1),
    "norm": _real(torch.linalg.vector_norm),
    "outer": _real(torch.outer),
    "matmul": _real(torch.matmul),
    "transpose": lambda x: as_tensor(x).mT if as_tensor(x).dim() > 1 else as_tensor(x),
    "inverse": _real(torch.linalg.inv),
    "solve": _real(torch.linalg.solve),
    "cholesky": _real(torch.linalg.cholesky),
    "triangular_solve": lambda a, b, upper=False: _triangular(a, b, upper),
    "log_det": _real(torch.logdet),
    "det": _real(torch.linalg.det),
    "diag": _real(torch.diag),
    "trace": _real(torch.trace),
    "zeros": _filled(torch.zeros),
    "ones": _filled(torch.ones),
    "full": lambda value, *sizes: as_tensor(value).expand(_shape(sizes)),
    "eye": lambda n: torch.eye(_shape((n, n))[0], dtype=torch.float64),
    "arange": lambda *ends: torch.arange(*(_whole(counted(e)) for e in ends)),
    "linspace": lambda a, b, n: torch.linspace(float(a), float(b), _whole(counted(n)), dtype=torch.float64),
    "stack": lambda *parts: torch.stack([as_tensor(p) for p in parts]),
    "concat": lambda *parts, axis=0: torch.cat([as_tensor(p) for p in parts], axis),
    "reshape": lambda x, *sizes: as_tensor(x).reshape(tuple(map(_whole, sizes))),
    "clip": lambda x, lower, upper: torch.clamp(as_tensor(x), lower, upper),
    "where": lambda test, a, b: torch.where(test, as_tensor(a), as_tensor(b)),
    "stop_gradient": lambda x: as_tensor(x).detach(),
    "assume_continuous": assume_continuous,
    "simulate": simulate,
    "log_density": log_density,
    "score": score,
    "log_prob": lambda d, x: d.log_prob(as_tensor(x)),
    "marginal": marginal,
    "normalize": normalize,
    "importance": importance,
    "condition": lambda b, **values: b.condition(values),
}  # fmt: skip


def _triangular(a: Any, b: Any, upper: bool) -> Tensor:
    held = _float(b)
    column = held.dim() == 1
    solved = torch.linalg.solve_triangular(_float(a), held.unsqueeze(-1) if column else held, upper=upper)
    return solved.squeeze(-1) if column else solved
