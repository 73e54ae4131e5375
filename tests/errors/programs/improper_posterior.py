import ppl
from ppl.distributions import Flat


@ppl.model
def m():
    ppl.sample("x", Flat())


ppl.infer(m())
