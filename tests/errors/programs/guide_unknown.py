import torch

import ppl
from ppl.distributions import HalfNormal, Normal


@ppl.model
def schools(sigma):
    mu = ppl.sample("mu", Normal(0.0, 14.5))
    tau = ppl.sample("tau", HalfNormal(14.5))
    for j in ppl.plate("school", 3):
        theta = ppl.sample("theta", Normal(mu, tau))
        ppl.sample("y", Normal(theta, sigma[j]))


sigma = torch.tensor([15.0, 10.0, 16.0])
y = torch.tensor([28.0, 8.0, -3.0])
ppl.infer(schools(sigma), data={"y": y}, method=ppl.VI(guide="meanfield"))
