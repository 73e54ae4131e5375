"""Calls of the operators that give draws an implicit derivative; torch knows it only inside its distributions."""

from __future__ import annotations

import torch
from compiler.calls import Draw, Sample, sample


def _moved(draw: torch.Tensor, quantity: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """The draw, with ∂/∂quantity = slope: what the operators do, in torch's words."""
    return draw + (quantity - quantity.detach()) * slope.detach()


@sample("implicit")
def _implicit(d: Draw, name: str) -> Sample:
    return Sample(name, tuple(d.reals(s) for s in d.shapes(3)), reference=_moved)


@sample("implicit_gamma")
def _implicit_gamma(d: Draw, name: str) -> Sample:
    def reference(draw: torch.Tensor, concentration: torch.Tensor) -> torch.Tensor:
        g, a = (t.detach().contiguous() for t in torch.broadcast_tensors(draw, concentration))
        return _moved(draw, concentration, torch._standard_gamma_grad(a, g))

    draw, concentration = d.shapes(2)
    return Sample(name, (d.reals(draw, 0.1, 5), d.reals(concentration, 0.3, 5)), reference=reference)


@sample("implicit_dirichlet")
def _implicit_dirichlet(d: Draw, name: str) -> Sample:
    shape = d.shape(1, smallest=1)
    weights = d.reals(shape, 0.1, 1.0)

    def reference(draw: torch.Tensor, concentration: torch.Tensor) -> torch.Tensor:
        x, a = draw.detach(), concentration.detach()
        own = torch._dirichlet_grad(x, a, a.sum(-1, keepdim=True).expand_as(a).contiguous())
        # column j of the Jacobian is own_j (e_j − x)
        moved = (concentration - a) * own
        return draw + moved - x * moved.sum(-1, keepdim=True)

    def point() -> torch.Tensor:
        w = weights()
        return w / w.sum(-1, keepdim=True)

    return Sample(name, (point, d.reals(shape, 0.3, 5)), reference=reference)
