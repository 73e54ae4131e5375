import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def m(x):
    for j in ppl.plate("school", 3):  # noqa: B007
        ppl.sample("theta", Normal(0.0, 1.0))
    ppl.sample("last", Normal(x[j], 1.0))


ppl.infer(m(torch.zeros(3)), data={"last": 0.5})
