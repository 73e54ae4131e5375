import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def panel():
    mu = ppl.sample("mu", Normal(torch.zeros(3), 1.0))
    for _ in ppl.plate("person", 2):
        ppl.sample("y", Normal(mu, 1.0))


ppl.infer(panel(), data={"y": torch.zeros(3, 2)})
