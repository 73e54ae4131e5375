import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    for k in range(2):
        ppl.sample(k, Normal(0.0, 1.0))


ppl.infer(m())
