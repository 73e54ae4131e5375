import torch

import ppl
from ppl.distributions import Gamma, Poisson


@ppl.model
def m(n):
    rate = ppl.sample("rate", Gamma(2.0, 1.0))
    for i in ppl.plate("i", 3):
        ppl.observe("n", Poisson(rate), n[i])


ppl.infer(m(torch.tensor([1.0, 2.5, 2.0])))
