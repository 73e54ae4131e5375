import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    b = ppl.param("b", 0.0)
    x = ppl.sample("x", Normal(b, 1.0))
    ppl.sample("y", Normal(x, 1.0))


ppl.infer(m(), data={"y": 0.5})
