"""An autoregression of five lags: alpha, beta_k ~ N(0, 10), sigma ~ HalfCauchy(2.5),
y_t ~ N(alpha + Σ_k beta_k y_{t−k}, sigma) for t > 5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.files import read_data

QUANTITIES = ("alpha", "beta", "sigma")
REFERENCE = "arK-arK"
C_FILE = None


def data() -> dict[str, Any]:
    """`past [T − K, K]` has for each time the values before it, the latest first."""
    d = read_data("arK")
    K, y = d["K"], d["y"].astype(float)
    past = np.lib.stride_tricks.sliding_window_view(y[:-1], K)[:, ::-1]
    return {"N": len(y) - K, "K": K, "past": np.ascontiguousarray(past), "y": y[K:]}


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import HalfCauchy, Normal

    @ppl.model
    def ark(past):
        alpha = ppl.sample("alpha", Normal(0.0, 10.0))
        beta = ppl.sample("beta", Normal(0.0, 10.0).expand([past.shape[1]]))
        sigma = ppl.sample("sigma", HalfCauchy(2.5))
        ppl.sample("y", Normal(alpha + past @ beta, sigma))

    return ark(d["past"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    past, y = jnp.asarray(d["past"]), jnp.asarray(d["y"])

    def model() -> None:
        alpha = numpyro.sample("alpha", dist.Normal(0.0, 10.0))
        beta = numpyro.sample("beta", dist.Normal(0.0, 10.0).expand([d["K"]]).to_event(1))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))
        with numpyro.plate("time", d["N"]):
            numpyro.sample("y", dist.Normal(alpha + past @ beta, sigma), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        alpha = pm.Normal("alpha", 0.0, 10.0)
        beta = pm.Normal("beta", 0.0, 10.0, shape=d["K"])
        sigma = pm.HalfCauchy("sigma", 2.5)
        pm.Normal("y", alpha + pm.math.dot(d["past"], beta), sigma, observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  int<lower=0> K;
  matrix[N, K] past;
  vector[N] y;
}
parameters {
  real alpha;
  vector[K] beta;
  real<lower=0> sigma;
}
model {
  alpha ~ normal(0, 10);
  beta ~ normal(0, 10);
  sigma ~ cauchy(0, 2.5);
  y ~ normal_id_glm(past, alpha, beta, sigma);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d
