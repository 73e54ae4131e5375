import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    noise = torch.randn(())
    ppl.sample("y", Normal(x + noise, 1.0))


ppl.infer(m(), data={"y": 0.5})
