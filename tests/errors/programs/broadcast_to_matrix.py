import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def line(x):
    b = ppl.sample("b", Normal(torch.zeros(1), 1.0))
    ppl.sample("y", Normal(x @ b[:, None], 1.0))


ppl.infer(line(torch.ones(4, 1)), data={"y": torch.zeros(4)})
