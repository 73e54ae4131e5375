"""Eight schools (Rubin 1981), non-centred: effects of coaching on test scores.

mu ~ N(0, 5), tau ~ HalfCauchy(5), theta_j = mu + tau·base_j with base_j ~ N(0, 1), y_j ~ N(theta_j, sigma_j).
"""

from __future__ import annotations

from typing import Any

from models.files import read_data

QUANTITIES = ("mu", "tau", "theta")
REFERENCE = "eight_schools-eight_schools_noncentered"
C_FILE = "eight_schools.c"


def data() -> dict[str, Any]:
    d = read_data("eight_schools")
    return {"J": d["J"], "y": d["y"].astype(float), "sigma": d["sigma"].astype(float)}


def centred(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import HalfCauchy, Normal

    @ppl.model
    def eight_schools(sigma):
        mu = ppl.sample("mu", Normal(0.0, 5.0))
        tau = ppl.sample("tau", HalfCauchy(5.0))
        for j in ppl.plate("school", len(sigma)):
            theta = ppl.sample("theta", Normal(mu, tau))
            ppl.sample("y", Normal(theta, sigma[j]))

    return eight_schools(d["sigma"]).condition(y=d["y"])


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl

    return centred(d).reparam(theta=ppl.NonCentered())


def numpyro_model(d: dict[str, Any]) -> Any:
    import numpyro
    import numpyro.distributions as dist

    def model() -> None:
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
        with numpyro.plate("school", d["J"]):
            base = numpyro.sample("base", dist.Normal(0.0, 1.0))
            theta = numpyro.deterministic("theta", mu + tau * base)
            numpyro.sample("y", dist.Normal(theta, d["sigma"]), obs=d["y"])

    return model


def pyro_model(d: dict[str, Any]) -> Any:
    import pyro
    import pyro.distributions as dist
    import torch

    sigma, y = torch.as_tensor(d["sigma"]), torch.as_tensor(d["y"])

    def model() -> None:
        mu = pyro.sample("mu", dist.Normal(torch.zeros_like(y[0]), 5.0))
        tau = pyro.sample("tau", dist.HalfCauchy(torch.full_like(y[0], 5.0)))
        with pyro.plate("school", d["J"]):
            base = pyro.sample("base", dist.Normal(torch.zeros_like(y), 1.0))
            theta = mu + tau * base
            pyro.sample("y", dist.Normal(theta, sigma), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 5.0)
        base = pm.Normal("base", 0.0, 1.0, shape=d["J"])
        theta = pm.Deterministic("theta", mu + tau * base)
        pm.Normal("y", theta, d["sigma"], observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> J;
  vector[J] y;
  vector<lower=0>[J] sigma;
}
parameters {
  real mu;
  real<lower=0> tau;
  vector[J] base;
}
transformed parameters {
  vector[J] theta = mu + tau * base;
}
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  base ~ std_normal();
  y ~ normal(theta, sigma);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d


def c_inputs(d: dict[str, Any]) -> list[Any]:
    return [d["y"], 1.0 / d["sigma"], d["J"]]
