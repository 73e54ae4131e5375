import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(x):
    for i in ppl.plate("i", 3):
        ppl.sample("theta", Normal(x[i + 1], 1.0))


ppl.infer(m(torch.zeros(3)))
