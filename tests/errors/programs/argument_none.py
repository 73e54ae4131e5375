import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(y):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for _ in ppl.plate("i", y.shape[0]):
        ppl.sample("y", Normal(mu, 1.0))


ppl.infer(m(None), data={"y": torch.zeros(3)})
