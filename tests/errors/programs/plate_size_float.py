import ppl
from ppl.distributions import Normal


@ppl.model
def m(n):
    for _ in ppl.plate("i", n / 2):
        ppl.sample("theta", Normal(0.0, 1.0))


ppl.infer(m(5))
