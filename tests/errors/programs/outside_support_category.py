import torch

import ppl
from ppl.distributions import Categorical, Dirichlet


@ppl.model
def dice():
    p = ppl.sample("p", Dirichlet(torch.ones(3)))
    for _ in ppl.plate("roll", 4):
        ppl.sample("face", Categorical(p))


ppl.infer(dice(), data={"face": [1, 2, 3, 2]})
