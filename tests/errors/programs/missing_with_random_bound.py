import ppl
from ppl.distributions import Gamma, Uniform


@ppl.model
def m():
    top = ppl.sample("top", Gamma(2.0, 1.0))
    for _ in ppl.plate("i", 3):
        ppl.sample("y", Uniform(0.0, top))


ppl.infer(m(), data={"y": [0.5, float("nan"), 0.3]})
