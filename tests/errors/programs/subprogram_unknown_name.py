import ppl
from ppl.distributions import Normal


@ppl.model
def inner():
    return ppl.sample("x", Normal(0.0, 1.0))


@ppl.model
def outer():
    a = ppl.sample("a", inner().condition(z=1.0))
    ppl.sample("y", Normal(a, 1.0))


ppl.infer(outer(), data={"y": 0.5, "x": 1.0})
