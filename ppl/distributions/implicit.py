"""Draws by inverting a cdf, and implicit gradients for samplers that aren't differentiable themselves.

If F(x; θ) = u then dx/dθ = −(∂F/∂θ) / p(x; θ) (Figurnov, Mohamed and Mnih 2018).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def with_implicit_gradient(
    x: Tensor, cdf: Callable[[Tensor], Tensor], log_prob: Callable[[Tensor], Tensor]
) -> Tensor:
    """The draws `x` with the gradient −∂F/∂θ / p attached.

    >>> rate = torch.tensor(2.0, requires_grad=True)
    >>> x = torch.tensor(3.0)
    >>> cdf, log_prob = lambda v: 1 - torch.exp(-rate * v), lambda v: torch.log(rate) - rate * v
    >>> y = with_implicit_gradient(x, cdf, log_prob)
    >>> y.backward(); round(rate.grad.item(), 4)
    -1.5
    """
    x = x.detach()
    probability = cdf(x)
    if not probability.requires_grad:
        return x
    return x - (probability - probability.detach()) / torch.exp(log_prob(x)).detach()


def invert(
    log_cdf: Callable[[Tensor], Tensor],
    log_survival: Callable[[Tensor], Tensor],
    u: Tensor,
    low: Tensor | float = -torch.inf,
    high: Tensor | float = torch.inf,
    log_prob: Callable[[Tensor], Tensor] | None = None,
    steps: int = 90,
) -> Tensor:
    """The smallest x in [low, high] with F(x) ≥ u, to rounding; compares in whichever tail is the smaller.

    Bisection on y = asinh(x), sped up by Newton steps that stay in the bracket where a continuous `log_prob`
    is given.

    >>> d = torch.distributions.Normal(0.0, 1.0)
    >>> round(invert(lambda x: d.cdf(x).log(), lambda x: d.cdf(-x).log(), torch.tensor(0.975)).item(), 2)
    1.96
    """
    reach = 690.0 if u.dtype == torch.float64 else 85.0
    a, b = (
        torch.asinh(torch.as_tensor(v, dtype=u.dtype, device=u.device)).clamp(-reach, reach)
        for v in (low, high)
    )
    a, b = a.expand(u.shape).clone(), b.expand(u.shape).clone()
    left, log_u, log_v = u < 0.5, torch.log(u), torch.log1p(-u)
    tiny = 4 * torch.finfo(u.dtype).eps
    y = torch.where((a < 0) & (b > 0), 0.0, 0.5 * (a + b))
    for step in range(steps):
        x = torch.sinh(y)
        tail = torch.where(left, log_cdf(x), log_survival(x))
        gap = torch.where(left, tail - log_u, log_v - tail)
        reached = gap >= 0
        a, b = torch.where(reached, a, y), torch.where(reached, y, b)
        middle = 0.5 * (a + b)
        if bool((b - a <= tiny * (1 + torch.abs(middle))).all()):
            break
        if log_prob is None or step % 8 == 7:
            y = middle
            continue
        # d tail / dy = ± p(x) / tail probability · cosh y; overshoot a little so that the bracket closes from
        # both sides.
        move = gap * torch.exp(tail - log_prob(x)) / torch.cosh(y)
        newton = y - move - torch.sign(move) * tiny * (1 + torch.abs(y))
        y = torch.where((newton > a) & (newton < b), newton, middle)
    return torch.sinh(b)
