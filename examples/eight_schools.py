"""Eight schools: how much does coaching raise test scores, school by school?

The model, for schools j = 1 … 8 with estimated effects y_j and their standard errors σ_j:

    μ   ~ Normal(0, 5)          the mean effect
    τ   ~ HalfCauchy(5)         how much the schools differ
    θ_j ~ Normal(μ, τ)          the effect in school j
    y_j ~ Normal(θ_j, σ_j)      what was measured

With τ small the θ_j are squeezed together: a funnel, in which a sampler with one step size diverges. So θ is
sampled as μ + τ ε_j with ε_j ~ Normal(0, 1) (`reparam`), which is the same model without the funnel.

Data: Rubin (1981), Estimation in parallel randomized experiments, Journal of Educational Statistics 6(4);
Gelman et al., Bayesian Data Analysis, section 5.5.

    python examples/eight_schools.py
"""

import torch

import ppl
from ppl.distributions import HalfCauchy, Normal

SCHOOLS = ["A", "B", "C", "D", "E", "F", "G", "H"]
Y = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


@ppl.model
def eight_schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 5.0))
    tau = ppl.sample("tau", HalfCauchy(5.0))
    for j in ppl.plate("school", sigma.shape[0]):  # the body is for one school
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


def main(draws: int = 1000, warmup: int = 1000, chains: int = 4, seed: int = 0) -> ppl.Posterior:
    posterior = ppl.infer(
        eight_schools(SIGMA).reparam(theta=ppl.NonCentered()),
        data={"y": Y},
        method="nuts",
        target_accept=0.9,
        draws=draws,
        warmup=warmup,
        chains=chains,
        seed=seed,
        coords={"school": SCHOOLS},
    )
    print(posterior.summary(["mu", "tau", "theta"]))
    print()
    print(posterior.diagnose())
    print()
    better = float((posterior.draws["theta"][..., 0] > posterior.draws["theta"][..., 2]).mean())
    a, sd = posterior.mean("theta")[0], posterior.sd("theta")[0]
    print(
        f"School A measured {Y[0]:.0f} ± {SIGMA[0]:.0f} and is estimated at {a:.1f} ± {sd:.1f}: "
        "a school on its own says little, so it is drawn towards the mean of all.\n"
        f"That coaching does more in A (measured 28) than in C (measured −3) has probability {better:.2f}."
    )
    print()
    run = posterior.attrs
    print(
        f"compiling {run['compile_seconds']:.2f} s, warm-up {run['warmup_seconds']:.2f} s, "
        f"sampling {run['sampling_seconds']:.2f} s, {run['gradient_evaluations']:,} gradients"
    )
    return posterior


if __name__ == "__main__":
    main()
