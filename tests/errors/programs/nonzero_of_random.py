import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(torch.zeros(3), 1.0))
    z = x[torch.nonzero(x > 0)].sum()
    ppl.sample("y", Normal(z, 1.0))


ppl.infer(m(), data={"y": 0.5})
