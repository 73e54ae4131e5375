"""Regressions, hierarchies, counts, survival and ordered responses, on small made-up data."""

from __future__ import annotations

import numpy as np
import torch

import ppl
from corpus.entry import draws, program, t
from ppl.distributions import (
    Bernoulli,
    Beta,
    Binomial,
    Categorical,
    Censored,
    Dirichlet,
    Exponential,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    Hurdle,
    Independent,
    InverseGamma,
    Laplace,
    LKJCholesky,
    LogNormal,
    MultivariateNormal,
    MultivariateStudentT,
    NegativeBinomial2,
    Normal,
    OrderedLogistic,
    Poisson,
    Restricted,
    StudentT,
    Truncated,
    Weibull,
    ZeroInflated,
    log_survival,
)

ROWS, COLUMNS, GROUPS = 12, 3, 4
X = draws(1).standard_normal((ROWS, COLUMNS))
Y = X @ np.array([1.0, -0.5, 0.2]) + 0.5 * draws(2).standard_normal(ROWS)
GROUP = np.arange(ROWS) % GROUPS
BINARY = (Y > 0).astype(float)
COUNTS = draws(3).poisson(2.0, ROWS).astype(float)
TIMES = draws(4).exponential(1.5, ROWS) + 0.05
CENSORED = draws(5).random(ROWS) < 0.3


# ---------------------------------------------------------------- linear predictors


@program({"y": Y}, X=X)
def linear_regression(X):
    alpha = ppl.sample("alpha", Normal(0.0, 5.0))
    beta = ppl.sample("beta", Normal(0.0, 2.0).expand([X.shape[1]]))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    ppl.sample("y", Normal(alpha + X @ beta, sigma))


@program({"y": Y}, X=X)
def robust_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 2.0).expand([X.shape[1]]))
    nu = ppl.sample("nu", Gamma(2.0, 0.1))
    sigma = ppl.sample("sigma", HalfCauchy(1.0))
    for n in ppl.plate("n", len(X)):
        ppl.sample("y", StudentT(nu, X[n] @ beta, sigma))


@program({"y": Y}, X=X)
def lasso(X):
    scale = ppl.sample("scale", InverseGamma(3.0, 1.0))
    beta = ppl.sample("beta", Laplace(0.0, scale).expand([X.shape[1]]))
    ppl.sample("y", Normal(X @ beta, 1.0))


@program({"y": Y}, X=X)
def horseshoe(X):
    """Carvalho, Polson & Scott (2010)."""
    tau = ppl.sample("tau", HalfCauchy(1.0))
    local = ppl.sample("local", HalfCauchy(1.0).expand([X.shape[1]]))
    z = ppl.sample("z", Normal(0.0, 1.0).expand([X.shape[1]]))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    ppl.sample("y", Normal(X @ (tau * local * z), sigma))


@program({"y": Y}, X=X, slab=2.0)
def regularised_horseshoe(X, slab):
    """Piironen & Vehtari (2017)."""
    tau = ppl.sample("tau", HalfStudentT(2.0, 0.5))
    local = ppl.sample("local", HalfCauchy(1.0).expand([X.shape[1]]))
    c2 = ppl.sample("c2", InverseGamma(2.0, slab**2))
    scale = tau * torch.sqrt(c2 * local**2 / (c2 + tau**2 * local**2))
    beta = ppl.sample("beta", Normal(0.0, scale))
    ppl.sample("y", Normal(X @ beta, 1.0))


@program({"y": Y}, X=X)
def heteroscedastic_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([2, X.shape[1]]))
    ppl.sample("y", Normal(X @ beta[0], torch.exp(X @ beta[1])))


@program({"y": BINARY}, X=X)
def logistic_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 2.0).expand([X.shape[1]]))
    ppl.sample("y", Bernoulli(logits=X @ beta))


@program({"y": BINARY}, X=X)
def probit_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 2.0).expand([X.shape[1]]))
    for n in ppl.plate("n", len(X)):
        ppl.sample("y", Bernoulli(0.5 * torch.erfc(-(X[n] @ beta) / 2**0.5)))


@program({"y": np.arange(ROWS) % 3}, X=X)
def softmax_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1], 3]))
    ppl.sample("y", Categorical(logits=X @ beta))


@program({"y": np.arange(ROWS) % 4}, X=X)
def ordered_logistic_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    cuts = ppl.sample("cuts", Restricted(Normal(0.0, 2.0).expand([3]), "ordered"))
    ppl.sample("y", OrderedLogistic(X @ beta, cuts))


@program({"y": Y}, x=X[:, 0], knots=np.linspace(-2.0, 2.0, 5))
def penalised_spline(x, knots):
    """Truncated lines at the knots, their coefficients a hierarchy (Ruppert, Wand & Carroll 2003)."""
    basis = torch.clamp(x[:, None] - knots, min=0.0)
    line = ppl.sample("line", Normal(0.0, 2.0).expand([2]))
    tau = ppl.sample("tau", HalfNormal(1.0))
    b = ppl.sample("b", Normal(0.0, tau).expand([len(knots)]))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    ppl.sample("y", Normal(line[0] + line[1] * x + basis @ b, sigma))


@program({"x": X[:, 0], "y": Y}, rows=ROWS)
def errors_in_variables(rows):
    slope = ppl.sample("slope", Normal(0.0, 1.0))
    for _ in ppl.plate("n", rows):
        truth = ppl.sample("truth", Normal(0.0, 1.0))
        ppl.sample("x", Normal(truth, 0.3))
        ppl.sample("y", Normal(slope * truth, 0.5))


# ---------------------------------------------------------------- hierarchies


@program({"y": Y}, group=GROUP, groups=GROUPS)
def varying_intercepts(group, groups):
    mu, tau = ppl.sample("mu", Normal(0.0, 2.0)), ppl.sample("tau", HalfNormal(1.0))
    for _ in (places := ppl.plate("group", groups)):
        alpha = ppl.sample("alpha", Normal(mu, tau))
    alpha = places.gather(alpha)
    for n in ppl.plate("n", len(group)):
        ppl.sample("y", Normal(alpha[group[n]], 1.0))


@program(
    {"y": Y}, lambda b: b.reparam(alpha=ppl.NonCentered(), beta=ppl.NonCentered()), x=X[:, 0], group=GROUP
)
def non_centred_intercepts_and_slopes(x, group):
    scales = ppl.sample("scales", HalfNormal(1.0).expand([2]))
    for _ in (places := ppl.plate("group", GROUPS)):
        alpha = ppl.sample("alpha", Normal(0.5, scales[0]))
        beta = ppl.sample("beta", StudentT(5.0, 0.0, scales[1]))
    alpha, beta = places.gather(alpha), places.gather(beta)
    ppl.sample("y", Normal(alpha[group] + beta[group] * x, 1.0))


@program({"y": Y}, lambda b: b.reparam(effects=ppl.NonCentered()), x=X[:, 0], group=GROUP, groups=GROUPS)
def varying_slopes_lkj(x, group, groups):
    mean = ppl.sample("mean", Normal(0.0, 1.0).expand([2]))
    scale = ppl.sample("scale", HalfNormal(1.0).expand([2]))
    L = ppl.sample("L", LKJCholesky(2, 2.0))
    for _ in (places := ppl.plate("group", groups)):
        effects = ppl.sample("effects", MultivariateNormal(mean, scale_tril=scale[:, None] * L))
    effects = places.gather(effects)
    for n in ppl.plate("n", len(x)):
        a = effects[group[n]]
        ppl.sample("y", Normal(a[0] + a[1] * x[n], 0.5))


@program({"y": BINARY}, X=X, group=GROUP, groups=GROUPS)
def hierarchical_logistic(X, group, groups):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    tau = ppl.sample("tau", HalfCauchy(1.0))
    u = ppl.sample("u", Normal(0.0, tau).expand([groups]))
    ppl.sample("y", Bernoulli(logits=X @ beta + u[group]))


@program({"y": Y.reshape(3, 2, 2)})
def three_levels():
    """Pupils in classes in schools: plates in plates."""
    tau = ppl.sample("tau", HalfNormal(1.0).expand([2]))
    for _ in ppl.plate("school", 3):
        a = ppl.sample("a", Normal(0.0, tau[0]))
        for _ in ppl.plate("class", 2):
            b = ppl.sample("b", Normal(a, tau[1]))
            for _ in ppl.plate("pupil", 2):
                ppl.sample("y", Normal(b, 1.0))


@program({"y": Y.reshape(3, 4)})
def crossed_effects():
    for _ in (rows := ppl.plate("row", 3)):
        r = ppl.sample("r", Normal(0.0, 1.0))
    for _ in (columns := ppl.plate("column", 4)):
        c = ppl.sample("c", Normal(0.0, 1.0))
    r, c = rows.gather(r), columns.gather(c)
    for i in ppl.plate("row", 3):
        for j in ppl.plate("column", 4):
            ppl.sample("y", Normal(r[i] * c[j] + r[i] - c[j], 0.7))


@program({"hits": t(4, 7, 2, 9)}, at_bats=t(20, 25, 15, 30))
def batting_averages(at_bats):
    phi, kappa = ppl.sample("phi", Beta(2.0, 2.0)), ppl.sample("kappa", Gamma(2.0, 0.1))
    for j in ppl.plate("player", len(at_bats)):
        theta = ppl.sample("theta", Beta(phi * kappa, (1.0 - phi) * kappa))
        ppl.sample("hits", Binomial(at_bats[j], theta))


# ---------------------------------------------------------------- counts


@program({"y": COUNTS}, X=X, exposure=np.linspace(1.0, 3.0, ROWS))
def poisson_regression(X, exposure):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    ppl.sample("y", Poisson(exposure * torch.exp(X @ beta)))


@program({"y": COUNTS}, X=X)
def negative_binomial_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    phi = ppl.sample("phi", Exponential(1.0))
    for n in ppl.plate("n", len(X)):
        ppl.sample("y", NegativeBinomial2(torch.exp(X[n] @ beta), phi))


@program({"y": COUNTS}, X=X)
def zero_inflated_poisson_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([2, X.shape[1]]))
    for n in ppl.plate("n", len(X)):
        ppl.sample("y", ZeroInflated(Poisson(torch.exp(X[n] @ beta[0])), torch.sigmoid(X[n] @ beta[1])))


@program({"y": COUNTS}, rows=ROWS)
def hurdle_negative_binomial(rows):
    mu, phi = ppl.sample("mu", LogNormal(0.0, 1.0)), ppl.sample("phi", Exponential(1.0))
    gate = ppl.sample("gate", Beta(1.0, 1.0))
    for _ in ppl.plate("n", rows):
        ppl.sample("y", Hurdle(NegativeBinomial2(mu, phi), gate))


@program(counts=t(3, 4, 1, 0, 6, 3, 5, 4, 2, 0))
def changepoint(counts):
    """Rates before and after a year that is summed out."""
    early, late = ppl.sample("early", Exponential(1.0)), ppl.sample("late", Exponential(1.0))
    before = torch.cumsum(Poisson(early).log_prob(counts), 0)
    after = torch.cumsum(Poisson(late).log_prob(counts), 0)
    ppl.factor("counts", torch.logsumexp(before - after, 0) + after[-1])


# ---------------------------------------------------------------- survival and bounds


@program(times=TIMES, censored=CENSORED, X=X)
def weibull_survival(times, censored, X):
    """Right-censored times enter by their survival function."""
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    shape = ppl.sample("shape", LogNormal(0.0, 0.5))
    law = Weibull(torch.exp(X @ beta), shape)
    ppl.factor("times", torch.where(censored, log_survival(law, times), law.log_prob(times)).sum())


@program(times=TIMES, censored=CENSORED)
def exponential_survival(times, censored):
    rate = ppl.sample("rate", Gamma(1.0, 1.0))
    for n in ppl.plate("n", len(times)):
        log_hazard = torch.where(censored[n], 0.0, torch.log(rate))
        ppl.factor("time", log_hazard - rate * times[n])


@program({"y": np.clip(Y, -0.5, 1.0)}, X=X)
def tobit(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    for n in ppl.plate("n", len(X)):
        ppl.sample("y", Censored(Normal(X[n] @ beta, sigma), -0.5, 1.0))


@program({"y": np.abs(Y) + 0.1}, X=X)
def truncated_regression(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    ppl.sample("y", Truncated(Normal(X @ beta, sigma), low=0.0))


@program({"y": np.where(np.arange(ROWS) % 4 == 1, np.nan, Y)}, X=X)
def missing_responses(X):
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([X.shape[1]]))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    for n in ppl.plate("n", len(X)):
        ppl.sample("y", Normal(X[n] @ beta, sigma))


@program({"x": np.where(np.arange(ROWS) % 5 == 2, np.nan, TIMES), "y": Y}, rows=ROWS)
def missing_covariates(rows):
    slope = ppl.sample("slope", Normal(0.0, 1.0))
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for _ in ppl.plate("n", rows):
        x = ppl.sample("x", LogNormal(mu, 1.0))
        ppl.sample("y", Normal(slope * torch.log(x), 0.5))


# ---------------------------------------------------------------- vectors as observations


@program({"y": X})
def multivariate_normal_lkj():
    mu = ppl.sample("mu", Normal(0.0, 2.0).expand([COLUMNS]))
    scale = ppl.sample("scale", HalfNormal(2.0).expand([COLUMNS]))
    L = ppl.sample("L", LKJCholesky(COLUMNS, 2.0))
    for _ in ppl.plate("row", ROWS):
        ppl.sample("y", MultivariateNormal(mu, scale_tril=scale[:, None] * L))


@program({"y": X}, X=X[:, :2])
def seemingly_unrelated_regressions(X):
    B = ppl.sample("B", Normal(0.0, 1.0).expand([X.shape[1], COLUMNS]))
    scale = ppl.sample("scale", HalfCauchy(1.0).expand([COLUMNS]))
    L = ppl.sample("L", LKJCholesky(COLUMNS, 1.0))
    ppl.sample("y", MultivariateStudentT(5.0, X @ B, scale[:, None] * L))


@program({"y": np.full((4, 3), 1 / 3) + np.array([0.2, -0.1, -0.1])}, X=X[:4])
def dirichlet_regression(X):
    B = ppl.sample("B", Independent(Normal(torch.zeros(3, 3), 1.0), 2))
    for n in ppl.plate("n", len(X)):
        ppl.sample("y", Dirichlet(torch.exp(X[n] @ B)))


@program({"y": Y}, X=X)
def flat_priors(X):
    beta = ppl.sample("beta", Flat().expand([X.shape[1]]))
    sigma = ppl.sample("sigma", Flat(lower=0.0))
    rho = ppl.sample("rho", Flat(-1.0, 1.0))
    ppl.sample("y", Normal(X @ beta + rho, sigma))
