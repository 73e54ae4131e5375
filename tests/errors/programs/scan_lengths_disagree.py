import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def walk(a, b):
    def step(x, inputs):
        u, v = inputs
        return ppl.sample("x", Normal(x + u + v, 1.0))

    ppl.scan("t", step, 0.0, (a, b))


ppl.infer(walk(torch.zeros(3), torch.zeros(4)))
