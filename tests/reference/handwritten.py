"""Log densities of some reference models on unconstrained space, written out in torch: the compiler's oracle.

Each takes the data file's contents and the sites' unconstrained values u by name, and returns the log density
with all its constants and log-Jacobians.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Unconstrained = dict[str, Tensor]


def t(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def index(value: Any) -> Tensor:
    """Indices of the data start at 1."""
    return torch.as_tensor(value) - 1


def normal(x: Any, loc: Any = 0.0, scale: Any = 1.0) -> Tensor:
    x, scale = t(x), t(scale)
    return (-0.5 * ((x - loc) / scale) ** 2 - torch.log(scale) - 0.5 * math.log(2 * math.pi)).sum()


def positive(u: Tensor) -> tuple[Tensor, Tensor]:
    """exp(u) and its log-Jacobian."""
    return torch.exp(u), u.sum()


def interval(u: Tensor, low: Any, high: Any) -> tuple[Tensor, Tensor]:
    """low + (high − low)·sigmoid(u) and its log-Jacobian."""
    width = t(high) - low
    return low + width * torch.sigmoid(u), (torch.log(width) + F.logsigmoid(u) + F.logsigmoid(-u)).sum()


def half_normal(x: Tensor, scale: float) -> Tensor:
    return normal(x, 0.0, scale) + x.numel() * math.log(2)


def half_cauchy(x: Tensor, scale: float) -> Tensor:
    return (math.log(2 / (math.pi * scale)) - torch.log1p((x / scale) ** 2)).sum()


def bernoulli(y: Any, logits: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits, t(y), reduction="sum")


def eight_schools(d: dict[str, Any], u: Unconstrained) -> Tensor:
    tau, jacobian = positive(u["tau"])
    prior = normal(u["mu"], 0.0, 5.0) + half_cauchy(tau, 5.0) + jacobian + normal(u["theta"], u["mu"], tau)
    return prior + normal(d["y"], u["theta"], t(d["sigma"]))


def eight_schools_non_centred(d: dict[str, Any], u: Unconstrained) -> Tensor:
    tau, jacobian = positive(u["tau"])
    prior = normal(u["mu"], 0.0, 5.0) + half_cauchy(tau, 5.0) + jacobian + normal(u["theta_base"])
    return prior + normal(d["y"], u["mu"] + tau * u["theta_base"], t(d["sigma"]))


def radon(d: dict[str, Any], u: Unconstrained) -> Tensor:
    sigma_a, j_a = positive(u["sigma_a"])
    sigma_y, j_y = positive(u["sigma_y"])
    prior = normal(u["mu_a"], 0.0, 10.0) + half_normal(sigma_a, 1.0) + half_normal(sigma_y, 1.0) + j_a + j_y
    prior = prior + normal(u["alpha_base"]) + normal(u["beta"], 0.0, 10.0)
    alpha = u["mu_a"] + sigma_a * u["alpha_base"]
    mean = (
        alpha[index(d["county_idx"])] + u["beta"][0] * t(d["log_uppm"]) + u["beta"][1] * t(d["floor_measure"])
    )
    return prior + normal(d["log_radon"], mean, sigma_y)


def irt_2pl(d: dict[str, Any], u: Unconstrained) -> Tensor:
    total = normal(u["mu_b"], 0.0, 5.0)
    scales = {}
    for k in ("sigma_theta", "sigma_a", "sigma_b"):
        scales[k], jacobian = positive(u[k])
        total = total + half_cauchy(scales[k], 2.0) + jacobian
    total = total + normal(u["theta"], 0.0, scales["sigma_theta"])
    # log a ~ Normal(0, sigma_a): the density of a and the Jacobian of exp leave the normal density of log a.
    total = total + normal(u["a"], 0.0, scales["sigma_a"]) + normal(u["b"], u["mu_b"], scales["sigma_b"])
    return total + bernoulli(d["y"], torch.exp(u["a"])[:, None] * (u["theta"] - u["b"][:, None]))


def wells(d: dict[str, Any], u: Unconstrained) -> Tensor:
    return bernoulli(
        d["switched"], u["alpha"] + u["beta"][0] * t(d["dist"]) / 100 + u["beta"][1] * t(d["arsenic"])
    )


def election88(d: dict[str, Any], u: Unconstrained) -> Tensor:
    total = normal(u["beta"], 0.0, 100.0)
    for k in "abcde":
        sigma, jacobian = interval(u[f"sigma_{k}"], 0.0, 100.0)
        total = total + jacobian + normal(u[k], 0.0, sigma)
    beta, black, female = u["beta"], t(d["black"]), t(d["female"])
    logits = (
        beta[0]
        + beta[1] * black
        + beta[2] * female
        + beta[4] * female * black
        + beta[3] * t(d["v_prev_full"])
    )
    for k, factor in zip("abcde", ("age", "edu", "age_edu", "state", "region_full"), strict=True):
        logits = logits + u[k][index(d[factor])]
    return total + bernoulli(d["y"], logits)


def ark(d: dict[str, Any], u: Unconstrained) -> Tensor:
    sigma, jacobian = positive(u["sigma"])
    total = normal(u["alpha"], 0.0, 10.0) + normal(u["beta"], 0.0, 10.0) + half_cauchy(sigma, 2.5) + jacobian
    y, K = t(d["y"]), d["K"]
    for time in range(K, d["T"]):
        mean = u["alpha"] + sum(u["beta"][k] * y[time - 1 - k] for k in range(K))
        total = total + normal(y[time], mean, sigma)
    return total


def garch(d: dict[str, Any], u: Unconstrained) -> Tensor:
    mu = u["mu"]
    alpha0, j0 = positive(u["alpha0"])
    alpha1, j1 = interval(u["alpha1"], 0.0, 1.0)
    beta1, j2 = interval(u["beta1"], 0.0, 1.0 - alpha1)
    total, y, scale = j0 + j1 + j2, t(d["y"]), t(d["sigma1"])
    for time in range(d["T"]):
        total = total + normal(y[time], mu, scale)
        scale = torch.sqrt(alpha0 + alpha1 * (y[time] - mu) ** 2 + beta1 * scale**2)
    return total


def kidiq(d: dict[str, Any], u: Unconstrained) -> Tensor:
    sigma, jacobian = positive(u["sigma"])
    hs, iq = t(d["mom_hs"]), t(d["mom_iq"])
    mean = torch.stack([torch.ones_like(iq), hs, iq, hs * iq], 1) @ u["beta"]
    return half_cauchy(sigma, 2.5) + jacobian + normal(d["kid_score"], mean, sigma)


def nes1980(d: dict[str, Any], u: Unconstrained) -> Tensor:
    sigma, jacobian = positive(u["sigma"])
    b, age = u["beta"], torch.as_tensor(d["age_discrete"])
    mean = b[0] + b[1] * t(d["real_ideo"]) + b[2] * t(d["race_adj"])
    mean = mean + b[3] * (age == 2) + b[4] * (age == 3) + b[5] * (age == 4)
    mean = mean + b[6] * t(d["educ1"]) + b[7] * t(d["gender"]) + b[8] * t(d["income"])
    return jacobian + normal(d["partyid7"], mean, sigma)


def gp_pois_regr(d: dict[str, Any], u: Unconstrained) -> Tensor:
    rho, j_rho = positive(u["rho"])
    alpha, j_alpha = positive(u["alpha"])
    total = (
        25 * math.log(4.0)
        - math.lgamma(25)
        + 24 * torch.log(rho)
        - 4 * rho
        + half_normal(alpha, 2.0)
        + j_rho
        + j_alpha
    )
    x, k = t(d["x"]), t(d["k"])
    cov = alpha**2 * torch.exp(-0.5 * (x[:, None] - x) ** 2 / rho**2) + 1e-10 * torch.eye(
        len(x), dtype=x.dtype
    )
    f = torch.linalg.cholesky(cov) @ u["f_tilde"]
    return total + normal(u["f_tilde"]) + (k * f - torch.exp(f) - torch.lgamma(k + 1)).sum()


# case of `cases.CASES` → its density
DENSITIES: dict[str, Callable[[dict[str, Any], Unconstrained], Tensor]] = {
    "eight_schools": eight_schools,
    "eight_schools_non_centred": eight_schools_non_centred,
    "radon_mn": radon,
    "irt_2pl": irt_2pl,
    "wells": wells,
    "election88": election88,
    "arK": ark,
    "arK_scan": ark,
    "garch": garch,
    "kidiq": kidiq,
    "nes1980": nes1980,
    "gp_pois_regr": gp_pois_regr,
}
