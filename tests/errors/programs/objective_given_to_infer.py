import ppl


@ppl.objective
def elbo(p, q):
    z = ppl.simulate(q)
    return ppl.log_density(p, z) - ppl.log_density(q, z)


ppl.infer(elbo(1, 2))
