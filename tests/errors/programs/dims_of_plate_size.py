import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    for _ in ppl.plate("school", 3):
        ppl.sample("a", Normal(0.0, 1.0))
    ppl.sample("b", Normal(torch.zeros(4), 1.0), dims=("school",))


ppl.infer(m())
