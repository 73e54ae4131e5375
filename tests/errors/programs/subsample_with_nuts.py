import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for i in ppl.plate("i", 10, subsample=5):
        ppl.sample("y", Normal(mu, 1.0))


ppl.infer(m(), data={"y": torch.zeros(10)})
