import ppl
from ppl.distributions import Normal


@ppl.model
def twice(y):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    mu = ppl.sample("mu", Normal(mu, 1.0))
    ppl.observe("y", Normal(mu, 1.0), y)


ppl.infer(twice(1.5))
