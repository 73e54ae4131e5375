import numpy as np

import ppl
from ppl.distributions import Normal

values = np.array([0.1, 0.2, 0.3])


@ppl.model
def m():
    for i in ppl.plate("i", 3):
        ppl.sample("theta", Normal(values[i], 1.0))


ppl.infer(m())
