import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    for j in ppl.plate("school", 3):
        if j == 0:
            ppl.sample("theta", Normal(0.0, 1.0))
        else:
            ppl.sample("theta", Normal(1.0, 1.0))


ppl.infer(m())
