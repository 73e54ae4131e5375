import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def line(x, y):
    b = ppl.sample("b", Normal(0.0, 1.0))
    ppl.observe("y", Normal(x * b, 1.0), y)


ppl.infer(line(torch.ones(4, 1), torch.zeros(4)))
