import ppl
from ppl.distributions import Gamma, Poisson


@ppl.model
def counts():
    rate = ppl.sample("rate", Gamma(2.0, 1.0))
    for _ in ppl.plate("i", 3):
        ppl.sample("n", Poisson(rate))


ppl.infer(counts(), data={"n": [1.0, 2.5, 3.0]})
