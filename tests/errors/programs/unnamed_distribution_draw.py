import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = Normal(0.0, 1.0).sample()
    ppl.sample("y", Normal(x, 1.0))


ppl.infer(m(), data={"y": 0.5})
