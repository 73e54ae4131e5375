"""The reference posteriors' models as a user writes them, and `case(name)`: a model with its data and reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ppl
from ppl.distributions import (
    Bernoulli,
    Categorical,
    Dirichlet,
    Exponential,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    LogNormal,
    Normal,
    Poisson,
    Restricted,
    StudentT,
)
from ppl.distributions import Beta as BetaDistribution

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "posteriordb"
ABSENT = "the reference posteriors are not here: ../shared/reference/posteriordb, beside the repository, is missing"

# ---------------------------------------------------------------- hierarchies


@ppl.model
def eight_schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfCauchy(5.0))
    for j in ppl.plate("school", len(sigma)):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


@ppl.model
def radon(county, log_uppm, floor, counties):
    mu_a = ppl.sample("mu_a", Normal(0.0, 10.0))
    sigma_a = ppl.sample("sigma_a", HalfNormal(1.0))
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([2]))
    sigma_y = ppl.sample("sigma_y", HalfNormal(1.0))
    for _ in (places := ppl.plate("county", counties)):
        alpha = ppl.sample("alpha", Normal(mu_a, sigma_a))
    alpha = places.gather(alpha)
    for n in ppl.plate("home", len(county)):
        mean = alpha[county[n]] + beta[0] * log_uppm[n] + beta[1] * floor[n]
        ppl.sample("log_radon", Normal(mean, sigma_y))


@ppl.model
def irt_2pl(items, persons):
    sigma_theta = ppl.sample("sigma_theta", HalfCauchy(2.0))
    sigma_a = ppl.sample("sigma_a", HalfCauchy(2.0))
    sigma_b = ppl.sample("sigma_b", HalfCauchy(2.0))
    mu_b = ppl.sample("mu_b", Normal(0.0, 5.0))
    for _ in (everyone := ppl.plate("person", persons)):
        theta = ppl.sample("theta", Normal(0.0, sigma_theta))
    theta = everyone.gather(theta)
    for _ in ppl.plate("item", items):
        a = ppl.sample("a", LogNormal(0.0, sigma_a))
        b = ppl.sample("b", Normal(mu_b, sigma_b))
        for j in ppl.plate("person", persons):
            ppl.sample("y", Bernoulli(logits=a * (theta[j] - b)))


def group_effects(name, groups):
    """N(0, sigma) effects of the levels of a factor, sigma flat on (0, 100)."""
    sigma = ppl.sample(f"sigma_{name}", Flat(0.0, 100.0))
    return ppl.sample(name, Normal(0.0, sigma).expand([groups]))


@ppl.model
def election88(age, edu, age_edu, state, region, black, female, v_prev, sizes):
    beta = ppl.sample("beta", Normal(0.0, 100.0).expand([5]))
    a = group_effects("a", sizes["age"])
    b = group_effects("b", sizes["edu"])
    c = group_effects("c", sizes["age_edu"])
    d = group_effects("d", sizes["state"])
    e = group_effects("e", sizes["region"])
    for n in ppl.plate("voter", len(age)):
        common = beta[0] + beta[1] * black[n] + beta[2] * female[n] + beta[4] * female[n] * black[n] + beta[3] * v_prev[n]
        logit = common + a[age[n]] + b[edu[n]] + c[age_edu[n]] + d[state[n]] + e[region[n]]
        ppl.sample("y", Bernoulli(logits=logit))


# ---------------------------------------------------------------- regressions


def linear_predictor(X):
    """X·beta with a flat prior on beta."""
    return X @ ppl.sample("beta", Flat().expand([X.shape[1]]))


@ppl.model
def flat_regression(X):
    """Earnings, mesquite, nes1980: everything flat."""
    sigma = ppl.sample("sigma", Flat(lower=0.0))
    ppl.sample("y", Normal(linear_predictor(X), sigma))


@ppl.model
def kidiq_interaction(mom_hs, mom_iq):
    beta = ppl.sample("beta", Flat().expand([4]))
    sigma = ppl.sample("sigma", HalfCauchy(2.5))
    for n in ppl.plate("kid", len(mom_hs)):
        mean = beta[0] + beta[1] * mom_hs[n] + beta[2] * mom_iq[n] + beta[3] * mom_hs[n] * mom_iq[n]
        ppl.sample("kid_score", Normal(mean, sigma))


@ppl.model
def blr(X):
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([X.shape[1]]))
    sigma = ppl.sample("sigma", HalfNormal(10.0))
    ppl.sample("y", Normal(X @ beta, sigma))


@ppl.model
def diamonds(X):
    centre = X[:, 1:].mean(0)
    b = ppl.sample("b", Normal(0.0, 1.0).expand([X.shape[1] - 1]))
    intercept = ppl.sample("Intercept", StudentT(3.0, 8.0, 10.0))
    sigma = ppl.sample("sigma", HalfStudentT(3.0, 10.0))
    ppl.deterministic("b_Intercept", intercept - centre @ b)
    ppl.sample("Y", Normal(intercept + (X[:, 1:] - centre) @ b, sigma))


@ppl.model
def wells(dist, arsenic):
    alpha = ppl.sample("alpha", Flat())
    beta = ppl.sample("beta", Flat().expand([2]))
    for n in ppl.plate("well", len(dist)):
        ppl.sample("switched", Bernoulli(logits=alpha + beta[0] * dist[n] / 100 + beta[1] * arsenic[n]))


@ppl.model
def gp_pois_regr(x):
    rho = ppl.sample("rho", Gamma(25.0, 4.0))
    alpha = ppl.sample("alpha", HalfNormal(2.0))
    f_tilde = ppl.sample("f_tilde", Normal(0.0, 1.0).expand([len(x)]))
    cov = alpha**2 * torch.exp(-0.5 * ((x[:, None] - x) / rho) ** 2) + 1e-10 * torch.eye(len(x))
    f = ppl.deterministic("f", torch.linalg.cholesky_ex(cov).L @ f_tilde)
    ppl.sample("k", Poisson(torch.exp(f)))


# ---------------------------------------------------------------- time series


@ppl.model
def ark(past):
    """AR(K), given for each time the K values before it, the latest first: past [T − K, K]."""
    alpha = ppl.sample("alpha", Normal(0.0, 10.0))
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([past.shape[1]]))
    sigma = ppl.sample("sigma", HalfCauchy(2.5))
    ppl.sample("y", Normal(alpha + past @ beta, sigma))


@ppl.model
def ark_scan(start, length):
    """The same as a process, from its first K values (the latest first)."""
    alpha = ppl.sample("alpha", Normal(0.0, 10.0))
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([len(start)]))
    sigma = ppl.sample("sigma", HalfCauchy(2.5))

    def step(past, _):
        y = ppl.sample("y", Normal(alpha + past @ beta, sigma))
        return torch.cat([y[None], past[:-1]])

    ppl.scan("time", step, start, length=length)


@ppl.model
def garch(sigma1, length):
    mu = ppl.sample("mu", Flat())
    alpha0 = ppl.sample("alpha0", Flat(lower=0.0))
    alpha1 = ppl.sample("alpha1", Flat(0.0, 1.0))
    beta1 = ppl.sample("beta1", Flat(0.0, 1.0 - alpha1))

    def step(scale, _):
        y = ppl.sample("y", Normal(mu, scale))
        return torch.sqrt(alpha0 + alpha1 * (y - mu) ** 2 + beta1 * scale**2)

    ppl.scan("time", step, torch.tensor(sigma1), length=length)


@ppl.model
def lotka_volterra(years, steps_per_year=20):
    """Lynx and hare. The reference solves the equations adaptively; here by Runge–Kutta steps of one size."""
    rates = Restricted(Normal(torch.tensor([1.0, 0.05, 1.0, 0.05]), torch.tensor([0.5, 0.05, 0.5, 0.05])), "positive")
    theta = ppl.sample("theta", rates)
    sigma = ppl.sample("sigma", LogNormal(-1.0, 1.0).expand([2]))
    z_init = ppl.sample("z_init", LogNormal(torch.log(torch.tensor(10.0)), 1.0).expand([2]))
    ppl.sample("y_init", LogNormal(torch.log(z_init), sigma))
    alpha, beta, gamma, delta = theta[0], theta[1], theta[2], theta[3]
    h = 1.0 / steps_per_year

    def slope(z):
        u, v = z[0], z[1]
        return torch.stack([(alpha - beta * v) * u, (-gamma + delta * u) * v])

    def move(z, _):
        k1 = slope(z)
        k2 = slope(z + h / 2 * k1)
        k3 = slope(z + h / 2 * k2)
        k4 = slope(z + h * k3)
        return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def year(z, _):
        z = ppl.scan("substep", move, z, length=steps_per_year)
        ppl.sample("y", LogNormal(torch.log(z), sigma))
        return z

    ppl.scan("year", year, z_init, length=years)


# ---------------------------------------------------------------- discrete latents


@ppl.model
def gauss_mix(size):
    mu = ppl.sample("mu", Restricted(Normal(0.0, 2.0).expand([2]), "ordered"))
    sigma = ppl.sample("sigma", HalfNormal(2.0).expand([2]))
    theta = ppl.sample("theta", BetaDistribution(5.0, 5.0))
    for _ in ppl.plate("n", size):
        z = ppl.sample("z", Bernoulli(1.0 - theta)).long()
        ppl.sample("y", Normal(mu[z], sigma[z]))


@ppl.model
def hmm_drive(alpha, length):
    theta = ppl.sample("theta", Dirichlet(alpha))
    phi = ppl.sample("phi", Restricted(Normal(torch.tensor([0.0, 3.0]), 1.0), "positive_ordered"))
    lambda_ = ppl.sample("lambda", Restricted(Normal(torch.tensor([0.0, 3.0]), 1.0), "positive_ordered"))

    def step(z, _):
        ppl.sample("u", Exponential(phi[z]))
        ppl.sample("v", Exponential(lambda_[z]))
        return ppl.sample("z", Categorical(theta[z]))

    start = ppl.sample("start", Categorical(torch.full([2], 0.5)))
    ppl.scan("time", step, start, length=length)


# ---------------------------------------------------------------- data


@dataclass(frozen=True)
class Case:
    """A model with its arguments, what it observes, and where each parameter of the reference stands: (site, index)."""

    bound: Any
    data: dict[str, Any]
    places: Mapping[str, tuple[str, tuple[int, ...]]]
    reference: Mapping[str, Mapping[str, float]] | None


def read(name: str) -> dict[str, Any]:
    """A JSON file of the reference folder, its lists as arrays."""
    found = json.loads((FOLDER / f"{name}.json").read_text())
    return {k: np.asarray(v) if isinstance(v, list) else v for k, v in found.items()}


def sites(**shapes: tuple[int, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Parameters named like their sites, indices from 1: `sites(mu=(), b=(2,))` gives mu, b[1], b[2]."""
    places = {}
    for site, shape in shapes.items():
        for index in product(*map(range, shape)):
            places[site + (f"[{','.join(str(i + 1) for i in index)}]" if index else "")] = (site, index)
    return places


def _columns(*columns: Any) -> np.ndarray:
    return np.stack([np.asarray(c, float) for c in columns], 1)


def _eight_schools(d: dict[str, Any]) -> Case:
    return Case(eight_schools(d["sigma"]), {"y": d["y"]}, sites(mu=(), tau=(), theta=(8,)), None)


def _non_centred(d: dict[str, Any]) -> Case:
    one = _eight_schools(d)
    return Case(one.bound.reparam(theta=ppl.NonCentered()), one.data, one.places, None)


def _radon(d: dict[str, Any]) -> Case:
    bound = radon(d["county_idx"] - 1, d["log_uppm"], d["floor_measure"], d["J"]).reparam(alpha=ppl.NonCentered())
    return Case(bound, {"log_radon": d["log_radon"]}, {}, None)


def _irt(d: dict[str, Any]) -> Case:
    return Case(irt_2pl(d["I"], d["J"]), {"y": d["y"]}, {}, None)


def _election88(d: dict[str, Any]) -> Case:
    index = {k: d[k] - 1 for k in ("age", "edu", "age_edu", "state")}
    sizes = {"age": d["n_age"], "edu": d["n_edu"], "age_edu": d["n_age_edu"], "state": d["n_state"], "region": d["n_region_full"]}
    rest = {"region": d["region_full"] - 1, "black": d["black"], "female": d["female"], "v_prev": d["v_prev_full"]}
    return Case(election88(**index, **rest, sizes=sizes), {"y": d["y"]}, {}, None)


def _earnings(d: dict[str, Any]) -> Case:
    X = _columns(np.ones(d["N"]), d["height"], d["male"], d["height"] * d["male"])
    return Case(flat_regression(X), {"y": np.log(d["earn"])}, sites(beta=(4,), sigma=()), None)


def _mesquite(d: dict[str, Any]) -> Case:
    area, shape = d["diam1"] * d["diam2"], d["diam1"] / d["diam2"]
    logs = np.log([area * d["canopy_height"], area, shape, d["total_height"], d["density"]])
    X = _columns(np.ones(d["N"]), *logs, d["group"])
    return Case(flat_regression(X), {"y": np.log(d["weight"])}, sites(beta=(7,), sigma=()), None)


def _nes1980(d: dict[str, Any]) -> Case:
    ages = [d["age_discrete"] == k for k in (2, 3, 4)]
    X = _columns(np.ones(d["N"]), d["real_ideo"], d["race_adj"], *ages, d["educ1"], d["gender"], d["income"])
    return Case(flat_regression(X), {"y": d["partyid7"]}, sites(beta=(9,), sigma=()), None)


def _kidiq(d: dict[str, Any]) -> Case:
    return Case(kidiq_interaction(d["mom_hs"], d["mom_iq"]), {"kid_score": d["kid_score"]}, sites(beta=(4,), sigma=()), None)


def _blr(d: dict[str, Any]) -> Case:
    return Case(blr(d["X"]), {"y": d["y"]}, sites(beta=(5,), sigma=()), None)


def _diamonds(d: dict[str, Any]) -> Case:
    return Case(diamonds(d["X"]), {"Y": d["Y"]}, sites(b=(24,), Intercept=(), sigma=()), None)


def _wells(d: dict[str, Any]) -> Case:
    return Case(wells(d["dist"], d["arsenic"]), {"switched": d["switched"]}, {}, None)


def _gp(d: dict[str, Any]) -> Case:
    return Case(gp_pois_regr(d["x"].astype(float)), {"k": d["k"]}, sites(rho=(), alpha=(), f=(11,)), None)


def _ark(d: dict[str, Any]) -> Case:
    K, y = d["K"], d["y"]
    past = np.lib.stride_tricks.sliding_window_view(y[:-1], K)[:, ::-1]
    return Case(ark(past), {"y": y[K:]}, sites(alpha=(), beta=(5,), sigma=()), None)


def _ark_scan(d: dict[str, Any]) -> Case:
    K, y = d["K"], d["y"]
    return Case(ark_scan(y[:K][::-1], d["T"] - K), {"y": y[K:]}, sites(alpha=(), beta=(5,), sigma=()), None)


def _garch(d: dict[str, Any]) -> Case:
    return Case(garch(d["sigma1"], d["T"]), {"y": d["y"]}, sites(mu=(), alpha0=(), alpha1=(), beta1=()), None)


def _lotka_volterra(d: dict[str, Any]) -> Case:
    data = {"y_init": d["y_init"], "y": d["y"]}
    return Case(lotka_volterra(d["N"]), data, sites(theta=(4,), z_init=(2,), sigma=(2,)), None)


def _gauss_mix(d: dict[str, Any]) -> Case:
    return Case(gauss_mix(d["N"]), {"y": d["y"]}, sites(mu=(2,), sigma=(2,), theta=()), None)


def _hmm(d: dict[str, Any]) -> Case:
    rows = {f"theta{i + 1}[{j + 1}]": ("theta", (i, j)) for i in range(2) for j in range(2)}
    places = {**rows, **sites(phi=(2,)), **sites(**{"lambda": (2,)})}
    return Case(hmm_drive(d["alpha"].astype(float), d["N"]), {"u": d["u"], "v": d["v"]}, places, None)


# case → (data file, reference file or None, how to bind it)
CASES: dict[str, tuple[str, str | None, Callable[[dict[str, Any]], Case]]] = {
    "eight_schools": ("eight_schools", "eight_schools-eight_schools_centered", _eight_schools),
    "eight_schools_non_centred": ("eight_schools", "eight_schools-eight_schools_noncentered", _non_centred),
    "arK": ("arK", "arK-arK", _ark),
    "arK_scan": ("arK", "arK-arK", _ark_scan),
    "garch": ("garch", "garch-garch11", _garch),
    "kidiq": ("kidiq", "kidiq-kidscore_interaction", _kidiq),
    "earnings": ("earnings", "earnings-logearn_interaction", _earnings),
    "mesquite": ("mesquite", "mesquite-logmesquite_logvas", _mesquite),
    "nes1980": ("nes1980", "nes1980-nes", _nes1980),
    "sblrc": ("sblrc", "sblrc-blr", _blr),
    "diamonds": ("diamonds", "diamonds-diamonds", _diamonds),
    "gp_pois_regr": ("gp_pois_regr", "gp_pois_regr-gp_pois_regr", _gp),
    "lotka_volterra": ("hudson_lynx_hare", "hudson_lynx_hare-lotka_volterra", _lotka_volterra),
    "low_dim_gauss_mix": ("low_dim_gauss_mix", "low_dim_gauss_mix-low_dim_gauss_mix", _gauss_mix),
    "hmm_drive": ("bball_drive_event_0", "bball_drive_event_0-hmm_drive_0", _hmm),
    "radon_mn": ("radon_mn", None, _radon),
    "irt_2pl": ("irt_2pl", None, _irt),
    "wells": ("wells_data", None, _wells),
    "election88": ("election88", None, _election88),
}
DISCRETE = ("low_dim_gauss_mix", "hmm_drive")


def case(name: str) -> Case:
    """The model `name` with its data, and the reference's statistics by parameter where there is one."""
    data, reference, bind = CASES[name]
    made = bind(read(f"{data}.data"))
    statistics = read(f"{reference}.reference")["parameters"] if reference else None
    return Case(made.bound, made.data, made.places, statistics)
