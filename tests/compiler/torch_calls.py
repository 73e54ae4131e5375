"""torch as people write it: calls that a program may make on random values, and arguments for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Make = Callable[[], torch.Tensor]


def R(*shape: int, low: float = -2.0, high: float = 2.0) -> Make:
    return lambda: torch.rand(shape) * (high - low) + low


def P(*shape: int) -> Make:
    return R(*shape, low=0.3, high=3.0)


def U(*shape: int) -> Make:
    return R(*shape, low=0.05, high=0.95)


def Z(n: int, *shape: int) -> Make:
    return lambda: torch.randint(0, n, shape)


def B(*shape: int) -> Make:
    return lambda: torch.rand(shape) < 0.5


def S(*shape: int) -> Make:
    """Symmetric, positive definite."""

    def make() -> torch.Tensor:
        a = torch.randn(*shape, shape[-1])
        return a @ a.mT + torch.eye(shape[-1])

    return make


def W(*shape: int) -> torch.Tensor:
    """A fixed real tensor: data of the program, not an argument."""
    return torch.linspace(-1.0, 1.0, torch.Size(shape).numel()).reshape(shape) + 0.05


def symmetric(x: torch.Tensor) -> torch.Tensor:
    return (x + x.mT) / 2


def seeded(net: nn.Module) -> nn.Module:
    """Weights that are the same every time; a network is made outside the program."""
    generator = torch.Generator().manual_seed(1)
    for p in net.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=torch.float64)
    return net.double()


MLP = seeded(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)))
GRU = seeded(nn.GRUCell(3, 2))
LSTM = seeded(nn.LSTMCell(3, 2))


def _functional(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.func.functional_call(MLP, {"0.weight": weight}, (x,))


def _fresh(x: torch.Tensor) -> torch.Tensor:
    y = x * 2
    y += x.exp()
    y.mul_(x).clamp_(-1.0, 3.0)
    return y


def _accumulate(x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(())
    for i in range(x.shape[0]):
        total = total + x[i] * i
    return total


WEIGHT = torch.tensor([0.5, 2.0, 1.0])

CALLS: dict[str, tuple[Callable[..., Any], tuple[Make, ...]]] = {
    # contractions
    "einsum ij,jk": (lambda a, b: torch.einsum("ij,jk->ik", a, b), (R(2, 3), R(3, 4))),
    "einsum bij,bj": (lambda a, b: torch.einsum("bij,bj->bi", a, b), (R(2, 3, 4), R(2, 4))),
    "einsum trace": (lambda a: torch.einsum("ii->", a), (R(3, 3),)),
    "einsum outer": (lambda a, b: torch.einsum("i,j->ij", a, b), (R(3), R(2))),
    "einsum three": (lambda a, b, c: torch.einsum("i,ij,j->", a, b, c), (R(3), R(3, 2), R(2))),
    "matmul vv": (lambda a, b: a @ b, (R(3), R(3))),
    "matmul mv": (lambda a, b: a @ b, (R(2, 3), R(3))),
    "matmul vm": (lambda a, b: a @ b, (R(3), R(3, 2))),
    "shape of matmul vm": (lambda a, b: torch.ones((a @ b).shape) * (a @ b), (R(3), R(3, 2))),
    "matmul mm": (lambda a, b: a @ b, (R(2, 3), R(3, 4))),
    "matmul bmm": (lambda a, b: a @ b, (R(2, 2, 3), R(2, 3, 4))),
    "matmul b-m": (lambda a, b: a @ b, (R(2, 2, 3), R(3, 4))),
    "matmul m-b": (lambda a, b: a @ b, (R(2, 3), R(2, 3, 4))),
    "matmul broadcast": (lambda a, b: a @ b, (R(2, 1, 2, 3), R(3, 3, 2))),
    "matmul bv": (lambda a, b: a @ b, (R(2, 2, 3), R(3))),
    "matmul vb": (lambda a, b: a @ b, (R(3), R(2, 3, 2))),
    "matmul data": (lambda b: W(4, 3) @ b, (R(3),)),
    "bmm": (torch.bmm, (R(2, 2, 3), R(2, 3, 2))),
    "dot": (torch.dot, (R(3), R(3))),
    "outer": (torch.outer, (R(3), R(2))),
    "kron": (torch.kron, (R(2, 2), R(2, 1))),
    "tensordot": (lambda a, b: torch.tensordot(a, b, dims=([1], [0])), (R(2, 3), R(3, 2))),
    "addmm": (lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2.0), (R(2, 4), R(2, 3), R(3, 4))),
    "baddbmm": (torch.baddbmm, (R(2, 2, 4), R(2, 2, 3), R(2, 3, 4))),
    "linear": (F.linear, (R(2, 3), R(4, 3), R(4))),
    "bilinear": (F.bilinear, (R(2, 3), R(2, 2), R(4, 3, 2))),
    "cross": (lambda a, b: torch.linalg.cross(a, b), (R(2, 3), R(2, 3))),
    "cdist": (torch.cdist, (R(3, 2), R(4, 2))),
    "chain_matmul": (lambda a, b, c: torch.linalg.multi_dot([a, b, c]), (R(2, 3), R(3, 4), R(4, 2))),
    # pointwise
    "softplus": (F.softplus, (R(3),)),
    "gelu": (F.gelu, (R(3),)),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), (R(3),)),
    "silu": (F.silu, (R(3),)),
    "elu": (F.elu, (R(3),)),
    "selu": (F.selu, (R(3),)),
    "leaky_relu": (F.leaky_relu, (R(3),)),
    "hardtanh": (F.hardtanh, (R(3),)),
    "softsign": (F.softsign, (R(3),)),
    "mish": (F.mish, (R(3),)),
    "logsigmoid": (F.logsigmoid, (R(3),)),
    "relu6": (F.relu6, (R(3),)),
    "prelu": (lambda x, w: F.prelu(x, w), (R(2, 3), R(1))),
    "where": (lambda x, y: torch.where(x > y, x, y * 2), (R(3), R(2, 3))),
    "where scalar": (lambda x: torch.where(x > 0, x, 0.0), (R(3),)),
    "clamp": (lambda x: x.clamp(-1.0, 1.0), (R(3),)),
    "clamp tensors": (lambda x, a: torch.clamp(x, min=-a.abs(), max=a.abs()), (R(3), R(3))),
    "clamp min tensor": (lambda x, a: x.clamp(min=a), (R(3), R(3))),
    "clamp max": (lambda x: x.clamp(max=0.5), (R(3),)),
    "maximum": (torch.maximum, (R(3), R(3))),
    "fmax": (torch.fmax, (R(3), R(3))),
    "lerp": (lambda a, b: torch.lerp(a, b, 0.3), (R(3), R(3))),
    "lerp weight": (torch.lerp, (R(3), R(3), U(3))),
    "addcmul": (lambda a, b, c: torch.addcmul(a, b, c, value=0.5), (R(3), R(3), R(3))),
    "addcdiv": (lambda a, b, c: torch.addcdiv(a, b, c, value=0.5), (R(3), R(3), P(3))),
    "pow number": (lambda x: x**3 + x**-1 + x**0.5, (P(3),)),
    "pow base": (lambda x: 2.0**x, (R(3),)),
    "pow tensor": (lambda x, y: x**y, (P(3), R(3))),
    "rsub": (lambda x: 1 - x, (R(3),)),
    "rdiv": (lambda x: 1 / x, (P(3),)),
    "floordiv": (lambda x: (x.detach() // 0.7) * x, (R(3),)),
    "mod": (lambda x: x % 0.7, (R(3),)),
    "div trunc": (lambda x: torch.div(x, 0.7, rounding_mode="trunc") + x, (R(3),)),
    "frac": (torch.frac, (R(3),)),
    "round decimals": (lambda x: torch.round(x, decimals=1) * x, (R(3),)),
    "nan_to_num": (lambda x: torch.nan_to_num(x / x.abs(), nan=0.0), (R(3),)),
    "copysign": (torch.copysign, (R(3), R(3))),
    "square": (torch.square, (R(3),)),
    "signbit": (lambda x: torch.signbit(x) * x, (R(3),)),
    "isfinite": (lambda x: torch.isfinite(x) & (x > 0), (R(3),)),
    "isclose": (lambda x: torch.isclose(x, x + 1e-12), (R(3),)),
    "dropout off": (lambda x: F.dropout(x, 0.5, training=False), (R(3),)),
    # special functions
    "gammaln": (torch.special.gammaln, (P(3),)),
    "lgamma": (torch.lgamma, (P(3),)),
    "mvlgamma": (lambda x: torch.mvlgamma(x + 2, 2), (P(3),)),
    "digamma": (torch.digamma, (P(3),)),
    "polygamma": (lambda x: torch.polygamma(1, x), (P(3),)),
    "i0": (torch.special.i0, (R(3),)),
    "i0e": (torch.special.i0e, (R(3),)),
    "i1": (torch.special.i1, (R(3),)),
    "i1e": (torch.special.i1e, (R(3),)),
    "erf": (torch.erf, (R(3),)),
    "erfcx": (torch.special.erfcx, (R(3),)),
    "erfinv": (torch.erfinv, (R(3, low=-0.9, high=0.9),)),
    "ndtr": (torch.special.ndtr, (R(3),)),
    "ndtri": (torch.special.ndtri, (U(3),)),
    "log_ndtr": (torch.special.log_ndtr, (R(3),)),
    "xlogy": (torch.xlogy, (P(3), P(3))),
    "xlog1py": (torch.special.xlog1py, (R(3), P(3))),
    "entr": (torch.special.entr, (P(3),)),
    "sinc": (torch.sinc, (R(3),)),
    "logit": (torch.logit, (U(3),)),
    "logit eps": (lambda x: torch.logit(x, eps=0.2), (U(3),)),
    "expit": (torch.special.expit, (R(3),)),
    "expm1": (torch.special.expm1, (R(3),)),
    "hypot": (torch.hypot, (R(3), R(3))),
    "atan2": (torch.atan2, (R(3), R(3))),
    "logaddexp": (torch.logaddexp, (R(3), R(2, 3))),
    "logaddexp2": (torch.logaddexp2, (R(3), R(3))),
    "deg2rad": (torch.deg2rad, (R(3),)),
    # reductions
    "sum": (lambda x: x.sum(), (R(2, 3),)),
    "sum dims": (lambda x: x.sum((0, -1), keepdim=True), (R(2, 3, 2),)),
    "mean": (lambda x: x.mean(-1), (R(2, 3),)),
    "mean all": (torch.mean, (R(2, 3),)),
    "var": (lambda x: x.var(), (R(4),)),
    "var dims": (lambda x: torch.var(x, dim=(0, 2), correction=0), (R(2, 3, 2),)),
    "std": (lambda x: x.std(0, keepdim=True), (R(3, 2),)),
    "var_mean": (lambda x: torch.var_mean(x, dim=-1), (R(2, 3),)),
    "std_mean": (lambda x: torch.std_mean(x, dim=-1), (R(2, 3),)),
    "norm at zero": (lambda x: (x * 0.0).norm() + x.sum(), (R(3),)),
    "norm": (lambda x: x.norm(), (R(3),)),
    "vector_norm 1": (lambda x: torch.linalg.vector_norm(x, 1, dim=-1), (R(2, 3),)),
    "vector_norm 3": (lambda x: torch.linalg.vector_norm(x, 3), (R(2, 3),)),
    "vector_norm inf": (lambda x: torch.linalg.norm(x, float("inf")), (R(3),)),
    "matrix_norm": (lambda x: torch.linalg.matrix_norm(x), (R(2, 3),)),
    "normalize": (lambda x: F.normalize(x, dim=-1), (R(2, 3),)),
    "cosine_similarity": (F.cosine_similarity, (R(2, 3), R(2, 3))),
    "logsumexp": (lambda x: x.logsumexp(-1), (R(2, 3),)),
    "logsumexp 0-d": (lambda x: torch.logsumexp(x, 0), (R(),)),
    "prod": (lambda x: x.prod(), (R(4),)),
    "prod dim": (lambda x: x.prod(0, keepdim=True), (R(3, 2),)),
    "max": (lambda x: x.max(), (R(2, 3),)),
    "max dim": (lambda x: x.max(dim=-1), (R(2, 3),)),
    "min dim 0-d": (lambda x: x.min(dim=0).values, (R(),)),
    "amax": (lambda x: x.amax((0, 1)), (R(2, 3),)),
    "aminmax": (lambda x: tuple(torch.aminmax(x)), (R(3),)),
    "median": (lambda x: x.median(), (R(5),)),
    "argmax": (lambda x: x.argmax(-1), (R(2, 3),)),
    "argmax all": (lambda x: x.argmax(), (R(2, 3),)),
    "argmin keepdim": (lambda x: x.argmin(0, keepdim=True), (R(2, 3),)),
    "any all": (lambda x: (x > 0).any() & (x < 5).all(-1), (R(2, 3),)),
    "count_nonzero": (lambda x: (x > 0).sum(-1) * 1.0 + x.sum(), (R(2, 3),)),
    "nansum": (torch.nansum, (R(3),)),
    "trace": (torch.trace, (R(3, 3),)),
    "cumsum": (lambda x: x.cumsum(-1), (R(2, 3),)),
    "cumsum 0-d": (lambda x: torch.cumsum(x, 0), (R(),)),
    "cumprod": (lambda x: x.cumprod(0), (R(3, 2),)),
    "logcumsumexp": (lambda x: torch.logcumsumexp(x, -1), (R(2, 3),)),
    "cummax": (lambda x: torch.cummax(x, -1).values, (R(2, 3),)),
    "diff": (torch.diff, (R(4),)),
    "softmax": (lambda x: x.softmax(-1), (R(2, 3),)),
    "softmax 0-d": (lambda x: torch.softmax(x, 0) * x, (R(),)),
    "log_softmax": (lambda x: F.log_softmax(x, 0), (R(2, 3),)),
    "softmin": (lambda x: F.softmin(x, -1), (R(2, 3),)),
    "sort": (lambda x: torch.sort(x, dim=0, descending=True), (R(3, 2),)),
    "sort 0-d": (lambda x: torch.sort(x).values, (R(),)),
    "argsort": (lambda x: torch.argsort(x, -1), (R(2, 3),)),
    "topk": (lambda x: torch.topk(x, 2), (R(2, 4),)),
    "kthvalue": (lambda x: torch.kthvalue(x, 2).values, (R(4),)),
    "quantile": (lambda x: torch.quantile(x, 0.3), (R(5),)),
    "searchsorted": (lambda x: torch.searchsorted(torch.tensor([-1.0, 0.0, 1.0]), x), (R(3),)),
    "bucketize": (lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.0, 1.0])), (R(3),)),
    # losses
    "cross_entropy": (lambda x: F.cross_entropy(x, torch.tensor([0, 2])), (R(2, 3),)),
    "cross_entropy traced": (lambda x, y: F.cross_entropy(x, y, reduction="none"), (R(2, 3), Z(3, 2))),
    "nll_loss": (
        lambda x: F.nll_loss(F.log_softmax(x, -1), torch.tensor([0, 2]), reduction="sum"),
        (R(2, 3),),
    ),
    "bce logits": (lambda x: F.binary_cross_entropy_with_logits(x, torch.tensor([0.0, 1.0, 1.0])), (R(3),)),
    "bce logits weighted": (
        lambda x: F.binary_cross_entropy_with_logits(
            x, torch.tensor([0.0, 1.0, 1.0]), WEIGHT, pos_weight=WEIGHT, reduction="none"
        ),
        (R(3),),
    ),
    "bce": (lambda x: F.binary_cross_entropy(x, torch.tensor([0.0, 1.0, 1.0])), (U(3),)),
    "mse": (lambda x, y: F.mse_loss(x, y), (R(3), R(3))),
    "huber": (lambda x: F.huber_loss(x, torch.zeros(3)), (R(3),)),
    "smooth_l1": (lambda x: F.smooth_l1_loss(x, torch.zeros(3)), (R(3),)),
    "kl_div": (lambda x: F.kl_div(F.log_softmax(x, -1), torch.full((3,), 1 / 3), reduction="sum"), (R(3),)),
    "poisson_nll": (lambda x: F.poisson_nll_loss(x, torch.tensor([1.0, 0.0, 2.0])), (R(3),)),
    "gaussian_nll": (lambda x, v: F.gaussian_nll_loss(x, torch.zeros(3), v), (R(3), P(3))),
    # indexing
    "select": (lambda x: x[1], (R(3, 2),)),
    "slices": (lambda x: x[:, ::2] + x[-1, 1:2], (R(2, 3),)),
    "newaxis": (lambda x: x[1, :, None] * x[None, 0], (R(2, 3),)),
    "ellipsis": (lambda x: x[..., 0], (R(2, 3, 2),)),
    "advanced": (lambda x: x[torch.tensor([0, 0, 1]), torch.tensor([2, 1, 0])], (R(2, 3),)),
    "advanced one": (lambda x: x[:, torch.tensor([2, 0])], (R(2, 3),)),
    "advanced apart": (lambda x: x[torch.tensor([0, 1]), :, torch.tensor([1, 0])], (R(2, 3, 2),)),
    "list index": (lambda x: x[[1, 0, 1]], (R(2, 3),)),
    "mask": (lambda x: x[torch.tensor([True, False, True])] * 2, (R(3),)),
    "mask 2-d": (lambda x: x[torch.tensor([[True, False], [True, True]])], (R(2, 2),)),
    "mask second": (lambda x: x[:, torch.tensor([True, False, True])], (R(2, 3),)),
    "traced index": (lambda x, i: x[i], (R(3, 2), Z(3))),
    "traced indices": (lambda x, i: x[i], (R(3, 2), Z(3, 4))),
    "traced pair": (lambda x, i, j: x[i, j], (R(3, 2), Z(3), Z(2))),
    "traced pairs": (lambda x, i, j: x[i, j], (R(3, 2), Z(3, 4), Z(2, 4))),
    "traced second": (lambda x, i: x[:, i], (R(2, 3), Z(3))),
    "traced and slice": (lambda x, i: x[i, 1:, None], (R(2, 3), Z(2))),
    "traced ellipsis": (lambda x, i: x[..., i], (R(2, 3), Z(3))),
    "traced and vector": (lambda x, i: x[i, torch.tensor([0, 2])], (R(2, 3), Z(2))),
    "traced and mask": (lambda x, i: x[i, torch.tensor([True, False, True])], (R(2, 3), Z(2))),
    "data at traced": (lambda i: W(5)[i], (Z(5),)),
    "data at traced pairs": (lambda i: W(4, 5)[i, i + 1], (Z(4, 2),)),
    "gather": (lambda x, i: torch.gather(x, 1, i), (R(2, 3), Z(3, 2, 2))),
    "take_along_dim": (lambda x, i: torch.take_along_dim(x, i, 1), (R(2, 3), Z(3, 2, 2))),
    "take": (lambda x, i: torch.take(x, i), (R(2, 3), Z(6, 4))),
    "index_select": (lambda x, i: torch.index_select(x, 1, i), (R(2, 3), Z(3, 4))),
    "index_add": (lambda x, i: torch.zeros(4, 2).index_add(0, i, x), (R(3, 2), Z(4, 3))),
    "index_fill": (lambda x, v: x.index_fill(1, torch.tensor([0, 2]), v), (R(2, 3), R())),
    "index_fill number": (lambda x: x.index_fill(0, torch.tensor([1]), 2.0), (R(2, 3),)),
    "index_put": (lambda x, v: x.index_put((torch.tensor([0, 2]),), v), (R(3, 2), R(2, 2))),
    "scatter": (lambda x, v: x.scatter(1, torch.tensor([[0], [2]]), v), (R(2, 3), R(2, 1))),
    "scatter_add": (lambda x, i: torch.zeros(2, 4).scatter_add(1, i, x), (R(2, 3), Z(4, 2, 3))),
    "scatter_reduce": (
        lambda x: torch.zeros(2).scatter_reduce(0, torch.tensor([0, 1, 0]), x, "sum"),
        (R(3),),
    ),
    "select_scatter": (lambda x, v: x.select_scatter(v, 0, 1), (R(2, 3), R(3))),
    "slice_scatter": (lambda x, v: x.slice_scatter(v, 1, 1, 3), (R(2, 3), R(2, 2))),
    "diagonal_scatter": (lambda x, v: x.diagonal_scatter(v), (R(3, 3), R(3))),
    "masked_fill": (lambda x: x.masked_fill(x > 0, -1.0), (R(3),)),
    "masked_fill mask": (lambda x, m: x.masked_fill(m, 0.0), (R(3), B(3))),
    "embedding": (F.embedding, (Z(4, 3), R(4, 2))),
    "one_hot": (lambda i: F.one_hot(i, 4), (Z(4, 3),)),
    "one_hot times": (lambda i, x: (F.one_hot(i, num_classes=3) * x).sum(-1), (Z(3, 2), R(2, 3))),
    "iteration": (lambda x: sum(row.exp() * (k + 1) for k, row in enumerate(x)), (R(3, 2),)),
    "unpacking": (lambda x: torch.stack([x.unbind(-1)[1], x.unbind(-1)[0]]), (R(2, 2),)),
    # views and joins
    "stack": (lambda x, y: torch.stack([x, y, x], dim=-1), (R(3), R(3))),
    "cat": (lambda x, y: torch.cat([x, y], -1), (R(2, 3), R(2, 1))),
    "cat data": (lambda x: torch.cat([torch.zeros(1), x]), (R(3),)),
    "split": (lambda x: torch.split(x, 2, -1)[1], (R(2, 5),)),
    "split sizes": (lambda x: x.split([1, 3], 0)[1], (R(4),)),
    "chunk": (lambda x: x.chunk(2, -1)[1].exp(), (R(2, 5),)),
    "tensor_split": (lambda x: torch.tensor_split(x, 3)[0], (R(5),)),
    "hstack": (lambda x, y: torch.hstack([x, y]), (R(2), R(3))),
    "vstack": (lambda x, y: torch.vstack([x, y]), (R(3), R(3))),
    "column_stack": (lambda x, y: torch.column_stack([x, y]), (R(3), R(3))),
    "reshape": (lambda x: x.reshape(3, -1), (R(2, 3),)),
    "view flatten": (lambda x: x.view(-1) + x.flatten(), (R(2, 3),)),
    "unflatten": (lambda x: x.unflatten(-1, (2, 2)), (R(3, 4),)),
    "transpose": (lambda x: x.transpose(0, -1), (R(2, 3, 4),)),
    "T mT": (lambda x: x.T @ x + (x.mT @ x), (R(2, 3),)),
    "permute": (lambda x: x.permute(2, 0, 1), (R(2, 3, 4),)),
    "movedim": (lambda x: x.movedim(0, -1), (R(2, 3, 4),)),
    "squeeze": (lambda x: x.squeeze(), (R(2, 1, 3),)),
    "unsqueeze": (lambda x: x.unsqueeze(-1).unsqueeze(0), (R(2),)),
    "expand": (lambda x: x.expand(3, -1), (R(2),)),
    "expand_as": (lambda x, y: x.expand_as(y) * y, (R(2), R(3, 2))),
    "broadcast_to": (lambda x: torch.broadcast_to(x, (3, 2)), (R(2),)),
    "broadcast_tensors": (lambda x, y: torch.broadcast_tensors(x, y)[0], (R(2), R(3, 1))),
    "repeat": (lambda x: x.repeat(2, 3), (R(2),)),
    "repeat_interleave": (lambda x: x.repeat_interleave(2, 0), (R(3, 2),)),
    "tile": (lambda x: x.tile(2), (R(3),)),
    "flip": (lambda x: x.flip(0), (R(3, 2),)),
    "roll": (lambda x: x.roll(1, -1), (R(2, 3),)),
    "roll all": (lambda x: torch.roll(x, 2), (R(5),)),
    "rot90": (torch.rot90, (R(2, 3),)),
    "pad": (lambda x: F.pad(x, (1, 2), value=0.5), (R(2, 3),)),
    "diag_embed off": (lambda x: torch.diag_embed(x, offset=-1, dim1=0, dim2=2), (R(2, 3),)),
    "pad cut": (lambda x: F.pad(x, (-1, 2, 1, -1)), (R(2, 3),)),
    "pad reflect": (lambda x: F.pad(x[None], (1, 1), mode="reflect")[0], (R(2, 3),)),
    "tril": (lambda x: x.tril(-1) + x.triu(), (R(3, 3),)),
    "diag": (torch.diag, (R(3),)),
    "diag of matrix": (lambda x: torch.diag(x), (R(3, 3),)),
    "diag_embed": (torch.diag_embed, (R(2, 3),)),
    "diagonal": (lambda x: x.diagonal(dim1=-2, dim2=-1), (R(2, 3, 3),)),
    "unfold": (lambda x: x.unfold(0, 2, 1), (R(5),)),
    "meshgrid": (lambda x, y: torch.meshgrid(x, y, indexing="ij")[0], (R(2), R(3))),
    "cartesian_prod": (torch.cartesian_prod, (R(2), R(3))),
    "block_diag": (torch.block_diag, (R(2, 2), R(1, 2))),
    "vander": (lambda x: torch.linalg.vander(x, N=3), (R(3),)),
    "swapaxes": (lambda x: x.swapaxes(0, 1), (R(2, 3),)),
    "ravel": (torch.ravel, (R(2, 2),)),
    "atleast_2d": (torch.atleast_2d, (R(3),)),
    # networks
    "mlp": (MLP, (R(2, 3),)),
    "functional_call": (_functional, (R(2, 3), R(4, 3))),
    "gru cell": (GRU, (R(2, 3), R(2, 2))),
    "lstm cell": (lambda x, h: LSTM(x, (h, h * 2)), (R(2, 3), R(2, 2))),
    "layer_norm": (lambda x, w: F.layer_norm(x, (3,), w), (R(2, 3), R(3))),
    "group_norm": (lambda x: F.group_norm(x, 2), (R(2, 4, 3),)),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), (R(4, 3),)),
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, padding=1), (R(2, 3, 5), R(4, 3, 3), R(4))),
    "conv2d": (lambda x, w: F.conv2d(x, w, stride=2), (R(2, 1, 4, 4), R(2, 1, 2, 2))),
    "conv_transpose1d": (lambda x, w: F.conv_transpose1d(x, w), (R(1, 2, 3), R(2, 1, 2))),
    "avg_pool": (lambda x: F.avg_pool1d(x, 2), (R(1, 2, 4),)),
    "max_pool": (lambda x: F.max_pool1d(x, 2), (R(1, 2, 4),)),
    "attention": (F.scaled_dot_product_attention, (R(1, 3, 2), R(1, 3, 2), R(1, 3, 2))),
    "glu": (F.glu, (R(2, 4),)),
    # matrices
    "cholesky": (lambda x: torch.linalg.cholesky(symmetric(x)), (S(3),)),
    "cholesky upper": (lambda x: torch.linalg.cholesky(symmetric(x), upper=True), (S(2, 3),)),
    "cholesky_solve": (
        lambda x, b: torch.cholesky_solve(b, torch.linalg.cholesky(symmetric(x))),
        (S(3), R(3, 2)),
    ),
    "cholesky_inverse": (lambda x: torch.cholesky_inverse(torch.linalg.cholesky(symmetric(x))), (S(3),)),
    "solve": (torch.linalg.solve, (S(3), R(3))),
    "solve batch": (torch.linalg.solve, (S(2, 3), R(2, 3, 2))),
    "inv": (torch.linalg.inv, (S(3),)),
    "pinv": (lambda x: torch.linalg.pinv(x), (S(3),)),
    "det": (torch.linalg.det, (S(3),)),
    "slogdet": (lambda x: torch.linalg.slogdet(x)[1], (S(2, 3),)),
    "logdet": (torch.logdet, (S(3),)),
    "eigh": (lambda x: torch.linalg.eigh(symmetric(x))[0], (S(3),)),
    "eigvalsh": (lambda x: torch.linalg.eigvalsh(symmetric(x)), (S(3),)),
    "svdvals": (lambda x: torch.linalg.svdvals(x), (R(2, 3),)),
    "solve_triangular": (
        lambda x, b: torch.linalg.solve_triangular(x.tril(), b, upper=False),
        (S(3), R(3, 2)),
    ),
    "solve_triangular right": (
        lambda x, b: torch.linalg.solve_triangular(x.triu(), b, upper=True, left=False),
        (S(3), R(2, 3)),
    ),
    "triangular_solve transposed": (
        lambda x, b: torch.triangular_solve(b, x.tril(), upper=False, transpose=True)[0],
        (S(3), R(3, 2)),
    ),
    "matrix_exp": (torch.matrix_exp, (R(2, 2),)),
    "matrix_power": (lambda x: torch.linalg.matrix_power(x, 3), (R(2, 2),)),
    # dtypes
    "float32 data": (lambda x: x * torch.tensor([0.5, 1.5], dtype=torch.float32), (R(2),)),
    "float32 number": (lambda x: x * torch.tensor(0.5, dtype=torch.float32), (R(2),)),
    "float32 value": (lambda x: x.float() * torch.tensor(0.5) + 1, (R(2),)),
    "int times float": (lambda i, x: i * x + i / 2, (Z(4, 2), R(2))),
    "int power": (lambda i: i**2 + 0.5, (Z(4, 2),)),
    "bool sum": (lambda x: (x > 0) * 2.0 + (x > 1).sum(), (R(3),)),
    "0-d times 1-d": (lambda s, x: s * x + torch.tensor(2) * s, (R(), R(3))),
    "to int": (lambda x: x.long() * x, (R(3),)),
    "type_as": (lambda i, x: i.type_as(x) * x, (Z(4, 2), R(2))),
    "bitwise": (lambda i: (i & 1) | (i ^ 3) | (i << 1), (Z(4, 3),)),
    "full_like": (lambda x: torch.full_like(x, 2.0) * x + torch.ones_like(x) + x.new_zeros(3), (R(3),)),
    "new_tensor": (lambda x: x * x.new_tensor([1.0, 2.0]), (R(2),)),
    "arange": (lambda x: x * torch.arange(3) + torch.linspace(0, 1, 3), (R(3),)),
    "stack numbers": (lambda x: torch.stack([x, torch.tensor(1.0), x * 2]), (R(),)),
    # in place
    "in place": (_fresh, (R(3),)),
    "running total": (_accumulate, (R(3),)),
    "detach": (lambda x: x * x.detach(), (R(3),)),
}
