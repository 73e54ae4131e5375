import torch

import ppl
from ppl.distributions import Exponential, Normal


@ppl.model
def decay(t):
    rate = ppl.sample("rate", Normal(0.0, 10.0))
    level = ppl.sample("level", Exponential(1.0))
    for i in ppl.plate("time", 3):
        ppl.sample("y", Normal(level * torch.exp(rate * t[i]), 1.0))


t = torch.tensor([10.0, 200.0, 30000.0])
y = torch.tensor([0.5, 0.2, 0.0])
ppl.infer(decay(t), data={"y": y}, method=ppl.VI(guide="mean_field", learning_rate=0.5))
