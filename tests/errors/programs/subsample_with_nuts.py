import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(y):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for i in ppl.plate("i", 10, subsample=5):
        ppl.observe("y", Normal(mu, 1.0), y[i])


ppl.infer(m(torch.zeros(10)))
