import ppl
from ppl.distributions import Flat, Normal


@ppl.model
def m():
    mu = ppl.sample("mu", Flat())
    ppl.sample("y", Normal(mu, 1.0))


ppl.simulate(m(), seed=0)
