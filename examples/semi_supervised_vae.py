"""Learning to tell digits apart from a hundred labels, and from what 1,400 images without labels look like.

The model, for images i of 64 pixels, each the number of black dots among 16:

    y_i ~ Categorical(1/10, …, 1/10)          the digit, written as a one among nine zeros
    z_i ~ Normal(0, 1)                        ten of them: how it is written
    x_i ~ Binomial(16, logit⁻¹(decoder(y_i, z_i)))

The guide guesses the digit and then its style: y_i ~ Categorical(classifier(x_i)), z_i ~ Normal(encoder(x_i, y_i)).
Where the label is known the guide is told it; where it is not, y is a random choice of ten values, and there is more
than one way to differentiate an expectation over it: to sum over the values (`enum`), or to draw one and weigh its
score by what comes of it (`score`). Only what is written at `.grad(y=…)` differs. The sum computes ten times as
much and its gradient is a hundred times less noisy: with `score` the images without labels teach little.

Source: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models" (2014), model M2.
Data: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
scikit-learn ships it (`load_digits`; pip install scikit-learn).

    python examples/semi_supervised_vae.py
"""

from __future__ import annotations

import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

import ppl
from ppl.distributions import Binomial, Normal, OneHotCategorical

PIXELS, DOTS, DIGITS, STYLE, HIDDEN = 64, 16, 10, 10, 100

torch.manual_seed(0)  # where the weights start
classifier = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, DIGITS))
encoder = nn.Sequential(nn.Linear(PIXELS + DIGITS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * STYLE))
decoder = nn.Sequential(nn.Linear(DIGITS + STYLE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))


@ppl.model
def write(x, batch=None):
    """Images x `[image, pixel]`, `batch` of them at a time."""
    decode = ppl.module("decoder", decoder)
    for i in ppl.plate("image", len(x), subsample=batch):
        y = ppl.sample("y", OneHotCategorical(torch.full((DIGITS,), 1 / DIGITS)))
        z = ppl.sample("z", Normal(torch.zeros(STYLE), 1.0))
        ppl.observe("x", Binomial(DOTS, logits=decode(torch.cat([y, z]))), x[i])


@ppl.guide
def read(x, batch=None):
    classify, encode = ppl.module("classifier", classifier), ppl.module("encoder", encoder)
    for i in ppl.plate("image", len(x), subsample=batch):
        image = x[i] / DOTS
        y = ppl.sample("y", OneHotCategorical(logits=classify(image)))
        loc, log_scale = encode(torch.cat([image, y])).chunk(2)
        ppl.sample("z", Normal(loc, log_scale.exp()))


@ppl.objective
def semi_supervised(p, q, x, y, weight):
    """The ELBO of images without labels (those of p and q) and of images x with labels y, and weight · log q(y | x),
    for otherwise nothing would teach the classifier by the labels.
    """
    unknown = ppl.simulate(q)
    elbo = ppl.log_density(p, unknown) - ppl.log_density(q, unknown)
    told = read(x).do(y=y)  # y is set, and no longer a choice that has a density
    style = ppl.simulate(told)
    log_q = ppl.log_density(told, style)
    elbo = elbo + ppl.log_density(write(x).condition(y=y), style) - log_q
    return elbo + weight * (ppl.log_density(read(x), {**style, "y": y}) - log_q)


def load(labelled: int = 100, test: int = 300) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images and digits: with labels, without (the digits are not to be looked at), and to test on."""
    x, y = (torch.as_tensor(a) for a in load_digits(return_X_y=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order].float(), one_hot(y[order], DIGITS).float()
    known, unknown = slice(labelled), slice(labelled, -test)
    return [(x[part], y[part]) for part in (known, unknown, slice(-test, None))]


def error_rate(x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.no_grad():
        return float((classifier(x / DOTS).argmax(1) != y.argmax(1)).float().mean())


def main(
    steps: int = 2000, batch: int = 100, weight: float = 30.0, seed: int = 0
) -> dict[str, tuple[float, float]]:
    (x, y), (x_more, _), (x_test, y_test) = load()
    known = {"x": x, "y": y, "weight": weight}
    model = write(x_more, batch)
    guides = {
        "enum": read(x_more, batch).grad(y="enum"),
        "score": read(x_more, batch).grad(y=ppl.Score(baseline="mean")),
    }
    start = classifier.state_dict()
    found = {}
    print(f"{'':<14}{'errors':>8}{'noise of gradient':>20}{'seconds':>10}")
    for name, guide in guides.items():
        began = time.perf_counter()
        how = ppl.VI(guide, semi_supervised, known, steps=steps, learning_rate=3e-3)
        fit = ppl.infer(model, method=how, draws=1, seed=seed, progress=False)
        _, gradients = ppl.value_and_grad(semi_supervised)(model, guide, **known, params=fit.params, draws=20)
        noise = sum(float(g.var(0).sum()) for n, g in gradients.items() if n.startswith("classifier.")) ** 0.5
        classifier.load_state_dict(fit.state_dict("classifier"))
        found[name] = error_rate(x_test, y_test), noise
        print(f"{name:<14}{found[name][0]:8.1%}{noise:20.3g}{time.perf_counter() - began:10.1f}")
    return found


if __name__ == "__main__":
    main()
