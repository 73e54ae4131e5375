import torch

import ppl
from ppl.distributions import Beta, Binomial


@ppl.model
def trials(n):
    p = ppl.sample("p", Beta(1.0, 1.0))
    for i in ppl.plate("i", n.shape[0]):
        ppl.sample("k", Binomial(n[i], p))


ppl.infer(trials(torch.tensor([10, 10, 10])), data={"k": [3, 12, 4]})
