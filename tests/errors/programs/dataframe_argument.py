import pandas as pd

import ppl
from ppl.distributions import Normal


@ppl.model
def m(df):
    b = ppl.sample("b", Normal(0.0, 1.0))
    for i in ppl.plate("i", 3):
        ppl.sample("y", Normal(b * df["x"][i], 1.0))


ppl.infer(m(pd.DataFrame({"x": [1.0, 2.0, 3.0]})), data={"y": [0.5, 0.2, 0.1]})
