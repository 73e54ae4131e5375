"""Eight schools (Rubin 1981), centred: a funnel, in which every sampler takes small steps.

mu ~ N(0, 5), tau ~ HalfCauchy(5), theta_j ~ N(mu, tau), y_j ~ N(theta_j, sigma_j).
"""

from __future__ import annotations

from typing import Any

from models.eight_schools import c_inputs, centred, data, stan_data

__all__ = ["c_inputs", "data", "stan_data"]

QUANTITIES = ("mu", "tau", "theta")
REFERENCE = "eight_schools-eight_schools_centered"
C_FILE = "eight_schools_centred.c"


def ppl_model(d: dict[str, Any]) -> Any:
    return centred(d)


def numpyro_model(d: dict[str, Any]) -> Any:
    import numpyro
    import numpyro.distributions as dist

    def model() -> None:
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
        with numpyro.plate("school", d["J"]):
            theta = numpyro.sample("theta", dist.Normal(mu, tau))
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
            theta = pyro.sample("theta", dist.Normal(mu, tau))
            pyro.sample("y", dist.Normal(theta, sigma), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 5.0)
        theta = pm.Normal("theta", mu, tau, shape=d["J"])
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
  vector[J] theta;
}
model {
  mu ~ normal(0, 5);
  tau ~ cauchy(0, 5);
  theta ~ normal(mu, tau);
  y ~ normal(theta, sigma);
}
"""
