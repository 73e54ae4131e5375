import ppl
from ppl.distributions import Normal, Poisson


@ppl.model
def m():
    n = ppl.sample("n", Poisson(3.0))
    for _ in ppl.plate("i", n):
        ppl.sample("theta", Normal(0.0, 1.0))


ppl.infer(m())
