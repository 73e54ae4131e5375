import ppl
from ppl.distributions import Normal


@ppl.model
def p():
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    ppl.sample("y", Normal(mu, 1.0))


@ppl.guide
def q():
    ppl.sample("mu", Normal(ppl.param("loc", 0.0), 1.0))


@ppl.objective
def elbo(p, q):
    z = ppl.simulate(q)
    return ppl.log_density(p, z) - ppl.log_density(q, z)


ppl.infer(p(), data={"y": 1.0}, method=ppl.VI(guide=q(), objective={"model": elbo, "critic": elbo}))
