"""Other divergences than KL(q ‖ p): Rényi's, χ², and whatever convex f one gives."""

from __future__ import annotations

from collections.abc import Callable

import torch

import ppl
from ppl.errors import MethodError
from ppl.language.program import Bound
from ppl.std.objectives.weights import log_mean_exp, log_weights, mean


@ppl.objective
def renyi(p: Bound, q: Bound, alpha: float = 0.5, K: int = 10) -> torch.Tensor:
    """1/(1−α) · log (1/K) Σₖ wₖ^(1−α), the variational Rényi bound with K draws.

    With K → ∞ it is log p(x) − D_α(q ‖ p(z | x)): α → 1 is the ELBO, α = 0 the IWELBO, α > 1 seeks modes more
    than the ELBO does, α < 0 bounds log p(x) from above. With finite K the expectation lies below that for
    α < 1 and above it for α > 1.

    Source: Li & Turner, "Rényi divergence variational inference" (2016).
    """
    log_w = log_weights(p, q, K)
    if alpha == 1:
        return mean(log_w)
    return log_mean_exp((1 - alpha) * log_w) / (1 - alpha)


@ppl.objective
def vr_max(p: Bound, q: Bound, K: int = 10) -> torch.Tensor:
    """maxₖ log wₖ: Rényi's bound at α → −∞. Only the best of the draws is differentiated.

    Source: Li & Turner, "Rényi divergence variational inference" (2016), section 4.2.
    """
    return log_weights(p, q, K).amax(0)


@ppl.objective
def cubo(p: Bound, q: Bound, n: float = 2.0, K: int = 10) -> torch.Tensor:
    """−(1/n) log (1/K) Σₖ wₖⁿ, whose limit with K → ∞ is minus an upper bound: −CUBOₙ ≤ −log p(x), n ≥ 1.

    It makes the guide cover the posterior: the χ²-divergence (n = 2) punishes tails that are too thin. The
    logarithm's bias lets finite K fall short of the bound; `exp_cubo` has none, and more noise.

    Source: Dieng, Tran, Ranganath, Paisley & Blei, "Variational inference via χ upper bound minimization"
    (2017).
    """
    return -log_mean_exp(n * log_weights(p, q, K)) / n


@ppl.objective
def exp_cubo(p: Bound, q: Bound, n: float = 2.0, K: int = 10, shift: float = 0.0) -> torch.Tensor:
    """−(1/K) Σₖ (wₖ e^−shift)ⁿ, with the expectation −exp(n (CUBOₙ − shift)).

    Give a guess of log p(x) as `shift`, so that the numbers are near 1.

    Source: Dieng et al. (2017), section 3, where it is minimised in place of CUBO.
    """
    return -mean(torch.exp(n * (log_weights(p, q, K) - shift)))


@ppl.objective
def f_divergence(
    p: Bound, q: Bound, f: Callable[[torch.Tensor], torch.Tensor], K: int = 1, shift: float = 0.0
) -> torch.Tensor:
    """−E_q[f(w e^−shift)] for a convex f: minus the f-divergence of p(z | x) from q, where shift = log p(x).

    f(w) = −log w gives the ELBO, w log w the forward KL, (w − 1)² the χ²-divergence, |w − 1| / 2 the total
    variation, (√w − 1)² the squared Hellinger distance. Without the true log p(x) it is that of a measure of
    another mass: choose an f whose minimum doesn't mind, or estimate `shift`.

    Source: Csiszár, "Information-type measures of difference of probability distributions" (1967); for
    variational inference Wang, Liu & Liu, "Variational inference with tail-adaptive f-divergence" (2018).
    """
    if not callable(f):
        raise MethodError(
            "f_divergence needs a function of the density ratio",
            expected="f, convex, of a tensor",
            found=repr(f)[:60],
            edit="f=lambda w: w * torch.log(w)",
        )
    return -mean(f(torch.exp(log_weights(p, q, K) - shift)))
