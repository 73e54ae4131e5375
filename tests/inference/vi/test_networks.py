"""Networks in models and guides: against torch by hand, in minibatches, element by element; what is computed once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import ppl
from ppl.distributions import Bernoulli, Normal
from ppl.errors import PplError
from ppl.inference.vi.compiled import CompiledObjective
from ppl.std.objectives import elbo, sticking_the_landing

torch.manual_seed(0)
X = (torch.rand(6, 5, dtype=torch.float64) < 0.4).double()
ENCODER = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4)).double()
DECODER = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 5)).double()
PARAMS = [f"{name}.{k}" for name, net in (("e", ENCODER), ("d", DECODER)) for k, _ in net.named_parameters()]


@ppl.model
def model(x, batch=None):
    decode = ppl.module("d", DECODER)
    for i in ppl.plate("image", len(x), subsample=batch):
        z = ppl.sample("z", Normal(torch.zeros(2), 1.0))
        ppl.observe("x", Bernoulli(logits=decode(z)), x[i])


@ppl.guide
def guide(x, batch=None):
    encode = ppl.module("e", ENCODER)
    for i in ppl.plate("image", len(x), subsample=batch):
        # The columns are weighed anew at each run of the program: equal constants are one.
        loc, log_scale = encode(x[i] * (torch.arange(5.0) + 1)).chunk(2)
        ppl.sample("z", Normal(loc, log_scale.exp()))


def by_hand(x: torch.Tensor, draws: int) -> torch.Tensor:
    """log p(x, z) − log q(z | x) of each image, `[draw, image]`, with nothing but torch."""
    loc, log_scale = ENCODER(x * (torch.arange(5.0) + 1)).chunk(2, -1)
    noise = torch.randn(draws, len(x), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z = loc + log_scale.exp() * noise
    logits = DECODER(z)
    log_p = (x * logits - nn.functional.softplus(logits)).sum(-1) - 0.5 * (z**2).sum(-1)
    return log_p - (-0.5 * noise**2 - log_scale).sum(-1)


def close(found: torch.Tensor, expected: float, what: str) -> None:
    """Within four standard errors of estimates; those of `expected` are no larger."""
    error = 4 * math.sqrt(2) * float(found.std()) / math.sqrt(len(found))
    assert abs(float(found.mean()) - expected) < error + 1e-9, what


def estimates(batch: int | None, draws: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Values and gradients of independent estimates of the ELBO, each of a subset of its own."""
    if batch is None:
        return ppl.value_and_grad(elbo)(model(X), guide(X), draws=draws)
    compiled = CompiledObjective(elbo(model(X, batch), guide(X, batch)))
    values, gradients, _ = zip(*[compiled.run(compiled.values(), seed) for seed in range(draws)], strict=True)
    return torch.stack(values), {name: torch.stack([g[name] for g in gradients]) for name in gradients[0]}


@pytest.mark.parametrize("batch", [None, 2])
def test_value_and_gradient_against_torch(batch):
    draws = 4000 if batch is None else 1000
    value, gradients = estimates(batch, draws)
    hand = by_hand(X, draws).sum(1).mean()
    close(value, float(hand.detach()), "value")
    grads = torch.autograd.grad(hand, [*ENCODER.parameters(), *DECODER.parameters()])
    for name, g in zip(PARAMS, grads, strict=True):
        for k, expected in enumerate(g.reshape(-1).tolist()):
            close(gradients[name].reshape(draws, -1)[:, k], expected, f"{name}[{k}]")


@ppl.objective
def each(p, q, x, K):
    """The mean over images of the bound with K draws."""
    for i in (images := ppl.plate("each", len(x))):
        image = x[i].unsqueeze(0)
        for _ in (draws := ppl.plate("draw", K)):
            z = ppl.simulate(q(image))
            log_w = ppl.log_density(p(image), z) - ppl.log_density(q(image), z)
        bound = torch.logsumexp(draws.gather(log_w), 0) - math.log(K)
    return images.gather(bound).mean()


def test_data_of_an_element_observed_inside_an_objectives_plate():
    found = ppl.estimate(each)(model, guide, X, 3, draws=4000)
    hand = by_hand(X, 12000).detach().reshape(4000, 3, -1).logsumexp(1).sub(math.log(3)).mean()
    assert abs(found.value - float(hand)) < 4 * math.sqrt(2) * found.standard_error


def test_data_of_an_element_outside_the_support_have_no_density():
    bad = X.clone()
    bad[3, 2] = 7.0
    assert ppl.estimate(each)(model, guide, bad, 1, draws=2).value == -math.inf


def test_a_guide_run_twice_is_computed_once():
    """Its density's params are held fixed, its constants are new tensors: the values are the same all the same."""
    graph = CompiledObjective(sticking_the_landing(model(X), guide(X))).estimator.graph
    forwards = [n for n in graph.nodes() if n.op == "tanh"]
    assert len(forwards) == 2  # a layer of the encoder, a layer of the decoder
    assert not any(n.op == "detach" for n in graph.nodes())


def test_learned_params_go_back_into_modules():
    how = ppl.VI(guide(X, 3), steps=3, learning_rate=0.1, average=0.0)
    fit = ppl.infer(model(X, 3), method=how, draws=1, progress=False)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4)).double()
    net.load_state_dict(fit.state_dict("e"))
    assert torch.equal(net[0].weight, torch.as_tensor(fit.params["e.0.weight"]))
    assert not torch.equal(net[0].weight, ENCODER[0].weight)
    with pytest.raises(PplError, match=r"no module 'encoder'(.|\n)*expected: d, e"):
        fit.state_dict("encoder")


def test_params_of_more_programs_are_taken_where_all_are_given():
    draw = ppl.objective(lambda q: ppl.simulate(q)["z"].sum())
    params = {
        name: torch.zeros_like(p) for name, p in ppl.value_and_grad(elbo)(model(X), guide(X))[1].items()
    }
    assert abs(ppl.estimate(draw)(guide(X), params=params).value) < 4 * math.sqrt(12 / 1000)
    assert ppl.simulate(guide(X), seed=0, params=params)["z"].shape == (6, 2)
    del params["e.0.bias"]
    with pytest.raises(PplError, match=r"'d\.0\.weight' is not a param"):
        ppl.estimate(draw)(guide(X), params=params)
    with pytest.raises(PplError, match=r"no param is named 'd\.0\.weight'"):
        ppl.simulate(guide(X), params=params)
