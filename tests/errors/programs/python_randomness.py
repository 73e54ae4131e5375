import random

import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    ppl.sample("y", Normal(x + random.gauss(0, 1), 1.0))


ppl.infer(m(), data={"y": 0.5})
