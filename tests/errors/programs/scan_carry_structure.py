import ppl
from ppl.distributions import Normal


@ppl.model
def walk():
    def step(state, t):
        x, v = state
        v = ppl.sample("v", Normal(v, 1.0))
        return x + v

    ppl.scan("t", step, (0.0, 0.0), length=3)


ppl.infer(walk())
