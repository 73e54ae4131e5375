import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    schools = ppl.plate("school", 3)
    theta = ppl.sample("theta", Normal(0.0, 1.0))
    ppl.sample("y", Normal(schools.gather(theta), 1.0))


ppl.infer(m(), data={"y": [0.5, 0.1, 0.2]})
