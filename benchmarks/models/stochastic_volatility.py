"""Stochastic volatility (Kim, Shephard & Chib 1998), non-centred: 500 returns, a latent state each.

mu ~ N(0, 5), phi uniform on (−1, 1), sigma ~ HalfCauchy(1), raw_t ~ N(0, 1), h_1 = sigma raw_1 / √(1 − phi²),
h_t = phi h_{t−1} + sigma raw_t, y_t ~ N(0, exp((mu + h_t) / 2)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

QUANTITIES = ("mu", "phi", "sigma", "raw")
REFERENCE = None
C_FILE = "stochastic_volatility.c"


def data(steps: int = 500) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    mu, phi, sigma = -1.0, 0.95, 0.25
    raw = rng.standard_normal(steps)
    h = np.empty(steps)
    h[0] = sigma * raw[0] / np.sqrt(1.0 - phi**2)
    for t in range(1, steps):
        h[t] = phi * h[t - 1] + sigma * raw[t]
    return {"T": steps, "y": np.exp(0.5 * (mu + h)) * rng.standard_normal(steps)}


def ppl_model(d: dict[str, Any]) -> Any:
    import torch

    import ppl
    from ppl.distributions import HalfCauchy, Normal, Uniform

    @ppl.model
    def stochastic_volatility(steps):
        mu = ppl.sample("mu", Normal(0.0, 5.0))
        phi = ppl.sample("phi", Uniform(-1.0, 1.0))
        sigma = ppl.sample("sigma", HalfCauchy(1.0))
        raw = ppl.sample("raw", Normal(0.0, 1.0).expand([steps]))
        first = sigma * raw[:1] / torch.sqrt(1.0 - phi**2)

        def step(h, shock):
            h = phi * h + shock
            ppl.sample("y", Normal(0.0, torch.exp(0.5 * (mu + h))))
            return h

        ppl.scan("time", step, torch.tensor(0.0), torch.cat([first, sigma * raw[1:]]))

    return stochastic_volatility(d["T"]).condition(y=d["y"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    y = jnp.asarray(d["y"])

    def model() -> None:
        mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
        phi = numpyro.sample("phi", dist.Uniform(-1.0, 1.0))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(1.0))
        raw = numpyro.sample("raw", dist.Normal(0.0, 1.0).expand([d["T"]]).to_event(1))
        first = sigma * raw[:1] / jnp.sqrt(1.0 - phi**2)

        def step(h: Any, shock: Any) -> tuple[Any, Any]:
            h = phi * h + shock
            return h, h

        _, h = jax.lax.scan(step, jnp.asarray(0.0), jnp.concatenate([first, sigma * raw[1:]]))
        with numpyro.plate("time", d["T"]):
            numpyro.sample("y", dist.Normal(0.0, jnp.exp(0.5 * (mu + h))), obs=y)

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm
    import pytensor
    import pytensor.tensor as pt

    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        phi = pm.Uniform("phi", -1.0, 1.0)
        sigma = pm.HalfCauchy("sigma", 1.0)
        raw = pm.Normal("raw", 0.0, 1.0, shape=d["T"])
        first = sigma * raw[:1] / pt.sqrt(1.0 - phi**2)

        def step(shock: Any, h: Any, phi: Any) -> Any:
            return phi * h + shock

        h, _ = pytensor.scan(
            step,
            sequences=[pt.concatenate([first, sigma * raw[1:]])],
            outputs_info=[pt.constant(0.0, dtype="float64")],
            non_sequences=[phi],
            strict=True,
        )
        pm.Normal("y", 0.0, pt.exp(0.5 * (mu + h)), observed=d["y"])
    return model


STAN_CODE = """
data {
  int<lower=0> T;
  vector[T] y;
}
parameters {
  real mu;
  real<lower=-1, upper=1> phi;
  real<lower=0> sigma;
  vector[T] raw;
}
model {
  vector[T] h = sigma * raw;
  h[1] /= sqrt(1 - square(phi));
  for (t in 2:T) {
    h[t] += phi * h[t - 1];
  }
  mu ~ normal(0, 5);
  sigma ~ cauchy(0, 1);
  raw ~ std_normal();
  y ~ normal(0, exp(0.5 * (mu + h)));
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d


def c_inputs(d: dict[str, Any]) -> list[Any]:
    """The squares of y, since nothing else of it matters, and room for two series."""
    return [d["y"] ** 2, np.zeros(2 * d["T"]), d["T"]]
