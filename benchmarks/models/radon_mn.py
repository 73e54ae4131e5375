"""Radon in Minnesota's homes (Gelman & Hill 2007, chapter 12): 85 counties, non-centred.

mu_a ~ N(0, 10), sigma_a ~ HalfNormal(1), alpha_j = mu_a + sigma_a·base_j with base_j ~ N(0, 1),
beta_k ~ N(0, 10), sigma_y ~ HalfNormal(1),
log_radon_n ~ N(alpha_{county n} + beta_1 log_uppm_n + beta_2 floor_n, sigma_y).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.files import one_based, read_data

QUANTITIES = ("mu_a", "sigma_a", "beta", "sigma_y", "alpha")
REFERENCE = None
C_FILE = "radon_mn.c"


def data() -> dict[str, Any]:
    d = read_data("radon_mn")
    return {
        "N": d["N"],
        "J": d["J"],
        "county": d["county_idx"] - 1,
        "log_uppm": d["log_uppm"].astype(float),
        "floor": d["floor_measure"].astype(float),
        "log_radon": d["log_radon"].astype(float),
    }


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import HalfNormal, Normal

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

    bound = radon(d["county"], d["log_uppm"], d["floor"], d["J"])
    return bound.reparam(alpha=ppl.NonCentered()).condition(log_radon=d["log_radon"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    county, log_uppm, floor, log_radon = map(
        jnp.asarray, (d["county"], d["log_uppm"], d["floor"], d["log_radon"])
    )

    def model() -> None:
        mu_a = numpyro.sample("mu_a", dist.Normal(0.0, 10.0))
        sigma_a = numpyro.sample("sigma_a", dist.HalfNormal(1.0))
        beta = numpyro.sample("beta", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
        sigma_y = numpyro.sample("sigma_y", dist.HalfNormal(1.0))
        with numpyro.plate("county", d["J"]):
            base = numpyro.sample("base", dist.Normal(0.0, 1.0))
        alpha = numpyro.deterministic("alpha", mu_a + sigma_a * base)
        mean = alpha[county] + beta[0] * log_uppm + beta[1] * floor
        with numpyro.plate("home", d["N"]):
            numpyro.sample("log_radon", dist.Normal(mean, sigma_y), obs=log_radon)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        mu_a = pm.Normal("mu_a", 0.0, 10.0)
        sigma_a = pm.HalfNormal("sigma_a", 1.0)
        beta = pm.Normal("beta", 0.0, 10.0, shape=2)
        sigma_y = pm.HalfNormal("sigma_y", 1.0)
        base = pm.Normal("base", 0.0, 1.0, shape=d["J"])
        alpha = pm.Deterministic("alpha", mu_a + sigma_a * base)
        mean = alpha[d["county"]] + beta[0] * d["log_uppm"] + beta[1] * d["floor"]
        pm.Normal("log_radon", mean, sigma_y, observed=d["log_radon"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  int<lower=0> J;
  array[N] int<lower=1, upper=J> county;
  vector[N] log_uppm;
  vector[N] floor;
  vector[N] log_radon;
}
transformed data {
  matrix[N, 2] x = append_col(log_uppm, floor);
}
parameters {
  real mu_a;
  real<lower=0> sigma_a;
  vector[2] beta;
  real<lower=0> sigma_y;
  vector[J] base;
}
transformed parameters {
  vector[J] alpha = mu_a + sigma_a * base;
}
model {
  mu_a ~ normal(0, 10);
  sigma_a ~ std_normal();
  beta ~ normal(0, 10);
  sigma_y ~ std_normal();
  base ~ std_normal();
  log_radon ~ normal_id_glm(x, alpha[county], beta, sigma_y);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return one_based(d, "county")


def c_inputs(d: dict[str, Any]) -> list[Any]:
    county = np.ascontiguousarray(d["county"], np.int32)
    return [county, d["log_uppm"], d["floor"], d["log_radon"], d["N"], d["J"]]
