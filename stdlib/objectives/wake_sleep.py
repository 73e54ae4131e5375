"""Objectives in which the draws are held fixed: model and guide learn from each other's draws in turn.

They need no gradient estimator at all, so discrete choices of any number will do.
"""

from __future__ import annotations

from dataclasses import replace

import torch

import ppl
from ppl.errors import MethodError
from ppl.language.handlers import Condition
from ppl.language.program import Bound
from ppl.std.objectives.bounds import iwelbo
from ppl.std.objectives.weights import mean


@ppl.objective
def wake(p: Bound, q: Bound, K: int = 1) -> torch.Tensor:
    """The IWELBO as a function of the model alone (K = 1: the ELBO), for draws of the guide.

    The gradient is Σₖ w̃ₖ ∇ log p(x, zₖ), w̃ₖ = wₖ / Σⱼ wⱼ: the wake phase of the model.

    Source: Hinton, Dayan, Frey & Neal, "The wake-sleep algorithm for unsupervised neural networks" (1995);
    Bornschein & Bengio, "Reweighted wake-sleep" (2015) for K > 1.
    """
    return iwelbo.function(p, q.stop_gradient(), K)


@ppl.objective
def forward_kl(p: Bound, q: Bound, K: int = 10) -> torch.Tensor:
    """Σₖ w̃ₖ log q(zₖ) for draws of the guide held fixed, an estimate of E_{p(z | x)}[log q(z)]: the wake
    phase of the guide in reweighted wake–sleep.

    To maximise it is to minimise KL(p(z | x) ‖ q): the guide covers the posterior. Biased by O(1/K), as
    weights are normalised by their own sum.

    Source: Bornschein & Bengio, "Reweighted wake-sleep" (2015); Le, Kosiorek, Siddharth, Teh & Wood,
    "Revisiting reweighted wake-sleep for models with stochastic control flow" (2019).
    """
    for _ in (particles := ppl.plate("particle", K)):
        z = ppl.simulate(q.stop_gradient())
        log_q = ppl.log_density(q, z)
        log_p = ppl.log_density(p, z)
    log_q, log_p = particles.gather(log_q), particles.gather(log_p)
    weights = torch.softmax(log_p - log_q, 0).detach()
    return (weights * log_q).sum(0)


@ppl.objective
def sleep(p: Bound, q: Bound, particles: int = 1) -> torch.Tensor:
    """E[log q(z; x)] for (x, z) ~ p, data and all: the sleep phase of the guide.

    The guide is fitted to the model's own fantasies, for amortised guides. Those of the guide's arguments that
    bear the name of an observed site take its simulated values: `q(x)` for a model whose data are
    `condition(x=…)`.

    Source: Hinton, Dayan, Frey & Neal, "The wake-sleep algorithm for unsupervised neural networks" (1995).
    """
    conditions = [h for h in p.handlers if isinstance(h, Condition)]
    observed = {name for h in conditions for name in h.values}
    if not observed & set(q.arguments):
        raise MethodError(
            "the sleep phase has no data to give to the guide",
            expected="an argument of the guide named as an observed site of the model",
            found=f"observed: {', '.join(sorted(observed)) or 'nothing'}; arguments of {q.name}: "
            f"{', '.join(q.arguments) or 'none'}",
            edit=f"def {q.name}({min(observed, default='y')}): … in the guide",
        )
    dreaming = replace(p, handlers=tuple(h for h in p.handlers if not isinstance(h, Condition)))
    for _ in (draws := ppl.plate("particle", particles)):
        z = ppl.simulate(dreaming.stop_gradient())
        dreamt = {name: z[name] for name in observed}
        guide = replace(q, arguments=q.arguments | {k: v for k, v in dreamt.items() if k in q.arguments})
        log_q = ppl.log_density(guide, z.without(*observed))
    return mean(draws.gather(log_q))


WAKE_SLEEP = {"model": wake, "guide": sleep}
"""The wake–sleep algorithm (Hinton et al. 1995)."""

REWEIGHTED_WAKE_SLEEP = {"model": wake, "guide": forward_kl}
"""Reweighted wake–sleep with the wake phase of the guide (Bornschein & Bengio 2015)."""
