import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    for _ in ppl.plate("school", 3):
        for _ in ppl.plate("school", 3):
            ppl.sample("theta", Normal(0.0, 1.0))


ppl.infer(m())
