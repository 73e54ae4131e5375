import ppl
from ppl.distributions import Normal


@ppl.model(dynamic=True)
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    if x > 0:
        ppl.sample("y", Normal(x, 1.0))


ppl.infer(m())
