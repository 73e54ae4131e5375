"""Gradients with less noise for guides that are reparameterised: derivatives go through the draws only.

An objective's score term, the derivative of log q(z) in the guide's params at z held fixed, has mean zero for
the ELBO and can be left out. `q.stop_gradient()` is the guide with its params held fixed.
"""

from __future__ import annotations

import torch

import ppl
from ppl.language.program import Bound
from ppl.std.objectives.weights import log_mean_exp, mean


@ppl.objective
def sticking_the_landing(p: Bound, q: Bound, particles: int = 1) -> torch.Tensor:
    """The ELBO, with a gradient whose variance vanishes where q is the posterior.

    Value and expected gradient are the ELBO's. For guides that come close to the posterior; farther away it
    may have more variance than `elbo`.

    Source: Roeder, Wu & Duvenaud, "Sticking the landing: simple, lower-variance gradient estimators for
    variational inference" (2017).
    """
    for _ in (draws := ppl.plate("particle", particles)):
        z = ppl.simulate(q)
        log_w = ppl.log_density(p, z) - ppl.log_density(q.stop_gradient(), z)
    return mean(draws.gather(log_w))


@ppl.objective
def dreg(p: Bound, q: Bound, K: int = 10) -> torch.Tensor:
    """The IWELBO, with the doubly reparameterised gradient of the guide:

        Σₖ w̃ₖ² ∂ log wₖ/∂zₖ · ∂zₖ/∂φ,    w̃ₖ = wₖ / Σⱼ wⱼ

    which stays useful as K grows. Value and expected gradient are the IWELBO's; that of the model is
    Σₖ w̃ₖ ∇ log p(x, zₖ). Every choice of the guide that has params must be reparameterised, or it is refused.

    Source: Tucker, Lawson, Gu & Maddison, "Doubly reparameterized gradient estimators for Monte Carlo
    objectives" (2019).
    """
    for _ in (particles := ppl.plate("particle", K)):
        z = ppl.simulate(q.grad("reparam"))
        held = {name: value.detach() for name, value in z.items()}
        through_z = ppl.log_density(p.stop_gradient(), z) - ppl.log_density(q.stop_gradient(), z)
        through_model = ppl.log_density(p, held)
    log_w = particles.gather(through_z)
    weights = torch.softmax(log_w, 0).detach()
    surrogate = (weights**2 * log_w + weights * particles.gather(through_model)).sum(0)
    return log_mean_exp(log_w).detach() + surrogate - surrogate.detach()
