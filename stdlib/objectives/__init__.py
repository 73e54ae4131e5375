"""Objectives of variational inference, each a short program. Everything is to be maximised.

Write p(x, z) for the model with its data x, q(z) for the guide, w = p(x, z) / q(z) and log p(x) for the
evidence. In all of them `p` is a bound model with its data, `q` a bound guide.

| | expectation | |
|---|---|---|
| `elbo`, `beta_elbo` | E log w | bound from below |
| `sticking_the_landing` | the same, a gradient without the score's noise | |
| `iwelbo`, `dreg` | E log mean w of K draws | tighter bound from below |
| `miwae`, `ciwae`, `PIWAE` | IWELBO's mean, its mixture with the ELBO, one for each of model and guide | |
| `renyi`, `vr_max` | Rényi's α-divergence | |
| `cubo`, `exp_cubo` | minus an upper bound | |
| `forward_kl`, `WAKE_SLEEP`, `REWEIGHTED_WAKE_SLEEP` | the guide is fitted to p's draws | |
| `hvi`, `iwhvi`, `diwhvi` | guides with auxiliary variables | |
| `f_divergence` | any convex f | |
| `stein` | Stein's discrepancy | for guides without a density |

A dictionary such as `PIWAE` gives model and guide an objective each: `ppl.VI(objective=PIWAE)`. VIMCO (Mnih &
Rezende 2016) is `iwelbo` with scores: `iwelbo(p, q.grad("score"))`. DADVI (Giordano, Ingram & Broderick 2024),
which fixes the draws and then optimises a deterministic function, is no objective of its own but a way of
training one: `elbo` with many particles and the same seed at every step.
"""

from ppl.std.objectives.auxiliary import diwhvi, hvi, iwhvi
from ppl.std.objectives.bounds import PIWAE, beta_elbo, ciwae, elbo, iwelbo, miwae
from ppl.std.objectives.divergences import cubo, exp_cubo, f_divergence, renyi, vr_max
from ppl.std.objectives.pathwise import dreg, sticking_the_landing
from ppl.std.objectives.stein import stein
from ppl.std.objectives.wake_sleep import REWEIGHTED_WAKE_SLEEP, WAKE_SLEEP, forward_kl, sleep, wake

__all__ = [
    "PIWAE",
    "REWEIGHTED_WAKE_SLEEP",
    "WAKE_SLEEP",
    "beta_elbo",
    "ciwae",
    "cubo",
    "diwhvi",
    "dreg",
    "elbo",
    "exp_cubo",
    "f_divergence",
    "forward_kl",
    "hvi",
    "iwelbo",
    "iwhvi",
    "miwae",
    "renyi",
    "sleep",
    "stein",
    "sticking_the_landing",
    "vr_max",
    "wake",
]
