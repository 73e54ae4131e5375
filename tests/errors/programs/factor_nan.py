import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(w):
    ppl.sample("x", Normal(0.0, 1.0))
    ppl.factor("penalty", w)


ppl.infer(m(torch.tensor(float("nan"))))
