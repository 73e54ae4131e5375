"""Children's test scores (Gelman & Hill 2007, chapter 3): regression with an interaction.

beta flat, sigma ~ HalfCauchy(2.5), score ~ N(b1 + b2 hs + b3 iq + b4 hs·iq, sigma). The predictors are as
they are, not centred: their coefficients correlate, and every sampler needs long paths.
"""

from __future__ import annotations

from typing import Any

from models.files import read_data

QUANTITIES = ("beta", "sigma")
REFERENCE = "kidiq-kidscore_interaction"
C_FILE = None


def data() -> dict[str, Any]:
    d = read_data("kidiq")
    return {
        "N": d["N"],
        "score": d["kid_score"].astype(float),
        "hs": d["mom_hs"].astype(float),
        "iq": d["mom_iq"].astype(float),
    }


def ppl_model(d: dict[str, Any]) -> Any:
    import ppl
    from ppl.distributions import Flat, HalfCauchy, Normal

    @ppl.model
    def kidscore(hs, iq):
        beta = ppl.sample("beta", Flat().expand([4]))
        sigma = ppl.sample("sigma", HalfCauchy(2.5))
        for n in ppl.plate("kid", len(hs)):
            mean = beta[0] + beta[1] * hs[n] + beta[2] * iq[n] + beta[3] * hs[n] * iq[n]
            ppl.sample("score", Normal(mean, sigma))

    return kidscore(d["hs"], d["iq"]).condition(score=d["score"])


def numpyro_model(d: dict[str, Any]) -> Any:
    import numpyro
    import numpyro.distributions as dist

    hs, iq = d["hs"], d["iq"]

    def model() -> None:
        beta = numpyro.sample("beta", dist.ImproperUniform(dist.constraints.real_vector, (), (4,)))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))
        mean = beta[0] + beta[1] * hs + beta[2] * iq + beta[3] * hs * iq
        with numpyro.plate("kid", d["N"]):
            numpyro.sample("score", dist.Normal(mean, sigma), obs=d["score"])

    return model


def pymc_model(d: dict[str, Any]) -> Any:
    import pymc as pm

    hs, iq = d["hs"], d["iq"]
    with pm.Model() as model:
        beta = pm.Flat("beta", shape=4)
        sigma = pm.HalfCauchy("sigma", 2.5)
        mean = beta[0] + beta[1] * hs + beta[2] * iq + beta[3] * hs * iq
        pm.Normal("score", mean, sigma, observed=d["score"])
    return model


STAN_CODE = """
data {
  int<lower=0> N;
  vector[N] score;
  vector[N] hs;
  vector[N] iq;
}
transformed data {
  matrix[N, 4] x = append_col(append_col(rep_vector(1, N), hs), append_col(iq, hs .* iq));
}
parameters {
  vector[4] beta;
  real<lower=0> sigma;
}
model {
  sigma ~ cauchy(0, 2.5);
  score ~ normal_id_glm(x, 0, beta, sigma);
}
"""


def stan_data(d: dict[str, Any]) -> dict[str, Any]:
    return d
