import ppl
from ppl.distributions import Normal


@ppl.model
def m(noise):
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    ppl.sample("y", Normal(mu, noise))


ppl.infer(m(float("nan")), data={"y": 0.5})
