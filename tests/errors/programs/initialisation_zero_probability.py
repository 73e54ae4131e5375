import ppl
from ppl.distributions import Uniform


@ppl.model
def m():
    top = ppl.sample("top", Uniform(0.0, 1.0))
    for _ in ppl.plate("i", 3):
        ppl.sample("y", Uniform(0.0, top))


ppl.infer(m(), data={"y": [0.5, 3.0, 0.2]})
