import ppl
from ppl.distributions import Gamma, Poisson


@ppl.model
def counts():
    rate = ppl.sample("rate", Gamma(2.0, 1.0))
    ppl.sample("n", Poisson(rate))


ppl.infer(counts(), data={"n": float("inf")})
