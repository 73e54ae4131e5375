"""Logistic regression on synthetic data: beta_k ~ N(0, 1), y_n ~ Bernoulli(logit⁻¹(x_n·beta)).

Rows of X are standard normal, divided by √columns, so that the log odds have a deviation near 1.5.
"""

from __future__ import annotations

from typing import Any

import numpy as np

QUANTITIES = ("beta",)
REFERENCE = None
C_FILE = "logistic.c"


def data(rows: int = 1000, columns: int = 20) -> dict[str, Any]:
    rng = np.random.default_rng(20)
    X = rng.standard_normal((rows, columns)) / np.sqrt(columns)
    beta = 1.5 * rng.standard_normal(columns)
    y = rng.random(rows) < 1.0 / (1.0 + np.exp(-(X @ beta)))
    return {"N": rows, "K": columns, "X": X, "y": y.astype(np.int64)}


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import Bernoulli, Normal

    @ppl.model
    def logistic(X):
        beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
        ppl.sample("y", Bernoulli(logits=X @ beta))

    return logistic(d["X"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    X, y = jnp.asarray(d["X"]), jnp.asarray(d["y"])

    def model() -> None:
        beta = numpyro.sample("beta", dist.Normal(0.0, 1.0).expand([d["K"]]).to_event(1))
        with numpyro.plate("row", d["N"]):
            numpyro.sample("y", dist.Bernoulli(logits=X @ beta), obs=y)

    return model


def pyro_model(d: dict[str, Any]) -> Any:
    import pyro
    import pyro.distributions as dist
    import torch

    X, y = torch.as_tensor(d["X"]), torch.as_tensor(d["y"], dtype=torch.float64)

    def model() -> None:
        beta = pyro.sample("beta", dist.Normal(X.new_zeros(d["K"]), 1.0).to_event(1))
        with pyro.plate("row", d["N"]):
            pyro.sample("y", dist.Bernoulli(logits=X @ beta), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, 1.0, shape=d["K"])
        pm.Bernoulli("y", logit_p=pm.math.dot(d["X"], beta), observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  int<lower=0> K;
  matrix[N, K] X;
  array[N] int<lower=0, upper=1> y;
}
parameters {
  vector[K] beta;
}
model {
  beta ~ std_normal();
  y ~ bernoulli_logit_glm(X, 0, beta);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d


def c_inputs(d: dict[str, Any]) -> list[Any]:
    return [d["X"], d["y"].astype(float), d["N"], d["K"]]
