"""Prices of diamonds: a regression of 5,000 rows on 24 correlated predictors.

b_k ~ N(0, 1), intercept ~ StudentT(3, 8, 10), sigma ~ HalfStudentT(3, 10), y ~ N(intercept + Xc b, sigma),
where Xc are the predictors less their means.
"""

from __future__ import annotations

from typing import Any

from models.files import read_data

QUANTITIES = ("b", "Intercept", "sigma")
REFERENCE = "diamonds-diamonds"
C_FILE = None


def data() -> dict[str, Any]:
    d = read_data("diamonds")
    X = d["X"][:, 1:].astype(float)
    return {"N": d["N"], "K": X.shape[1], "X": X - X.mean(0), "y": d["Y"].astype(float)}


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import HalfStudentT, Normal, StudentT

    @ppl.model
    def diamonds(X):
        b = ppl.sample("b", Normal(0.0, 1.0).expand([X.shape[1]]))
        intercept = ppl.sample("Intercept", StudentT(3.0, 8.0, 10.0))
        sigma = ppl.sample("sigma", HalfStudentT(3.0, 10.0))
        ppl.sample("y", Normal(intercept + X @ b, sigma))

    return diamonds(d["X"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    X, y = jnp.asarray(d["X"]), jnp.asarray(d["y"])

    def model() -> None:
        b = numpyro.sample("b", dist.Normal(0.0, 1.0).expand([d["K"]]).to_event(1))
        intercept = numpyro.sample("Intercept", dist.StudentT(3.0, 8.0, 10.0))
        half_t = dist.FoldedDistribution(dist.StudentT(3.0, 0.0, 10.0))
        sigma = numpyro.sample("sigma", half_t)
        with numpyro.plate("row", d["N"]):
            numpyro.sample("y", dist.Normal(intercept + X @ b, sigma), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 1.0, shape=d["K"])
        intercept = pm.StudentT("Intercept", nu=3.0, mu=8.0, sigma=10.0)
        sigma = pm.HalfStudentT("sigma", nu=3.0, sigma=10.0)
        pm.Normal("y", intercept + pm.math.dot(d["X"], b), sigma, observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  int<lower=0> K;
  matrix[N, K] X;
  vector[N] y;
}
parameters {
  vector[K] b;
  real Intercept;
  real<lower=0> sigma;
}
model {
  b ~ std_normal();
  Intercept ~ student_t(3, 8, 10);
  sigma ~ student_t(3, 0, 10);
  y ~ normal_id_glm(X, Intercept, b, sigma);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d
