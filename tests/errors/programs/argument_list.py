import ppl
from ppl.distributions import Normal


@ppl.model
def line(x):
    a = ppl.sample("a", Normal(0.0, 1.0))
    b = ppl.sample("b", Normal(0.0, 1.0))
    for i in ppl.plate("i", x.shape[0]):
        ppl.sample("y", Normal(a + b * x[i], 1.0))


ppl.infer(line([1.0, 2.0, 3.0]), data={"y": [1.0, 2.0, 3.0]})
