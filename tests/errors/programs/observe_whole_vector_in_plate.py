import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(y):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for _ in ppl.plate("i", 3):
        ppl.observe("y", Normal(mu, 1.0), y)


ppl.infer(m(torch.tensor([0.1, 0.2, 0.3])))
