import ppl
from ppl.distributions import Normal


@ppl.model
def schools(sigma):
    ppl.sample("y", Normal(0.0, sigma))


ppl.infer(schools([15, 10, 16]), {"y": [1.0, 2.0, 3.0]}, progress=False)
