"""Who changed to another well (Gelman & Hill 2007, chapter 5): logistic regression with three parameters.

alpha, beta_1, beta_2 flat, switched_n ~ Bernoulli(logit⁻¹(alpha + beta_1 dist_n / 100 + beta_2 arsenic_n)).
"""

from __future__ import annotations

from typing import Any

from models.files import read_data

QUANTITIES = ("alpha", "beta")
REFERENCE = None
C_FILE = None


def data() -> dict[str, Any]:
    d = read_data("wells_data")
    return {"N": d["N"], "dist": d["dist"].astype(float), "arsenic": d["arsenic"], "switched": d["switched"]}


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import Bernoulli, Flat

    @ppl.model
    def wells(dist, arsenic):
        alpha = ppl.sample("alpha", Flat())
        beta = ppl.sample("beta", Flat().expand([2]))
        for n in ppl.plate("well", len(dist)):
            ppl.sample("switched", Bernoulli(logits=alpha + beta[0] * dist[n] / 100 + beta[1] * arsenic[n]))

    return wells(d["dist"], d["arsenic"]).condition(switched=d["switched"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import numpyro
    import numpyro.distributions as dist

    def model() -> None:
        flat = dist.ImproperUniform(dist.constraints.real, (), ())
        alpha = numpyro.sample("alpha", flat)
        beta = numpyro.sample("beta", dist.ImproperUniform(dist.constraints.real_vector, (), (2,)))
        logit = alpha + beta[0] * d["dist"] / 100 + beta[1] * d["arsenic"]
        with numpyro.plate("well", d["N"]):
            numpyro.sample("switched", dist.Bernoulli(logits=logit), obs=d["switched"])

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        alpha = pm.Flat("alpha")
        beta = pm.Flat("beta", shape=2)
        logit = alpha + beta[0] * d["dist"] / 100 + beta[1] * d["arsenic"]
        pm.Bernoulli("switched", logit_p=logit, observed=d["switched"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  vector[N] dist;
  vector[N] arsenic;
  array[N] int<lower=0, upper=1> switched;
}
transformed data {
  matrix[N, 2] x = append_col(dist / 100, arsenic);
}
parameters {
  real alpha;
  vector[2] beta;
}
model {
  switched ~ bernoulli_logit_glm(x, alpha, beta);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d
