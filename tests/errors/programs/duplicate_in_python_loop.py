import ppl
from ppl.distributions import Normal


@ppl.model
def groups():
    for g in range(3):
        ppl.sample("mu", Normal(g, 1.0))


ppl.infer(groups())
