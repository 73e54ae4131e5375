import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    for _ in ppl.plate("school", 3):
        theta = ppl.sample("theta", Normal(0.0, 1.0))
    ppl.sample("total", Normal(theta.sum(), 1.0))


ppl.infer(m(), data={"total": 0.5})
