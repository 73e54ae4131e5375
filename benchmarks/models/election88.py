"""Votes of 1988 (Gelman & Hill 2007, chapter 14): 11,566 voters, varying intercepts of five factors.

beta ~ N(0, 100), sigma_· flat on (0, 100), a, b, c, d, e ~ N(0, sigma_·) by age, education, both, state,
region, and y ~ Bernoulli(logit⁻¹(η)) with
η = beta_1 + beta_2 black + beta_3 female + beta_4 v_prev + beta_5 female·black + a + b + c + d + e.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.files import one_based, read_data

QUANTITIES = ("beta", *(f"sigma_{k}" for k in "abcde"), *"abcde")
REFERENCE = None
C_FILE = "election88.c"

FACTORS = {"a": "age", "b": "edu", "c": "age_edu", "d": "state", "e": "region"}


def data() -> dict[str, Any]:
    d = read_data("election88")
    d["region"], d["n_region"] = d["region_full"], d["n_region_full"]
    found = {name: d[name] - 1 for name in FACTORS.values()}
    found |= {f"n_{name}": d[f"n_{name}"] for name in FACTORS.values()}
    found |= {name: d[name].astype(float) for name in ("black", "female")}
    return {**found, "N": d["N"], "v_prev": d["v_prev_full"].astype(float), "y": d["y"]}


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import Bernoulli, Flat, Normal

    def effects(name, groups):
        sigma = ppl.sample(f"sigma_{name}", Flat(0.0, 100.0))
        return ppl.sample(name, Normal(0.0, sigma).expand([groups]))

    @ppl.model
    def election88(groups, sizes, black, female, v_prev):
        beta = ppl.sample("beta", Normal(0.0, 100.0).expand([5]))
        levels = [effects(name, size) for name, size in zip("abcde", sizes, strict=True)]
        for n in ppl.plate("voter", len(black)):
            logit = beta[0] + beta[1] * black[n] + beta[2] * female[n]
            logit = logit + beta[4] * female[n] * black[n] + beta[3] * v_prev[n]
            for effect, group in zip(levels, groups, strict=True):
                logit = logit + effect[group[n]]
            ppl.sample("y", Bernoulli(logits=logit))

    groups = [d[name] for name in FACTORS.values()]
    sizes = [d[f"n_{name}"] for name in FACTORS.values()]
    return election88(groups, sizes, d["black"], d["female"], d["v_prev"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    arrays = {k: jnp.asarray(v) for k, v in d.items() if isinstance(v, np.ndarray)}
    black, female, v_prev = arrays["black"], arrays["female"], arrays["v_prev"]

    def model() -> None:
        beta = numpyro.sample("beta", dist.Normal(0.0, 100.0).expand([5]).to_event(1))
        logit = beta[0] + beta[1] * black + beta[2] * female + beta[4] * female * black + beta[3] * v_prev
        for name, factor in FACTORS.items():
            sigma = numpyro.sample(f"sigma_{name}", dist.Uniform(0.0, 100.0))
            effect = numpyro.sample(name, dist.Normal(0.0, sigma).expand([d[f"n_{factor}"]]).to_event(1))
            logit = logit + effect[arrays[factor]]
        with numpyro.plate("voter", d["N"]):
            numpyro.sample("y", dist.Bernoulli(logits=logit), obs=arrays["y"])

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    black, female, v_prev = d["black"], d["female"], d["v_prev"]
    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, 100.0, shape=5)
        logit = beta[0] + beta[1] * black + beta[2] * female + beta[4] * (female * black) + beta[3] * v_prev
        for name, factor in FACTORS.items():
            sigma = pm.Uniform(f"sigma_{name}", 0.0, 100.0)
            effect = pm.Normal(name, 0.0, sigma, shape=d[f"n_{factor}"])
            logit = logit + effect[d[factor]]
        pm.Bernoulli("y", logit_p=logit, observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  int n_age;
  int n_edu;
  int n_age_edu;
  int n_state;
  int n_region;
  array[N] int<lower=1, upper=n_age> age;
  array[N] int<lower=1, upper=n_edu> edu;
  array[N] int<lower=1, upper=n_age_edu> age_edu;
  array[N] int<lower=1, upper=n_state> state;
  array[N] int<lower=1, upper=n_region> region;
  vector[N] black;
  vector[N] female;
  vector[N] v_prev;
  array[N] int<lower=0, upper=1> y;
}
transformed data {
  matrix[N, 4] x = append_col(append_col(black, female), append_col(v_prev, female .* black));
}
parameters {
  vector[5] beta;
  real<lower=0, upper=100> sigma_a;
  vector[n_age] a;
  real<lower=0, upper=100> sigma_b;
  vector[n_edu] b;
  real<lower=0, upper=100> sigma_c;
  vector[n_age_edu] c;
  real<lower=0, upper=100> sigma_d;
  vector[n_state] d;
  real<lower=0, upper=100> sigma_e;
  vector[n_region] e;
}
model {
  beta ~ normal(0, 100);
  a ~ normal(0, sigma_a);
  b ~ normal(0, sigma_b);
  c ~ normal(0, sigma_c);
  d ~ normal(0, sigma_d);
  e ~ normal(0, sigma_e);
  y ~ bernoulli_logit_glm(x, beta[1] + a[age] + b[edu] + c[age_edu] + d[state] + e[region], beta[2:5]);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return one_based(d, *FACTORS.values())


def c_inputs(d: dict[str, Any]) -> list[Any]:
    """Levels of the factors as 32-bit places in the position vector; predictors, a column after the other."""
    columns = np.stack([d["black"], d["female"], d["v_prev"], d["female"] * d["black"]])
    groups, start = [], 6
    for factor in FACTORS.values():
        groups.append(d[factor] + start)
        start += d[f"n_{factor}"] + 1  # the next factor's deviation stands between
    sizes = [d[f"n_{factor}"] for factor in FACTORS.values()]
    return [np.stack(groups).astype(np.int32), columns, d["y"].astype(float), d["N"], *sizes]
