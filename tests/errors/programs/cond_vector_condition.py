import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([2]))
    loc = ppl.cond(x > 0, lambda: 0.0, lambda: 1.0)
    ppl.sample("y", Normal(loc, 1.0))


ppl.infer(m(), data={"y": 0.5})
