"""Implicit reparametrisation: a draw that is itself, with the derivative it would have at a fixed quantile.

If F(x; θ) = u then dx/dθ = −(∂F/∂θ) / p(x; θ), whatever algorithm made x (Figurnov, Mohamed and Mnih 2018,
"Implicit Reparameterization Gradients"). Each operator here is the identity in its draw; what differs is the
reverse rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ppl.compiler.graph import Node
from ppl.compiler.ops.core import Operand, Vjp, define, make
from ppl.compiler.ops.pointwise import mul, sub
from ppl.errors import MethodError


def _together(operands: Sequence[Any]) -> list[torch.Tensor]:
    """Operands of one shape; a uniform one may have become a number."""
    like = next(t for t in operands if isinstance(t, torch.Tensor))
    tensors = [torch.as_tensor(t, dtype=like.dtype, device=like.device) for t in operands]
    return list(torch.broadcast_tensors(*tensors))


def _first(*operands: Any) -> torch.Tensor:
    return _together(operands)[0]


def _on_common_shape(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *operands: function(*(t.contiguous() for t in _together(operands)))


def _once(name: str) -> Vjp:
    def refuse(*_: Any, **__: Any) -> Any:
        raise MethodError(
            f"the derivative of '{name}' is not known: implicit gradients can be differentiated once",
            expected="a first derivative through a gamma, beta or Dirichlet draw",
            found="a second one",
            edit='grad="score" at this site, or a family whose sampler is explicit, such as LogNormal',
        )

    return refuse


# The slope of a first derivative: a second one would miss how it moves with the draw.
define("first_order", lambda x: x, kind="pointwise", dtype="same", batch="pointwise", vjp=_once("implicit"))


def _implicit_vjp(
    out: Node, g: Operand, draw: Operand, quantity: Operand, slope: Operand
) -> tuple[Operand, Operand, None]:
    """implicit(draw, quantity, slope) is the draw, with ∂/∂quantity = slope."""
    return g, mul(g, make("first_order", slope) if isinstance(slope, Node) else slope), None


define("implicit", _first, kind="pointwise", batch="pointwise", vjp=_implicit_vjp)

# ---------------------------------------------------------------- Gamma(concentration, 1)


define(
    "standard_gamma_grad",
    _on_common_shape(torch._standard_gamma_grad),
    kind="pointwise",
    dtype="float",
    batch="pointwise",
    vjp=_once("standard_gamma_grad"),
)
define(
    "implicit_gamma",
    _first,
    kind="pointwise",
    dtype="float",
    batch="pointwise",
    vjp=lambda out, g, draw, concentration: (
        g,
        mul(g, make("standard_gamma_grad", concentration, draw)),
    ),
)

# ---------------------------------------------------------------- Dirichlet(concentration), along the last axis

define(
    "dirichlet_grad",
    _on_common_shape(torch._dirichlet_grad),
    kind="pointwise",
    dtype="float",
    batch="pointwise",
    vjp=_once("dirichlet_grad"),
)


def _implicit_dirichlet_vjp(out: Node, g: Node, draw: Node, concentration: Node) -> tuple[Operand, Operand]:
    """∂x_i/∂α_j = ∂x_j/∂α_j (δ_ij − x_i) / (1 − x_j): a change of one component is spread over the others
    in proportion; `dirichlet_grad` is ∂x_j/∂α_j / (1 − x_j).
    """
    total = make("sum", concentration, dims=(-1,), keepdim=True)
    slope = make("dirichlet_grad", draw, concentration, total)
    spread = make("sum", mul(draw, g), dims=(-1,), keepdim=True)
    return g, mul(slope, sub(g, spread))


define("implicit_dirichlet", _first, vjp=_implicit_dirichlet_vjp)
