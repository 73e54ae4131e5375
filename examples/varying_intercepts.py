"""Varying intercepts: reaction times of people kept short of sleep, with one intercept per person.

The model, for subjects i = 1 … 18 on days d = 0 … 9 (milliseconds):

    μ     ~ Normal(250, 100)       intercept of the population
    τ     ~ HalfNormal(100)        how much people differ
    β     ~ Normal(0, 20)          what a day costs
    σ     ~ HalfNormal(100)        noise from day to day
    α_i   ~ Normal(μ, τ)           intercept of subject i
    y_id  ~ Normal(α_i + β d, σ)

Partial pooling: with n days each, α_i is drawn from the subject's own mean towards μ by about σ²/(σ² + n τ²).

Data: average reaction times on ten days, sleep restricted to three hours a night; Belenky et al. (2003),
Patterns of performance degradation and restoration during sleep restriction and subsequent recovery, Journal
of Sleep Research 12(1). Known as `sleepstudy` in the R package lme4. Restricted maximum likelihood for this
model is μ = 251.4, β = 10.47, τ = 37.1, σ = 31.0.

    python examples/varying_intercepts.py [--plot intercepts.png]
"""

import argparse
import importlib.util

import numpy as np
import torch

import ppl
from ppl.distributions import HalfNormal, Normal

# fmt: off
REACTION = {  # subject: milliseconds on days 0 … 9
    308: [249.56, 258.70, 250.80, 321.44, 356.85, 414.69, 382.20, 290.15, 430.59, 466.35],
    309: [222.73, 205.27, 202.98, 204.71, 207.72, 215.96, 213.63, 217.73, 224.30, 237.31],
    310: [199.05, 194.33, 234.32, 232.84, 229.31, 220.46, 235.42, 255.75, 261.01, 247.52],
    330: [321.54, 300.40, 283.86, 285.13, 285.80, 297.59, 280.24, 318.26, 305.35, 354.05],
    331: [287.61, 285.00, 301.82, 320.12, 316.28, 293.32, 290.07, 334.82, 293.75, 371.58],
    332: [234.86, 242.81, 272.96, 309.77, 317.46, 310.00, 454.16, 346.83, 330.30, 253.86],
    333: [283.84, 289.56, 276.77, 299.81, 297.17, 338.17, 332.03, 348.84, 333.36, 362.04],
    334: [265.47, 276.20, 243.36, 254.67, 279.02, 284.19, 305.52, 331.52, 335.75, 377.30],
    335: [241.61, 273.95, 254.49, 270.80, 251.45, 254.64, 245.45, 235.31, 235.75, 237.25],
    337: [312.37, 313.81, 291.61, 346.12, 365.73, 391.84, 404.26, 416.69, 455.86, 458.92],
    349: [236.10, 230.32, 238.93, 254.92, 250.71, 269.77, 281.56, 308.10, 336.28, 351.65],
    350: [256.30, 243.45, 256.20, 255.53, 268.92, 329.72, 379.44, 362.92, 394.49, 389.05],
    351: [250.53, 300.06, 269.89, 280.59, 271.83, 304.63, 287.75, 266.60, 321.54, 347.57],
    352: [221.68, 298.19, 326.88, 346.86, 348.74, 352.83, 354.43, 360.43, 375.64, 388.54],
    369: [271.92, 268.44, 257.24, 277.66, 314.82, 317.21, 298.14, 348.12, 340.28, 366.51],
    370: [225.26, 234.52, 238.90, 240.47, 267.54, 344.19, 281.15, 347.59, 365.16, 372.23],
    371: [269.88, 272.44, 277.90, 281.79, 279.17, 284.51, 259.27, 304.63, 350.78, 369.47],
    372: [269.41, 273.47, 297.60, 310.63, 287.17, 329.61, 334.48, 343.22, 369.14, 364.12],
}
# fmt: on
SUBJECTS = list(REACTION)
Y = torch.tensor(list(REACTION.values()), dtype=torch.float64)  # [subject, day]
DAYS = torch.arange(10.0)


@ppl.model
def varying_intercepts(subjects, days):
    mu = ppl.sample("mu", Normal(250.0, 100.0))
    tau = ppl.sample("tau", HalfNormal(100.0))
    beta = ppl.sample("beta", Normal(0.0, 20.0))
    sigma = ppl.sample("sigma", HalfNormal(100.0))
    for _ in ppl.plate("subject", subjects):
        alpha = ppl.sample("alpha", Normal(mu, tau))
        for d in ppl.plate("day", days.shape[0]):
            ppl.sample("y", Normal(alpha + beta * days[d], sigma))


def main(
    draws: int = 400, warmup: int = 300, chains: int = 4, seed: int = 0, plot: str | None = None
) -> ppl.Posterior:
    posterior = ppl.infer(
        varying_intercepts(len(SUBJECTS), DAYS),
        data={"y": Y},
        draws=draws,
        warmup=warmup,
        chains=chains,
        seed=seed,
        coords={"subject": SUBJECTS},
    )
    print(posterior.summary(["mu", "tau", "beta", "sigma"]))

    # Without pooling a subject's intercept is the mean of y − β d over its own ten days.
    own = (Y.numpy() - posterior.mean("beta") * DAYS.numpy()).mean(1)
    low, high = posterior.quantile("alpha", [0.05, 0.95])
    pooled = posterior.mean("alpha")
    print("\nIntercepts (ms), slowest first: the subject alone, pooled with the others, and a 90% interval")
    for i in np.argsort(-pooled):
        print(f"  {SUBJECTS[i]}  {own[i]:6.1f} → {pooled[i]:6.1f}   [{low[i]:6.1f}, {high[i]:6.1f}]")

    tau, sigma = posterior.draws["tau"], posterior.draws["sigma"]
    between = tau**2 / (tau**2 + sigma**2)
    # Another number of subjects: their intercepts are drawn from the population, so this is someone new.
    someone = posterior.predict(varying_intercepts(1, DAYS), seed=seed)["y"][:, :, 0, 9]
    fast, slow = np.quantile(someone, [0.05, 0.95])
    low, high = posterior.quantile("beta", [0.05, 0.95])
    print(
        f"\nA day costs {posterior.mean('beta'):.1f} ms (90% interval {low:.1f} to {high:.1f}). "
        f"People, not days, make {between.mean():.0%} of the other variance.\n"
        f"Someone new on day 9: {fast:.0f} to {slow:.0f} ms with probability 0.9; "
        f"the {len(SUBJECTS)} subjects took {Y[:, 9].min():.0f} to {Y[:, 9].max():.0f} ms."
    )
    if plot is not None and importlib.util.find_spec("matplotlib") is None:
        print("no plot: matplotlib is not installed (pip install matplotlib)")
    elif plot is not None:
        posterior.plot_forest(["alpha"]).savefig(plot, dpi=100, bbox_inches="tight")
        print(f"\nplot: {plot}")
    return posterior


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the intercepts to this file (.png, .svg, .pdf)")
    main(plot=parser.parse_args().plot)
