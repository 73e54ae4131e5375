import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    ppl.sample("x", Normal(torch.zeros(3), 1.0), dims=("feature",))
    ppl.sample("z", Normal(torch.zeros(4), 1.0), dims=("feature",))


ppl.infer(m())
