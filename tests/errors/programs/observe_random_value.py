import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    mu = ppl.sample("mu", Normal(0.0, 1.0).expand([2]))
    ppl.observe("y", Normal(0.0, 1.0), mu)


ppl.infer(m())
