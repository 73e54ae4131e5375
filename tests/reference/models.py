"""The reference posteriors' models, as a user writes them."""

from __future__ import annotations

import torch

import ppl
from ppl.distributions import (
    Bernoulli,
    Beta,
    Categorical,
    Dirichlet,
    Exponential,
    Flat,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    LogNormal,
    Normal,
    Poisson,
    Restricted,
    StudentT,
)

# ---------------------------------------------------------------- hierarchies


@ppl.model
def eight_schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfCauchy(5.0))
    for j in ppl.plate("school", len(sigma)):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


@ppl.model
def radon(county, log_uppm, floor, counties):
    mu_a = ppl.sample("mu_a", Normal(0.0, 10.0))
    sigma_a = ppl.sample("sigma_a", HalfNormal(1.0))
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([2]))
    sigma_y = ppl.sample("sigma_y", HalfNormal(1.0))
    for _ in (places := ppl.plate("county", counties)):
        alpha = ppl.sample("alpha", Normal(mu_a, sigma_a))
    alpha = places.gather(alpha)
    for n in ppl.plate("home", len(county)):
        mean = alpha[county[n]] + beta[0] * log_uppm[n] + beta[1] * floor[n]
        ppl.sample("log_radon", Normal(mean, sigma_y))


@ppl.model
def irt_2pl(items, persons):
    sigma_theta = ppl.sample("sigma_theta", HalfCauchy(2.0))
    sigma_a = ppl.sample("sigma_a", HalfCauchy(2.0))
    sigma_b = ppl.sample("sigma_b", HalfCauchy(2.0))
    mu_b = ppl.sample("mu_b", Normal(0.0, 5.0))
    for _ in (everyone := ppl.plate("person", persons)):
        theta = ppl.sample("theta", Normal(0.0, sigma_theta))
    theta = everyone.gather(theta)
    for _ in ppl.plate("item", items):
        a = ppl.sample("a", LogNormal(0.0, sigma_a))
        b = ppl.sample("b", Normal(mu_b, sigma_b))
        for j in ppl.plate("person", persons):
            ppl.sample("y", Bernoulli(logits=a * (theta[j] - b)))


def group_effects(name, groups):
    """N(0, sigma) effects of the levels of a factor, sigma flat on (0, 100)."""
    sigma = ppl.sample(f"sigma_{name}", Flat(0.0, 100.0))
    return ppl.sample(name, Normal(0.0, sigma).expand([groups]))


@ppl.model
def election88(age, edu, age_edu, state, region, black, female, v_prev, sizes):
    beta = ppl.sample("beta", Normal(0.0, 100.0).expand([5]))
    a = group_effects("a", sizes["age"])
    b = group_effects("b", sizes["edu"])
    c = group_effects("c", sizes["age_edu"])
    d = group_effects("d", sizes["state"])
    e = group_effects("e", sizes["region"])
    for n in ppl.plate("voter", len(age)):
        common = (
            beta[0]
            + beta[1] * black[n]
            + beta[2] * female[n]
            + beta[4] * female[n] * black[n]
            + beta[3] * v_prev[n]
        )
        logit = common + a[age[n]] + b[edu[n]] + c[age_edu[n]] + d[state[n]] + e[region[n]]
        ppl.sample("y", Bernoulli(logits=logit))


# ---------------------------------------------------------------- regressions


def linear_predictor(X):
    """X·beta with a flat prior on beta."""
    return X @ ppl.sample("beta", Flat().expand([X.shape[1]]))


@ppl.model
def flat_regression(X):
    """Earnings, mesquite, nes1980: everything flat."""
    sigma = ppl.sample("sigma", Flat(lower=0.0))
    ppl.sample("y", Normal(linear_predictor(X), sigma))


@ppl.model
def kidiq_interaction(mom_hs, mom_iq):
    beta = ppl.sample("beta", Flat().expand([4]))
    sigma = ppl.sample("sigma", HalfCauchy(2.5))
    for n in ppl.plate("kid", len(mom_hs)):
        mean = beta[0] + beta[1] * mom_hs[n] + beta[2] * mom_iq[n] + beta[3] * mom_hs[n] * mom_iq[n]
        ppl.sample("kid_score", Normal(mean, sigma))


@ppl.model
def blr(X):
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([X.shape[1]]))
    sigma = ppl.sample("sigma", HalfNormal(10.0))
    ppl.sample("y", Normal(X @ beta, sigma))


@ppl.model
def diamonds(X):
    centre = X[:, 1:].mean(0)
    b = ppl.sample("b", Normal(0.0, 1.0).expand([X.shape[1] - 1]))
    intercept = ppl.sample("Intercept", StudentT(3.0, 8.0, 10.0))
    sigma = ppl.sample("sigma", HalfStudentT(3.0, 10.0))
    ppl.deterministic("b_Intercept", intercept - centre @ b)
    ppl.sample("Y", Normal(intercept + (X[:, 1:] - centre) @ b, sigma))


@ppl.model
def wells(dist, arsenic):
    alpha = ppl.sample("alpha", Flat())
    beta = ppl.sample("beta", Flat().expand([2]))
    for n in ppl.plate("well", len(dist)):
        ppl.sample("switched", Bernoulli(logits=alpha + beta[0] * dist[n] / 100 + beta[1] * arsenic[n]))


@ppl.model
def gp_pois_regr(x):
    rho = ppl.sample("rho", Gamma(25.0, 4.0))
    alpha = ppl.sample("alpha", HalfNormal(2.0))
    f_tilde = ppl.sample("f_tilde", Normal(0.0, 1.0).expand([len(x)]))
    cov = alpha**2 * torch.exp(-0.5 * ((x[:, None] - x) / rho) ** 2) + 1e-10 * torch.eye(len(x))
    f = ppl.deterministic("f", torch.linalg.cholesky(cov) @ f_tilde)
    ppl.sample("k", Poisson(torch.exp(f)))


# ---------------------------------------------------------------- time series


@ppl.model
def ark(past):
    """AR(K), given for each time the K values before it, the latest first: past [T − K, K]."""
    alpha = ppl.sample("alpha", Normal(0.0, 10.0))
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([past.shape[1]]))
    sigma = ppl.sample("sigma", HalfCauchy(2.5))
    ppl.sample("y", Normal(alpha + past @ beta, sigma))


@ppl.model
def ark_scan(start, length):
    """The same as a process, from its first K values (the latest first)."""
    alpha = ppl.sample("alpha", Normal(0.0, 10.0))
    beta = ppl.sample("beta", Normal(0.0, 10.0).expand([len(start)]))
    sigma = ppl.sample("sigma", HalfCauchy(2.5))

    def step(past, _):
        y = ppl.sample("y", Normal(alpha + past @ beta, sigma))
        return torch.cat([y[None], past[:-1]])

    ppl.scan("time", step, start, length=length)


@ppl.model
def garch(sigma1, length):
    mu = ppl.sample("mu", Flat())
    alpha0 = ppl.sample("alpha0", Flat(lower=0.0))
    alpha1 = ppl.sample("alpha1", Flat(0.0, 1.0))
    beta1 = ppl.sample("beta1", Flat(0.0, 1.0 - alpha1))

    def step(scale, _):
        y = ppl.sample("y", Normal(mu, scale))
        return torch.sqrt(alpha0 + alpha1 * (y - mu) ** 2 + beta1 * scale**2)

    ppl.scan("time", step, torch.tensor(sigma1), length=length)


@ppl.model
def lotka_volterra(years, steps_per_year=20):
    """Lynx and hare. The reference solves the equations adaptively; here by Runge–Kutta steps of one size."""
    rates = Restricted(
        Normal(torch.tensor([1.0, 0.05, 1.0, 0.05]), torch.tensor([0.5, 0.05, 0.5, 0.05])), "positive"
    )
    theta = ppl.sample("theta", rates)
    sigma = ppl.sample("sigma", LogNormal(-1.0, 1.0).expand([2]))
    z_init = ppl.sample("z_init", LogNormal(torch.log(torch.tensor(10.0)), 1.0).expand([2]))
    ppl.sample("y_init", LogNormal(torch.log(z_init), sigma))
    alpha, beta, gamma, delta = theta[0], theta[1], theta[2], theta[3]
    h = 1.0 / steps_per_year

    def slope(z):
        u, v = z[0], z[1]
        return torch.stack([(alpha - beta * v) * u, (-gamma + delta * u) * v])

    def move(z, _):
        k1 = slope(z)
        k2 = slope(z + h / 2 * k1)
        k3 = slope(z + h / 2 * k2)
        k4 = slope(z + h * k3)
        return z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    def year(z, _):
        z = ppl.scan("substep", move, z, length=steps_per_year)
        ppl.sample("y", LogNormal(torch.log(z), sigma))
        return z

    ppl.scan("year", year, z_init, length=years)


# ---------------------------------------------------------------- discrete latents


@ppl.model
def gauss_mix(size):
    mu = ppl.sample("mu", Restricted(Normal(0.0, 2.0).expand([2]), "ordered"))
    sigma = ppl.sample("sigma", HalfNormal(2.0).expand([2]))
    theta = ppl.sample("theta", Beta(5.0, 5.0))
    for _ in ppl.plate("n", size):
        z = ppl.sample("z", Bernoulli(1.0 - theta)).long()
        ppl.sample("y", Normal(mu[z], sigma[z]))


@ppl.model
def hmm_drive(alpha, length):
    theta = ppl.sample("theta", Dirichlet(alpha))
    phi = ppl.sample("phi", Restricted(Normal(torch.tensor([0.0, 3.0]), 1.0), "positive_ordered"))
    lambda_ = ppl.sample("lambda", Restricted(Normal(torch.tensor([0.0, 3.0]), 1.0), "positive_ordered"))

    def step(z, _):
        ppl.sample("u", Exponential(phi[z]))
        ppl.sample("v", Exponential(lambda_[z]))
        return ppl.sample("z", Categorical(theta[z]))

    start = ppl.sample("start", Categorical(torch.full([2], 0.5)))
    ppl.scan("time", step, start, length=length)


# ---------------------------------------------------------------- the same, summed out by hand


@ppl.model
def gauss_mix_marginal(y):
    mu = ppl.sample("mu", Restricted(Normal(0.0, 2.0).expand([2]), "ordered"))
    sigma = ppl.sample("sigma", HalfNormal(2.0).expand([2]))
    theta = ppl.sample("theta", Beta(5.0, 5.0))
    log_weights = torch.log(torch.stack([theta, 1.0 - theta]))
    for n in ppl.plate("n", len(y)):
        ppl.factor("y", torch.logsumexp(log_weights + Normal(mu, sigma).log_prob(y[n]), 0))


@ppl.model
def hmm_drive_marginal(alpha, u, v):
    """By the forward algorithm: log_p[k] = log p(state k at t, u and v until t)."""
    theta = ppl.sample("theta", Dirichlet(alpha))
    phi = ppl.sample("phi", Restricted(Normal(torch.tensor([0.0, 3.0]), 1.0), "positive_ordered"))
    lambda_ = ppl.sample("lambda", Restricted(Normal(torch.tensor([0.0, 3.0]), 1.0), "positive_ordered"))
    log_theta = torch.log(theta)

    def emitted(u, v):
        return Exponential(phi).log_prob(u) + Exponential(lambda_).log_prob(v)

    def step(log_p, seen):
        return torch.logsumexp(log_p[:, None] + log_theta, 0) + emitted(*seen)

    start = torch.full([2], 0.5).log() + emitted(u[0], v[0])
    ppl.factor("seen", torch.logsumexp(ppl.scan("time", step, start, (u[1:], v[1:])), 0))
