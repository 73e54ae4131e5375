"""The maps that flow guides are made of: each gives its value and the log-determinant of its Jacobian.

Networks are params of the guide; at their starting values couplings and autoregressions are the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ppl.language.primitives import param

__all__ = ["autoregressive", "masked_autoregressive", "network", "planar", "soft_clamp", "spline", "spread"]

_EDGE = 5.0
"""Splines act on (−5, 5), where practically all of a standard normal lies, and are the identity outside."""

_LEAST = 1e-3
"""The least share of a bin in that interval: slopes stay finite."""


def spread(*shape: int) -> Tensor:
    """Fixed numbers between −1 and 1 without a pattern, to start weights at: sin(n²).

    >>> int(torch.linalg.matrix_rank(spread(6, 5)))
    5
    """
    return torch.sin(torch.arange(1.0, math.prod(shape) + 1.0) ** 2).reshape(shape)


def soft_clamp(log_scale: Tensor, limit: float = 3.0) -> Tensor:
    """limit · tanh(x / limit): nearly x for small x, and never beyond the limit, so that no layer scales by more than
    e³ however far a step of the optimiser goes.

    >>> soft_clamp(torch.tensor([0.0, 100.0]))
    tensor([0., 3.])
    """
    return limit * torch.tanh(log_scale / limit)


def network(name: str, x: Tensor, hidden: int, outputs: int) -> Tensor:
    """A perceptron of one hidden layer, [n] → [outputs]; it starts at 0. Params: `name.weight_1` and so on."""
    first = param(f"{name}.weight_1", spread(hidden, len(x)) / math.sqrt(len(x)))
    last = param(f"{name}.weight_2", torch.zeros(outputs, hidden))
    inside = torch.tanh(first @ x + param(f"{name}.bias_1", torch.zeros(hidden)))
    return last @ inside + param(f"{name}.bias_2", torch.zeros(outputs))


def autoregressive(name: str, z: Tensor, hidden: int) -> tuple[Tensor, Tensor]:
    """x_i = m_i + exp(s_i) z_i with m_i and s_i computed of z_1 … z_{i−1} by a masked perceptron.

    Source: Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016); masks:
    Germain et al., "MADE" (2015).
    """
    shift, log_scale = _conditioner(name, z, hidden)(z)
    return shift + log_scale.exp() * z, log_scale.sum()


def masked_autoregressive(name: str, z: Tensor, hidden: int) -> tuple[Tensor, Tensor]:
    """x_i = m_i + exp(s_i) z_i with m_i and s_i computed of x_1 … x_{i−1}, one coordinate after the other.

    Source: Papamakarios, Pavlakou & Murray, "Masked autoregressive flow for density estimation" (2017).
    """
    conditioner = _conditioner(name, z, hidden)
    x, log_det = torch.zeros_like(z), torch.zeros_like(z[0])
    for i in range(len(z)):
        shift, log_scale = conditioner(x)
        x = torch.cat([x[:i], (shift[i] + log_scale[i].exp() * z[i]).reshape(1), x[i + 1 :]])
        log_det = log_det + log_scale[i]
    return x, log_det


def _conditioner(name: str, z: Tensor, hidden: int) -> Callable[[Tensor], list[Tensor]]:
    """A masked perceptron: from x, [n], to shifts and log scales whose i-th entries know x_1 … x_{i−1} only."""
    n = len(z)
    inputs = torch.arange(n)
    units = torch.arange(hidden) % max(n - 1, 1)  # unit u sees the inputs up to its own number
    seen = (inputs <= units.unsqueeze(-1)).to(z.dtype)
    used = (units < inputs.unsqueeze(-1)).to(z.dtype)
    first = seen * param(f"{name}.weight_1", spread(hidden, n) / math.sqrt(n))
    bias = param(f"{name}.bias_1", torch.zeros(hidden))
    last = [
        (
            used * param(f"{name}.{part}_weight", torch.zeros(n, hidden)),
            param(f"{name}.{part}_bias", torch.zeros(n)),
        )
        for part in ("shift", "log_scale")
    ]

    def conditioner(x: Tensor) -> list[Tensor]:
        inside = torch.tanh(first @ x + bias)
        shift, log_scale = (weight @ inside + b for weight, b in last)
        return [shift, soft_clamp(log_scale)]

    return conditioner


def planar(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """x = z + û tanh(wᵀz + b), with û the vector nearest to `u` along w for which wᵀû > −1, so that it can be undone.

    Source: Rezende & Mohamed, "Variational inference with normalizing flows" (2015), section 4.1 and appendix A.1.

    >>> zero = torch.zeros(2)
    >>> planar(zero, torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]), torch.tensor(0.0))[1].exp() > 0
    tensor(True)
    """
    along = w @ u
    u = u + (F.softplus(along) - 1.0 - along) * w / (w @ w)
    inside = torch.tanh(w @ z + b)
    return z + u * inside, torch.log1p((1.0 - inside**2) * (w @ u))


def spline(x: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
    """A monotone rational-quadratic spline for each entry of x, [n], the identity outside of (−5, 5).

    Args:
        x: [n].
        shape: [n, 3 K − 1] for K bins: their log widths, log heights (up to a constant), and the slopes at the K − 1 inner knots
            through a softplus; all zero is the identity.

    Source: Durkan et al., "Neural spline flows" (2019), section 3.1.

    >>> y, log_det = spline(torch.tensor([0.3, 7.0]), torch.zeros(2, 11))
    >>> bool(torch.allclose(y, torch.tensor([0.3, 7.0]))), round(float(log_det.abs()), 5)
    (True, 0.0)
    """
    bins = (shape.shape[-1] + 1) // 3
    log_widths, log_heights, slopes = shape.split([bins, bins, bins - 1], -1)
    widths, heights = (
        2 * _EDGE * (_LEAST + (1 - bins * _LEAST) * torch.softmax(v, -1)) for v in (log_widths, log_heights)
    )
    slopes = F.pad(F.softplus(slopes + math.log(math.e - 1.0)), (1, 1), value=1.0)
    inside = x.abs() < _EDGE
    at = torch.where(inside, x, 0.0)
    left, bottom = (F.pad(v.cumsum(-1), (1, 0)) - _EDGE for v in (widths, heights))
    bin = (at.unsqueeze(-1) >= left[:, 1:-1]).sum(-1, keepdim=True)
    width, height, x0, y0, d0, d1 = (
        torch.gather(v, -1, k).squeeze(-1)
        for v, k in (
            (widths, bin),
            (heights, bin),
            (left, bin),
            (bottom, bin),
            (slopes, bin),
            (slopes, bin + 1),
        )
    )
    slope, t = height / width, (at - x0) / width
    bend = slope + (d0 + d1 - 2 * slope) * t * (1 - t)
    y = y0 + height * (slope * t**2 + d0 * t * (1 - t)) / bend
    steep = d1 * t**2 + 2 * slope * t * (1 - t) + d0 * (1 - t) ** 2
    log_slope = 2 * slope.log() + steep.log() - 2 * bend.log()
    return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0).sum()
