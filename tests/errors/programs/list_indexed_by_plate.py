import ppl
from ppl.distributions import Normal


@ppl.model
def m(x):
    for i in ppl.plate("i", 3):
        ppl.sample("theta", Normal(x[i], 1.0))


ppl.infer(m([0.1, 0.2, 0.3]))
