"""A normal of four dimensions with an LKJ prior of its correlations: 100 rows.

mu ~ N(0, 5), scale_k ~ HalfNormal(2), L ~ LKJCholesky(4, 2), y_n ~ N(mu, A Aᵀ) with A = diag(scale) L.
"""

from __future__ import annotations

from typing import Any

import numpy as np

QUANTITIES = ("mu", "scale", "correlation")
REFERENCE = None
C_FILE = "lkj_normal.c"


def data() -> dict[str, Any]:
    rng = np.random.default_rng(4)
    factor = np.tril(rng.standard_normal((4, 4))) + 2.0 * np.eye(4)
    y = np.array([1.0, -1.0, 0.5, 2.0]) + rng.standard_normal((100, 4)) @ factor.T / 2.0
    return {"N": 100, "D": 4, "y": y}


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import HalfNormal, LKJCholesky, MultivariateNormal, Normal

    @ppl.model
    def lkj_normal(rows, dim):
        mu = ppl.sample("mu", Normal(0.0, 5.0).expand([dim]))
        scale = ppl.sample("scale", HalfNormal(2.0).expand([dim]))
        L = ppl.sample("L", LKJCholesky(dim, 2.0))
        ppl.deterministic("correlation", L @ L.T)
        for _ in ppl.plate("row", rows):
            ppl.sample("y", MultivariateNormal(mu, scale_tril=scale[:, None] * L))

    return lkj_normal(d["N"], d["D"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    y, D = jnp.asarray(d["y"]), d["D"]

    def model() -> None:
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0).expand([D]).to_event(1))
        scale = numpyro.sample("scale", dist.HalfNormal(2.0).expand([D]).to_event(1))
        L = numpyro.sample("L", dist.LKJCholesky(D, 2.0))
        numpyro.deterministic("correlation", L @ L.T)
        with numpyro.plate("row", d["N"]):
            numpyro.sample("y", dist.MultivariateNormal(mu, scale_tril=scale[:, None] * L), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    D = d["D"]
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0, shape=D)
        packed = pm.HalfNormal.dist(2.0, shape=D)
        chol, correlation, scale = pm.LKJCholeskyCov("A", eta=2.0, n=D, sd_dist=packed, store_in_trace=False)
        pm.Deterministic("scale", scale)
        pm.Deterministic("correlation", correlation)
        pm.MvNormal("y", mu, chol=chol, observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  int<lower=1> D;
  array[N] vector[D] y;
}
parameters {
  vector[D] mu;
  vector<lower=0>[D] scale;
  cholesky_factor_corr[D] L;
}
model {
  mu ~ normal(0, 5);
  scale ~ normal(0, 2);
  L ~ lkj_corr_cholesky(2);
  y ~ multi_normal_cholesky(mu, diag_pre_multiply(scale, L));
}
generated quantities {
  matrix[D, D] correlation = multiply_lower_tri_self_transpose(L);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d


def c_inputs(d: dict[str, Any]) -> list[Any]:
    return [d["y"], d["N"]]
