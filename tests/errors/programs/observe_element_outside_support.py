import torch

import ppl
from ppl.distributions import Exponential, Gamma


@ppl.model
def m(t):
    rate = ppl.sample("rate", Gamma(2.0, 1.0))
    for i in ppl.plate("i", 3):
        ppl.observe("t", Exponential(rate), t[i])


ppl.infer(m(torch.tensor([0.5, -1.0, 2.0])))
