import ppl
from ppl.distributions import Normal, Poisson


@ppl.model
def m():
    n = ppl.sample("n", Poisson(3.0))
    ppl.sample("y", Normal(n, 1.0))


ppl.infer(m(), data={"y": 0.5})
