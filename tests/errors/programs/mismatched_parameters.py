import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(sigma):
    mu = ppl.sample("mu", Normal(torch.zeros(4), 1.0))
    ppl.sample("y", Normal(mu, sigma))


ppl.infer(m(torch.ones(3)), data={"y": torch.zeros(4)})
