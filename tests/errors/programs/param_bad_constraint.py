import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    s = ppl.param("s", 1.0, constraint="positiv")
    ppl.sample("x", Normal(0.0, s))


ppl.infer(m())
