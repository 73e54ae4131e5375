import ppl
from ppl.distributions import Exponential, Gamma


@ppl.model
def waiting():
    rate = ppl.sample("rate", Gamma(2.0, 1.0))
    for _ in ppl.plate("i", 4):
        ppl.sample("t", Exponential(rate))


ppl.infer(waiting(), data={"t": [0.5, 1.25, -0.75, 2.0]})
