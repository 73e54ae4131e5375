import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(torch.zeros(3), 1.0))
    ppl.factor("penalty", -x.abs())


ppl.infer(m())
