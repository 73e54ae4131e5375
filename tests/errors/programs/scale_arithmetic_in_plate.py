import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(sd):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for i in ppl.plate("i", sd.shape[0]):
        ppl.sample("y", Normal(mu, sd[i] - 1.0))


ppl.infer(m(torch.tensor([2.0, 1.0, 3.0])), data={"y": [0.1, 0.2, 0.3]})
