"""Item response theory with two parameters an item: 20 questions, 100 persons.

sigma_theta, sigma_a, sigma_b ~ HalfCauchy(2), theta_j ~ N(0, sigma_theta), a_i ~ LogNormal(0, sigma_a),
mu_b ~ N(0, 5), b_i ~ N(mu_b, sigma_b), y_ij ~ Bernoulli(logit⁻¹(a_i (theta_j − b_i))).
"""

from __future__ import annotations

from typing import Any

from models.files import read_data

QUANTITIES = ("sigma_theta", "sigma_a", "sigma_b", "mu_b", "theta", "a", "b")
REFERENCE = None
C_FILE = "irt_2pl.c"


def data() -> dict[str, Any]:
    d = read_data("irt_2pl")
    return {"I": d["I"], "J": d["J"], "y": d["y"]}


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import Bernoulli, HalfCauchy, LogNormal, Normal

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

    return irt_2pl(d["I"], d["J"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    y = jnp.asarray(d["y"])

    def model() -> None:
        sigma_theta = numpyro.sample("sigma_theta", dist.HalfCauchy(2.0))
        sigma_a = numpyro.sample("sigma_a", dist.HalfCauchy(2.0))
        sigma_b = numpyro.sample("sigma_b", dist.HalfCauchy(2.0))
        mu_b = numpyro.sample("mu_b", dist.Normal(0.0, 5.0))
        with numpyro.plate("person", d["J"], dim=-1):
            theta = numpyro.sample("theta", dist.Normal(0.0, sigma_theta))
        with numpyro.plate("item of its own", d["I"], dim=-1):
            a = numpyro.sample("a", dist.LogNormal(0.0, sigma_a))
            b = numpyro.sample("b", dist.Normal(mu_b, sigma_b))
        logits = a[:, None] * (theta - b[:, None])
        with numpyro.plate("items", d["I"], dim=-2), numpyro.plate("persons", d["J"], dim=-1):
            numpyro.sample("y", dist.Bernoulli(logits=logits), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        sigma_theta = pm.HalfCauchy("sigma_theta", 2.0)
        sigma_a = pm.HalfCauchy("sigma_a", 2.0)
        sigma_b = pm.HalfCauchy("sigma_b", 2.0)
        mu_b = pm.Normal("mu_b", 0.0, 5.0)
        theta = pm.Normal("theta", 0.0, sigma_theta, shape=d["J"])
        a = pm.LogNormal("a", 0.0, sigma_a, shape=d["I"])
        b = pm.Normal("b", mu_b, sigma_b, shape=d["I"])
        pm.Bernoulli("y", logit_p=a[:, None] * (theta - b[:, None]), observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> I;
  int<lower=0> J;
  array[I, J] int<lower=0, upper=1> y;
}
parameters {
  real<lower=0> sigma_theta;
  real<lower=0> sigma_a;
  real<lower=0> sigma_b;
  real mu_b;
  vector[J] theta;
  vector<lower=0>[I] a;
  vector[I] b;
}
model {
  sigma_theta ~ cauchy(0, 2);
  sigma_a ~ cauchy(0, 2);
  sigma_b ~ cauchy(0, 2);
  mu_b ~ normal(0, 5);
  theta ~ normal(0, sigma_theta);
  a ~ lognormal(0, sigma_a);
  b ~ normal(mu_b, sigma_b);
  for (i in 1:I) {
    y[i] ~ bernoulli_logit(a[i] * (theta - b[i]));
  }
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d


def c_inputs(d: dict[str, Any]) -> list[Any]:
    return [d["y"].astype(float), d["I"], d["J"]]
