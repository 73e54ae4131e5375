import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    for _ in ppl.plate("school", 3):
        theta = ppl.sample("theta", Normal(0.0, 1.0))
    for _ in ppl.plate("school", 3):
        ppl.sample("y", Normal(theta, 1.0))


ppl.infer(m(), data={"y": [0.5, 0.1, 0.2]})
