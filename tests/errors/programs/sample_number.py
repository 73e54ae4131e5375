import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", 3.0)
    ppl.sample("y", Normal(x, 1.0))


ppl.infer(m(), data={"y": 0.5})
