import ppl
from ppl.distributions import Gamma, Normal


@ppl.model
def m():
    r = ppl.sample("r", Gamma(2.0, 1.0))
    ppl.sample("y", Normal(r, 1.0))


ppl.infer(m().reparam(r=ppl.NonCentered()), data={"y": 0.5})
