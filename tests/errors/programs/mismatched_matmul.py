import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(x):
    b = ppl.sample("b", Normal(torch.zeros(3), 1.0))
    ppl.sample("y", Normal(x @ b, 1.0))


ppl.infer(m(torch.ones(5, 2)), data={"y": torch.zeros(5)})
