import torch

import ppl
from ppl.distributions import Bernoulli, Normal


@ppl.model
def m(p):
    for i in ppl.plate("i", 2):
        ppl.sample("x", Bernoulli(p[i]))
    ppl.sample("z", Normal(0.0, 1.0))


ppl.infer(m(torch.tensor([0.5, 1.5])), data={"x": [1, 0]})
