import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def line(x):
    a = ppl.sample("a", Normal(0.0, 10.0))
    b = ppl.sample("b", Normal(0.0, 10.0))
    for i in ppl.plate("row", 3):
        ppl.sample("y", Normal(a + b * x[i], 1.0))


x = torch.tensor([1950.0, 1980.0, 2010.0])
y = torch.tensor([13.9, 14.2, 14.7])
ppl.infer(line(x), data={"y": y}, method=ppl.VI(optimizer="sgd", learning_rate=0.1))
