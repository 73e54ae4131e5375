"""A mixture of three normals, its components summed out: 200 observations.

weights ~ Dirichlet(1, 1, 1), mu ~ N(0, 3) ordered, sigma_k ~ LogNormal(0, 0.5),
y_n has density Σ_k weights_k N(y_n | mu_k, sigma_k), written as a log-sum-exp.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

QUANTITIES = ("weights", "mu", "sigma")
REFERENCE = None
C_FILE = "mixture.c"

HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def data() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    z = rng.choice(3, size=200, p=[0.3, 0.4, 0.3])
    y = np.array([-3.0, 0.0, 3.5])[z] + np.array([0.7, 0.9, 0.8])[z] * rng.standard_normal(200)
    return {"N": 200, "K": 3, "y": y}


def ppl_model(d: dict[str, Any]) -> Any:
    import torch

    import ppl
    from ppl.distributions import Dirichlet, LogNormal, Normal, Restricted

    @ppl.model
    def mixture(y, components):
        weights = ppl.sample("weights", Dirichlet(torch.ones(components)))
        mu = ppl.sample("mu", Restricted(Normal(0.0, 3.0).expand([components]), "ordered"))
        sigma = ppl.sample("sigma", LogNormal(0.0, 0.5).expand([components]))
        log_weights = torch.log(weights) - torch.log(sigma) - HALF_LOG_2PI
        for n in ppl.plate("point", len(y)):
            ppl.factor("y", torch.logsumexp(log_weights - 0.5 * ((y[n] - mu) / sigma) ** 2, 0))

    return mixture(d["y"], d["K"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    y, K = jnp.asarray(d["y"]), d["K"]

    def model() -> None:
        weights = numpyro.sample("weights", dist.Dirichlet(jnp.ones(K)))
        mu = numpyro.sample("mu", dist.ImproperUniform(dist.constraints.ordered_vector, (), (K,)))
        numpyro.factor("prior of mu", dist.Normal(0.0, 3.0).log_prob(mu).sum())
        sigma = numpyro.sample("sigma", dist.LogNormal(0.0, 0.5).expand([K]).to_event(1))
        terms = jnp.log(weights) + dist.Normal(mu, sigma).log_prob(y[:, None])
        numpyro.factor("y", jax.nn.logsumexp(terms, axis=-1).sum())

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    K = d["K"]
    with pm.Model() as model:
        weights = pm.Dirichlet("weights", np.ones(K))
        ordered = pm.distributions.transforms.ordered
        mu = pm.Normal("mu", 0.0, 3.0, shape=K, transform=ordered, initval=np.linspace(-1.0, 1.0, K))
        sigma = pm.LogNormal("sigma", 0.0, 0.5, shape=K)
        terms = pm.math.log(weights) + pm.logp(pm.Normal.dist(mu, sigma), d["y"][:, None])
        pm.Potential("y", pm.math.logsumexp(terms, axis=-1).sum())
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  int<lower=1> K;
  vector[N] y;
}
parameters {
  simplex[K] weights;
  ordered[K] mu;
  vector<lower=0>[K] sigma;
}
model {
  vector[K] log_weights = log(weights);
  mu ~ normal(0, 3);
  sigma ~ lognormal(0, 0.5);
  for (n in 1:N) {
    vector[K] terms = log_weights;
    for (k in 1:K) {
      terms[k] += normal_lpdf(y[n] | mu[k], sigma[k]);
    }
    target += log_sum_exp(terms);
  }
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d


def c_inputs(d: dict[str, Any]) -> list[Any]:
    return [d["y"], d["N"]]
