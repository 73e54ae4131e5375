import torch

import ppl
from ppl.distributions import MultivariateNormal


@ppl.model
def m(cov):
    ppl.sample("z", MultivariateNormal(torch.zeros(2), cov))


ppl.infer(m(torch.tensor([[1.0, 2.0], [2.0, 1.0]])))
