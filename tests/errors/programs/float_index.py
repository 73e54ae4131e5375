import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(group):
    a = ppl.sample("a", Normal(torch.zeros(3), 1.0))
    for i in ppl.plate("i", 3):
        ppl.sample("y", Normal(a[group[i]], 1.0))


ppl.infer(m(torch.tensor([1.0, 2.0, 1.0])), data={"y": torch.zeros(3)})
