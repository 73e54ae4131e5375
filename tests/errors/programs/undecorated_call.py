import ppl
from ppl.distributions import Normal


def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    return x


ppl.infer(m())
