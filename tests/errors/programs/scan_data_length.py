import ppl
from ppl.distributions import Normal


@ppl.model
def walk(T):
    def step(x, t):
        x = ppl.sample("x", Normal(x, 1.0))
        ppl.sample("y", Normal(x, 1.0))
        return x

    ppl.scan("t", step, 0.0, length=T)


ppl.infer(walk(3), data={"y": [0.1, 0.2, 0.3, 0.4]})
