import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([4]))
    ppl.sample("y", Normal(x[x > 0].sum(), 1.0))


ppl.infer(m(), data={"y": 0.5})
