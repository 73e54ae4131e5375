import ppl
from ppl.distributions import HalfNormal, Normal


@ppl.model
def p():
    tau = ppl.sample("tau", HalfNormal(1.0))
    ppl.sample("y", Normal(0.0, tau))


model = p().condition(y=1.0)
ppl.guides.mean_field(model, init={"y": 1.0})
