"""GARCH(1, 1): a recursion of 200 steps, with bounds that depend on a parameter.

mu, alpha0 > 0 and (alpha1, beta1) on the triangle alpha1, beta1 ≥ 0, alpha1 + beta1 ≤ 1 are flat; s_1 is
given, s_t² = alpha0 + alpha1 (y_{t−1} − mu)² + beta1 s_{t−1}², and y_t ~ N(mu, s_t).
"""

from __future__ import annotations

from typing import Any

from models.files import read_data

QUANTITIES = ("mu", "alpha0", "alpha1", "beta1")
REFERENCE = "garch-garch11"
C_FILE = None


def data() -> dict[str, Any]:
    d = read_data("garch")
    return {"T": d["T"], "y": d["y"].astype(float), "sigma1": float(d["sigma1"])}


def ppl_model(d: dict[str, Any]) -> Any:
    import torch

    import ppl
    from ppl.distributions import Flat, Normal

    @ppl.model
    def garch(sigma1, length):
        mu = ppl.sample("mu", Flat())
        alpha0 = ppl.sample("alpha0", Flat(lower=0.0))
        alpha1 = ppl.sample("alpha1", Flat(0.0, 1.0))
        beta1 = ppl.sample("beta1", Flat(0.0, 1.0 - alpha1))

        def step(variance, _):
            y = ppl.sample("y", Normal(mu, torch.sqrt(variance)))
            return alpha0 + alpha1 * (y - mu) ** 2 + beta1 * variance

        ppl.scan("time", step, torch.tensor(sigma1**2), length=length)

    return garch(d["sigma1"], d["T"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    y = jnp.asarray(d["y"])

    def model() -> None:
        mu = numpyro.sample("mu", dist.ImproperUniform(dist.constraints.real, (), ()))
        alpha0 = numpyro.sample("alpha0", dist.ImproperUniform(dist.constraints.positive, (), ()))
        alpha1 = numpyro.sample("alpha1", dist.Uniform(0.0, 1.0))
        share = numpyro.sample("share", dist.Uniform(0.0, 1.0))
        beta1 = numpyro.deterministic("beta1", share * (1.0 - alpha1))
        numpyro.factor("flat on the triangle", jnp.log1p(-alpha1))

        def step(variance: Any, before: Any) -> tuple[Any, Any]:
            variance = alpha0 + alpha1 * (before - mu) ** 2 + beta1 * variance
            return variance, variance

        first = jnp.asarray(d["sigma1"] ** 2)
        _, later = jax.lax.scan(step, first, y[:-1])
        variances = jnp.concatenate([first[None], later])
        with numpyro.plate("time", d["T"]):
            numpyro.sample("y", dist.Normal(mu, jnp.sqrt(variances)), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    with pm.Model() as model:
        mu = pm.Flat("mu")
        alpha0 = pm.HalfFlat("alpha0")
        alpha1 = pm.Uniform("alpha1", 0.0, 1.0)
        share = pm.Uniform("share", 0.0, 1.0)
        beta1 = pm.Deterministic("beta1", share * (1.0 - alpha1))
        pm.Potential("flat on the triangle", pt.log1p(-alpha1))

        def step(before: Any, variance: Any, mu: Any, alpha0: Any, alpha1: Any, beta1: Any) -> Any:
            return alpha0 + alpha1 * (before - mu) ** 2 + beta1 * variance

        first = pt.constant(d["sigma1"] ** 2, dtype="float64")
        later, _ = pytensor.scan(
            step,
            sequences=[pt.constant(d["y"][:-1])],
            outputs_info=[first],
            non_sequences=[mu, alpha0, alpha1, beta1],
            strict=True,
        )
        variances = pt.concatenate([first[None], later])
        pm.Normal("y", mu, pt.sqrt(variances), observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> T;
  vector[T] y;
  real<lower=0> sigma1;
}
parameters {
  real mu;
  real<lower=0> alpha0;
  real<lower=0, upper=1> alpha1;
  real<lower=0, upper=(1 - alpha1)> beta1;
}
model {
  vector[T] sigma;
  sigma[1] = sigma1;
  for (t in 2:T) {
    sigma[t] = sqrt(alpha0 + alpha1 * square(y[t - 1] - mu) + beta1 * square(sigma[t - 1]));
  }
  y ~ normal(mu, sigma);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d
