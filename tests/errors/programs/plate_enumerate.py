import ppl
from ppl.distributions import Normal


@ppl.model
def m(x):
    for _, value in ppl.plate("i", x):
        ppl.sample("theta", Normal(value, 1.0))


ppl.infer(m([1.0, 2.0]))
