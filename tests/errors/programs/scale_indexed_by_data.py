import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(sd, group):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for i in ppl.plate("i", group.shape[0]):
        ppl.sample("y", Normal(mu, sd[group[i]]))


ppl.infer(m(torch.tensor([1.0, -2.0]), torch.tensor([0, 0, 1])), data={"y": [0.1, 0.2, 0.3]})
