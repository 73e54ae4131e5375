import ppl
from ppl.distributions import Bernoulli, Beta


@ppl.model
def coin():
    p = ppl.sample("p", Beta(1.0, 1.0))
    for _ in ppl.plate("flip", 3):
        ppl.sample("heads", Bernoulli(p))


ppl.infer(coin(), data={"heads": [1, 0, 2]})
