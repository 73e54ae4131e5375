import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    ppl.factor("penalty", -x.abs())


ppl.infer(m(), data={"penalty": 1.0})
