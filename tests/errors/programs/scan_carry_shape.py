import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def walk(start):
    def step(x, t):
        return ppl.sample("x", Normal(torch.stack([x, x]), 1.0))

    ppl.scan("t", step, start, length=3)


ppl.infer(walk(0.0))
