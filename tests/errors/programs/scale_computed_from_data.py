import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(variance):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    for i in ppl.plate("i", 3):
        ppl.sample("y", Normal(mu, 2.0 * torch.log(variance)[i]))


ppl.infer(m(torch.tensor([4.0, 0.5, 9.0])), data={"y": [0.1, 0.2, 0.3]})
