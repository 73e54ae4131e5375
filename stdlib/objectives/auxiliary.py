"""Objectives for guides with auxiliary variables λ, whose own density q(z) = ∫ q(z, λ) dλ is not known.

A site of the guide whose name begins with `_` is auxiliary: the model doesn't have it. The reverse model
r(λ | z) is another guide, for the auxiliary sites given the others. It is given as a function of a trace,
`lambda z: r(z["x"])`, or as a program whose arguments bear the names of the sites they take, `r`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

import ppl
from ppl.language.agreement import auxiliary
from ppl.language.program import Bound, Program
from ppl.std.objectives.weights import log_mean_exp

Reverse = Program | Callable[[Mapping[str, torch.Tensor]], Bound]


def reversed_at(r: Reverse, z: Mapping[str, torch.Tensor]) -> Bound:
    """The reverse model r(λ | z)."""
    if isinstance(r, Program):
        return r(**{name: z[name] for name in r.signature.parameters})
    return r(z)


def upper_log_marginal(q: Bound, r: Reverse, z: Any, K: int) -> torch.Tensor:
    """log 1/(K+1) Σₖ q(z, λₖ)/r(λₖ | z), λ₀ drawn with z and the others from r: at least log q(z) on average."""
    reverse = reversed_at(r, z)
    of_model = [name for name in z if not auxiliary(name)]
    own = ppl.log_density(q, z) - ppl.log_density(reverse, z.without(*of_model))
    if K == 0:
        return own
    for _ in (others := ppl.plate("reverse", K)):
        a = ppl.simulate(reverse)
        log_v = ppl.log_density(q, {**{name: z[name] for name in of_model}, **a})
        log_v = log_v - ppl.log_density(reverse, a)
    log_v = others.gather(log_v)
    return torch.logsumexp(torch.cat([own.reshape(1), log_v]), 0) - math.log(K + 1)


@ppl.objective
def hvi(p: Bound, q: Bound, r: Reverse) -> torch.Tensor:
    """E[log p(x, z) + log r(λ | z) − log q(z, λ)] ≤ ELBO of q(z) ≤ log p(x).

    Equal to the ELBO where r is the guide's own posterior of λ. For guides that are mixtures, chains or noise
    through a network.

    Source: Ranganath, Tran & Blei, "Hierarchical variational models" (2016).
    """
    z = ppl.simulate(q)
    return ppl.log_density(p, z) - upper_log_marginal(q, r, z, 0)


@ppl.objective
def iwhvi(p: Bound, q: Bound, r: Reverse, K: int = 5) -> torch.Tensor:
    """E[log p(x, z) − log 1/(K+1) Σₖ q(z, λₖ)/r(λₖ | z)], λ₀ drawn with z and K more from r: between HVI
    (K = 0) and the ELBO of q(z) (K → ∞).

    Where r is a poor reverse: its draws are weighted.

    Source: Sobolev & Vetrov, "Importance weighted hierarchical variational inference" (2019).
    """
    z = ppl.simulate(q)
    return ppl.log_density(p, z) - upper_log_marginal(q, r, z, K)


@ppl.objective
def diwhvi(p: Bound, q: Bound, r: Reverse, M: int = 5, K: int = 5) -> torch.Tensor:
    """E[log (1/M) Σₘ p(x, zₘ) / (1/(K+1) Σₖ q(zₘ, λₘₖ)/r(λₘₖ | zₘ))]: the IWELBO of M draws, with the upper
    bound of log q(zₘ) that IWHVI has, K draws for each. A lower bound of log p(x).

    Source: Sobolev & Vetrov, "Importance weighted hierarchical variational inference" (2019), section 4.
    """
    for _ in (particles := ppl.plate("particle", M)):
        z = ppl.simulate(q)
        log_w = ppl.log_density(p, z) - upper_log_marginal(q, r, z, K)
    return log_mean_exp(particles.gather(log_w))
