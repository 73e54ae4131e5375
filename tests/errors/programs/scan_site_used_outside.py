import ppl
from ppl.distributions import Normal


@ppl.model
def walk():
    steps = []

    def step(x, t):
        x = ppl.sample("x", Normal(x, 1.0))
        steps.append(x)
        return x

    ppl.scan("t", step, 0.0, length=3)
    ppl.sample("y", Normal(steps[-1], 1.0))


ppl.infer(walk(), data={"y": 0.5})
