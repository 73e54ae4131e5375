import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    total = 0.0
    for _ in ppl.plate("school", 3):
        total = total + ppl.sample("theta", Normal(0.0, 1.0))
    ppl.sample("y", Normal(total, 1.0))


ppl.infer(m(), data={"y": 0.5})
