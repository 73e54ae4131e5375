import torch

import ppl
from ppl.distributions import Normal

total = torch.zeros(())


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    total.add_(x)
    ppl.sample("y", Normal(total, 1.0))


ppl.infer(m(), data={"y": 0.5})
