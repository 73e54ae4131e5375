import torch

import ppl
from ppl.distributions import Dirichlet, Gamma


@ppl.model
def shares():
    a = ppl.sample("a", Gamma(2.0, 1.0))
    for _ in ppl.plate("i", 2):
        ppl.sample("w", Dirichlet(a * torch.ones(3)))


ppl.infer(shares(), data={"w": [[0.5, 0.3, 0.2], [0.2, float("nan"), 0.3]]})
