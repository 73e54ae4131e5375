import ppl
from ppl.distributions import Normal


def m():
    ppl.sample("x", Normal(0.0, 1.0))


ppl.infer(m)
