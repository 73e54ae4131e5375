"""Stein's discrepancy: a distance that needs draws of the guide and the model's score, and no density of q."""

from __future__ import annotations

import torch

import ppl
from ppl.language.program import Bound


@ppl.objective
def stein(p: Bound, q: Bound, K: int = 20, bandwidth: float = 1.0) -> torch.Tensor:
    """Minus the kernelised Stein discrepancy of q from p(z | x), with the kernel k = exp(−|z − z'|² / 2h²):

        −E[s·s' k + s·∇'k + s'·∇k + tr ∇∇'k],    s = ∂ log p(x, z)/∂z,  z and z' independent draws of q

    0 where q is the posterior, below elsewhere. For guides that can be drawn from and have no density. All real
    choices of the model are taken together as one vector; their densities must vanish at the ends of their
    supports. The estimate is the mean over the pairs of K draws, unbiased. The evidence does not enter.

    Source: Liu, Lee & Jordan, "A kernelized Stein discrepancy for goodness-of-fit tests" (2016), theorem 3.6;
    as a variational objective, Ranganath, Altosaar, Tran & Blei, "Operator variational inference" (2016).
    """
    for _ in (particles := ppl.plate("particle", K)):
        z = ppl.simulate(q)
        score = ppl.score(p, z)
        place = torch.cat([z[name].reshape(-1) for name in score])
        slope = torch.cat([s.reshape(-1) for s in score.values()])
    z, s = particles.gather(place), particles.gather(slope)
    h2 = bandwidth**2
    apart = (z.unsqueeze(1) - z.unsqueeze(0)) / h2
    square = (apart**2).sum(-1)
    along = ((s.unsqueeze(1) - s.unsqueeze(0)) * apart).sum(-1)
    u = torch.exp(-0.5 * h2 * square) * (s @ s.T + along + z.shape[1] / h2 - square)
    itself = (s**2).sum() + K * z.shape[1] / h2
    return -(u.sum() - itself) / (K * (K - 1))
