import ppl
from ppl.distributions import Normal


@ppl.model
def m(y):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    ppl.observe("y", Normal(mu, 1.0), y)


ppl.infer(m(0.5), data={"y": 0.7})
