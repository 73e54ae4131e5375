import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    loc = ppl.cond(x > 0, lambda: x, lambda: torch.stack([x, x]))
    ppl.sample("y", Normal(loc, 1.0))


ppl.infer(m(), data={"y": 0.5})
