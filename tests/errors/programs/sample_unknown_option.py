import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    ppl.sample("x", Normal(0.0, 1.0), obs=0.5)
    ppl.sample("z", Normal(0.0, 1.0))


ppl.infer(m())
