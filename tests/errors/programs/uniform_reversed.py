import ppl
from ppl.distributions import Uniform


@ppl.model
def m():
    ppl.sample("z", Uniform(1.0, 0.0))


ppl.infer(m())
