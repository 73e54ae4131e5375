import torch

import ppl
from ppl.distributions import HalfNormal, Normal


@ppl.model
def schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 4.5))
    tau = ppl.sample("tau", HalfNormal(4.5))
    for j in ppl.plate("school", 3):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


@ppl.guide
def q():
    ppl.sample("mu", Normal(ppl.param("mu.loc", 0.0), 1.0))
    loc = ppl.param("theta.loc", torch.zeros(3))
    for j in ppl.plate("school", 3):
        ppl.sample("theta", Normal(loc[j], 1.0))


sigma = torch.tensor([15.0, 10.0, 16.0])
y = torch.tensor([28.0, 8.0, -3.0])
ppl.infer(schools(sigma), data={"y": y}, method=ppl.VI(guide=q()))
