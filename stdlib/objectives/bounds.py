"""Lower bounds of the evidence: the ELBO, and those of several importance-weighted draws."""

from __future__ import annotations

import torch

import ppl
from ppl.language.program import Bound
from ppl.std.objectives.weights import log_mean_exp, log_weights, mean


@ppl.objective
def elbo(p: Bound, q: Bound, particles: int = 1) -> torch.Tensor:
    """The evidence lower bound, E[log p(x, z) − log q(z)] ≤ log p(x).

    The first thing to try. It is log p(x) − KL(q ‖ p(z | x)): the guide leaves out modes rather than covering
    what is between them. `particles` draws are averaged.

    Source: Jordan, Ghahramani, Jaakkola & Saul, "An introduction to variational methods for graphical models"
    (1999).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> from ppl.std.objectives import elbo
    >>> @ppl.model
    ... def p():
    ...     ppl.sample("y", Normal(ppl.sample("z", Normal(0.0, 1.0)), 1.0))
    >>> @ppl.guide
    ... def q():
    ...     ppl.sample("z", Normal(ppl.param("m", 0.0), 0.5**0.5))
    >>> found = ppl.estimate(elbo)(p().condition(y=1.0), q(), params={"m": 0.5})
    >>> round(float(found), 4)  # the exact posterior: every draw gives the evidence
    -1.5155
    """
    return mean(log_weights(p, q, particles))


@ppl.objective
def beta_elbo(p: Bound, q: Bound, beta: float = 1.0, particles: int = 1) -> torch.Tensor:
    """E[log p(x | z)] − β KL(q ‖ p(z)), a bound for β ≥ 1.

    β > 1 presses the guide towards the prior (disentangled codes); β rising from 0 to 1 lets a model learn to
    use z before it pays for it. Factors of the model count as likelihood.

    Source: Higgins et al., "beta-VAE: learning basic visual concepts with a constrained variational
    framework" (2017).
    """
    for _ in (draws := ppl.plate("particle", particles)):
        z = ppl.simulate(q)
        value = ppl.log_density(p.scale_choices(beta), z) - beta * ppl.log_density(q, z)
    return mean(draws.gather(value))


@ppl.objective
def iwelbo(p: Bound, q: Bound, K: int = 10) -> torch.Tensor:
    """E[log (1/K) Σₖ wₖ], between the ELBO (K = 1) and log p(x) (K → ∞).

    For learning a model whose posterior the guide can't match. The guide becomes a proposal: it covers the
    posterior, and the signal of its gradient fades as K grows (see `dreg`, `miwae`).

    Source: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016).
    """
    return log_mean_exp(log_weights(p, q, K))


@ppl.objective
def miwae(p: Bound, q: Bound, M: int = 5, K: int = 5) -> torch.Tensor:
    """(1/M) Σₘ IWELBO_K: the IWELBO's expectation with M times the draws, and a better gradient of the guide
    for the same number of draws than IWELBO with M K.

    Source: Rainforth et al., "Tighter variational bounds are not necessarily better" (2018), section 4.
    """
    for _ in (groups := ppl.plate("group", M)):
        bound = log_mean_exp(log_weights(p, q, K))
    return mean(groups.gather(bound))


@ppl.objective
def ciwae(p: Bound, q: Bound, beta: float = 0.5, K: int = 10) -> torch.Tensor:
    """β ELBO + (1 − β) IWELBO_K of the same draws; a lower bound for β in [0, 1].

    Source: Rainforth et al., "Tighter variational bounds are not necessarily better" (2018), section 4.
    """
    log_w = log_weights(p, q, K)
    return beta * mean(log_w) + (1 - beta) * log_mean_exp(log_w)


PIWAE = {"model": iwelbo, "guide": miwae}
"""The tight bound for the model, the one with the better gradient for the guide (Rainforth et al. 2018)."""
