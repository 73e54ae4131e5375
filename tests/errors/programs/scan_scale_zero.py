import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def walk(s):
    def step(x, s_t):
        return ppl.sample("x", Normal(x, s_t - 1.0))

    ppl.scan("t", step, 0.0, s)


ppl.infer(walk(torch.tensor([2.0, 1.0, 3.0])))
