import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(y):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for i in ppl.plate("i", 3):
        ppl.observe("y", Normal(mu, 1.0), y[i])


ppl.infer(m(torch.tensor([0.5, float("nan"), 2.0])))
