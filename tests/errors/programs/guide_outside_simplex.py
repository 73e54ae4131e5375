import torch

import ppl
from ppl.distributions import Categorical, Dirichlet, Independent, Normal


@ppl.model
def survey():
    shares = ppl.sample("shares", Dirichlet(torch.ones(3)))
    for _ in ppl.plate("person", 4):
        ppl.sample("answer", Categorical(shares))


@ppl.guide
def q():
    ppl.sample("shares", Independent(Normal(ppl.param("loc", torch.zeros(3)), 1.0), 1))


ppl.infer(survey(), data={"answer": torch.tensor([0, 2, 2, 1])}, method=ppl.VI(guide=q()))
