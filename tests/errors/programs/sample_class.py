import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    ppl.sample("x", Normal)


ppl.infer(m())
