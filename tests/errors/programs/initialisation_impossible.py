import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    for _ in ppl.plate("i", 2):
        ppl.sample("y", Normal(x, torch.sqrt(x - x - 1.0)))


ppl.infer(m(), data={"y": [0.5, 0.2]})
