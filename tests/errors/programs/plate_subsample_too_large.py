import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    for _ in ppl.plate("i", 3, subsample=4):
        ppl.sample("theta", Normal(0.0, 1.0))


ppl.infer(m())
