import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    thetas = []
    for _ in ppl.plate("school", 3):
        thetas.append(ppl.sample("theta", Normal(0.0, 1.0)))
    ppl.sample("y", Normal(torch.stack(thetas).sum(), 1.0))


ppl.infer(m(), data={"y": 0.5})
