import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(group):
    a = ppl.sample("a", Normal(torch.zeros(2), 1.0))
    ppl.sample("y", Normal(a[group], 1.0))


ppl.infer(m(torch.tensor([1, 2, 1])), data={"y": torch.zeros(3)})
