import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    ppl.sample("x", Normal(loc=0.0, sigma=1.0))


ppl.infer(m())
