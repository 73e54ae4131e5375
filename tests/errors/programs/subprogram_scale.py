import ppl
from ppl.distributions import Normal


@ppl.model
def inner(s):
    return ppl.sample("x", Normal(0.0, s))


@ppl.model
def outer():
    a = ppl.sample("a", inner(1.0))
    ppl.sample("b", inner(-1.0))
    ppl.sample("y", Normal(a, 1.0))


ppl.infer(outer(), data={"y": 0.5})
