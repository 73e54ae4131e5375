import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    rates = torch.zeros(3)
    rates[0] = x
    ppl.sample("y", Normal(rates, 1.0))


ppl.infer(m(), data={"y": [0.5, 0.1, 0.2]})
