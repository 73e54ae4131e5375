import ppl
from ppl.distributions import Normal


@ppl.model
def m():
    baseline = ppl.state("baseline", 0.0)
    ppl.sample("x", Normal(baseline.value, 1.0))


ppl.infer(m())
