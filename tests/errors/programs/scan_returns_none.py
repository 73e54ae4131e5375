import ppl
from ppl.distributions import Normal


@ppl.model
def walk():
    def step(x, t):
        x = ppl.sample("x", Normal(x, 1.0))

    ppl.scan("t", step, 0.0, length=3)


ppl.infer(walk())
