import torch

import ppl
from ppl.distributions import Normal


@ppl.model
def varying(group):
    groups = ppl.plate("group", 2)
    for _ in groups:
        a = ppl.sample("a", Normal(0.0, 1.0))
    effects = groups.gather(a)
    for i in ppl.plate("i", group.shape[0]):
        ppl.sample("y", Normal(effects[group[i]], 1.0))


ppl.infer(varying(torch.tensor([1, 2, 1])), data={"y": [0.1, 0.2, 0.3]})
