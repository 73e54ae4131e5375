import math

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    scale = 1.0 + math.exp(x)
    ppl.sample("y", Normal(0.0, scale))


ppl.infer(m(), data={"y": 0.5})
