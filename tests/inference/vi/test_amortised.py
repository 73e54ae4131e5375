"""The amortised guide: an encoder learns the posterior of every element of a plate, and of new ones."""

import math

import pytest
import torch
from torch import nn

import ppl
from ppl.distributions import Bernoulli, Gamma, Normal, Poisson

N = 40
Y = torch.linspace(-2.0, 3.0, N, dtype=torch.float64)


@ppl.model
def effects(n):
    """z_i | y_i ~ N((m + y_i) / 2, 1/2) where m is known, here nearly so by its own prior."""
    m = ppl.sample("m", Normal(0.5, 0.01))
    for _ in ppl.plate("i", n):
        z = ppl.sample("z", Normal(m, 1.0))
        ppl.sample("y", Normal(z, 1.0))


def linear(inputs: int, outputs: int, dtype: torch.dtype = torch.float64) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, dtype=dtype)


def test_a_linear_encoder_learns_a_conjugate_posterior() -> None:
    guide = ppl.guides.amortised(effects(N).condition(y=Y), linear(1, 2))
    method = ppl.VI(guide=guide, steps=2000, learning_rate=0.02)
    fit = ppl.infer(effects(N), {"y": Y}, method, draws=2000, progress=False)
    weight, bias = (torch.as_tensor(fit.params[f"encoder.{k}"]) for k in ("weight", "bias"))
    # The family holds the posterior but for m's uncertainty, so that the noise of the gradient vanishes.
    assert abs(float(weight[0, 0]) - 0.5) < 0.01 and abs(float(weight[1, 0])) < 0.02
    assert abs(float(bias[0]) - 0.25) < 0.02 and abs(float(bias[1]) - math.log(math.sqrt(0.5))) < 0.02
    sd = math.sqrt(0.5 / 2000)
    assert float((torch.as_tensor(fit.draws["z"][0]).mean(0) - (0.5 + Y) / 2).abs().max()) < 5 * sd + 0.03
    assert fit.khat < 0.7 and abs(fit.params["m.loc"] - 0.5) < 0.01


@ppl.model
def nested(counts):
    rate = ppl.sample("rate", Gamma(2.0, 1.0))
    for _ in ppl.plate("group", 3):
        size = ppl.sample("size", Gamma(2.0, rate))
        ppl.sample("open", Bernoulli(0.5))
        for _ in ppl.plate("item", 4):
            ppl.sample("level", Normal(torch.zeros(2), 1.0))
            ppl.sample("count", Poisson(size))
    ppl.sample("last", Normal(0.0, 1.0))


def amortised_nested() -> ppl.Bound:
    model = nested(None).condition(count=torch.ones(3, 4))
    return ppl.guides.amortised(model, linear(4, 2 * (1 + 4 * 2), torch.float32))


def test_the_text_of_sites_in_nested_plates() -> None:
    guide = amortised_nested()
    encoder = guide.arguments["encoder"]
    expected = """\
    for group in ppl.plate("group", 3):
        loc, log_scale = encode(data[group]).chunk(2)
        ppl.sample("size", LogNormal(loc[0], log_scale[0].exp()))
        ppl.sample("open", Bernoulli(logits=open_logits[group]))
        for item in ppl.plate("item", 4):
            ppl.sample(
                "level",
                Normal(
                    loc[1:9].reshape(4, 2)[item],
                    log_scale[1:9].reshape(4, 2)[item].exp(),
                ),
            )
"""
    assert expected in ppl.guides.source(guide)
    trace = ppl.simulate(guide, seed=0)
    assert trace["level"].shape == (3, 4, 2) and trace["size"].shape == (3,)
    out = encoder(torch.ones(3, 4)).detach()
    loc, scale = out[:, 1:9].reshape(3, 4, 2), out[:, 10:18].reshape(3, 4, 2).exp()
    expected = torch.distributions.Normal(loc, scale).log_prob(trace["level"].float()).sum()
    torch.testing.assert_close(trace.log_densities["level"].sum().float(), expected)


def test_a_subsampled_plate_encodes_the_elements_it_draws() -> None:
    @ppl.model
    def large(y):
        for i in ppl.plate("i", N, subsample=5):
            z = ppl.sample("z", Normal(0.0, 1.0))
            ppl.observe("y", Normal(z, 1.0), y[i])

    guide = ppl.guides.amortised(large(Y), linear(1, 2), data=Y.reshape(-1, 1))
    fit = ppl.infer(large(Y), {}, ppl.VI(guide=guide, steps=800, learning_rate=0.02), draws=5, progress=False)
    assert abs(float(fit.params["encoder.weight"][0, 0]) - 0.5) < 0.05


def refused(match: str, *args, **options) -> str:
    with pytest.raises(ppl.PplError, match=match) as caught:
        ppl.guides.amortised(*args, **options)
    return str(caught.value)


def test_what_is_refused() -> None:
    model = effects(N).condition(y=Y)
    text = refused("encoder doesn't fit", model, linear(1, 3))
    assert "from [1] to [2]: location and log scale of z (1)" in text and "torch.nn.Linear(1, 2)" in text
    refused("encoder doesn't fit", model, linear(2, 2))
    assert 'plate="i"' in refused("has no plate 'j'", model, linear(1, 2), plate="j")
    assert "data=x.reshape(-1, 1)" in refused("no row for each element", model, linear(1, 2), data=Y)
    refused("data of the elements of plate 'i' are not known", effects(N), linear(1, 2))
