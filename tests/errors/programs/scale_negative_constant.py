import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    mu = ppl.sample("mu", Normal(0.0, -1.0))
    ppl.sample("y", Normal(mu, 1.0))


ppl.infer(m(), data={"y": 0.5})
