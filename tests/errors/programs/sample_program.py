import ppl
from ppl.distributions import Normal


@ppl.model
def inner():
    return ppl.sample("x", Normal(0.0, 1.0))


@ppl.model
def outer():
    ppl.sample("inner", inner)


ppl.infer(outer())
