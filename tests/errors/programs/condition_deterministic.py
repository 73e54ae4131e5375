import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    x = ppl.sample("x", Normal(0.0, 1.0))
    z = ppl.deterministic("z", 2.0 * x)
    ppl.sample("y", Normal(z, 1.0))


ppl.infer(m(), data={"z": 1.0, "y": 0.5})
