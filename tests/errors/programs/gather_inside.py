import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    schools = ppl.plate("school", 3)
    for _ in schools:
        theta = ppl.sample("theta", Normal(0.0, 1.0))
        total = schools.gather(theta).sum()
    ppl.sample("y", Normal(total, 1.0))


ppl.infer(m(), data={"y": 0.5})
