import torch

import ppl
from ppl.distributions import Exponential, LogNormal


@ppl.model
def walk(y):
    def step(x, y_t):
        x = ppl.sample("x", LogNormal(x, 1.0))
        ppl.observe("y", Exponential(x), y_t)
        return x

    ppl.scan("t", step, 0.0, y)


ppl.infer(walk(torch.tensor([0.1, -2.0, 0.3])))
