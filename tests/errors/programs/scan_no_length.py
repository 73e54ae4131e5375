import ppl
from ppl.distributions import Normal


@ppl.model
def walk():
    ppl.scan("t", lambda x, t: ppl.sample("x", Normal(x, 1.0)), 0.0)


ppl.infer(walk())
