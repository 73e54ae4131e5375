import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def walk(y):
    def step(x, t):
        x = ppl.sample("x", Normal(x, y[t + 1]))
        return x

    ppl.scan("t", step, 0.0, length=3)


ppl.infer(walk(torch.tensor([0.1, 2.0, 0.3])))
