import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    if x > 0:
        ppl.sample("y", Normal(x, 1.0))
    else:
        ppl.sample("y", Normal(0.0, 1.0))


ppl.infer(m(), data={"y": 0.5})
