"""Learning to tell digits apart from a hundred labels, and from what 1,697 images without labels look like.

The model, for images i of 64 pixels, each the number of black dots among 16:

    y_i ~ Categorical(1/10, …, 1/10)          the digit, written as a one among nine zeros
    z_i ~ Normal(0, 1)                        four of them: how it is written
    x_i ~ Binomial(16, logit⁻¹(decoder(y_i, z_i)))

The guide guesses the digit and then its style: y_i ~ Categorical(classifier(x_i)), z_i ~ Normal(encoder(x_i, y_i)).
Where the label is known the guide is told it. Where it is not, y is a random choice of ten values, and there is more
than one way to differentiate an expectation over it: to sum over the values (`enum`), or to draw one and weigh its
score by what came of it (`score`), with or without the mean of earlier steps taken off. The programs are the same but
for `.grad(y=…)`. A sum computes ten times as much, and its gradient is a hundred times less noisy: so the images without
labels help. By the score they don't, and without the mean taken off they do harm.

Source: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models" (2014), model M2.
Data: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
scikit-learn ships it (`load_digits`; pip install scikit-learn).

    python examples/semi_supervised_vae.py
"""

from __future__ import annotations

import copy
import time
from math import nan

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

import ppl
from ppl.distributions import Binomial, Normal, OneHotCategorical

PIXELS, DOTS, DIGITS, STYLE, HIDDEN = 64, 16, 10, 4, 100

torch.manual_seed(0)  # where the weights start
classifier = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, DIGITS))
encoder = nn.Sequential(nn.Linear(PIXELS + DIGITS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * STYLE))
decoder = nn.Sequential(nn.Linear(DIGITS + STYLE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))


@ppl.model
def write(x, batch=None, of="image"):
    """Images x `[image, pixel]`, `batch` of them at a time, in a plate called `of`."""
    decode = ppl.module("decoder", decoder)
    for i in ppl.plate(of, len(x), subsample=batch):
        y = ppl.sample("y", OneHotCategorical(torch.full((DIGITS,), 1 / DIGITS)))
        z = ppl.sample("z", Normal(torch.zeros(STYLE), 1.0))
        ppl.observe("x", Binomial(DOTS, logits=decode(torch.cat([y, z]))), x[i])


@ppl.guide
def read(x, batch=None, of="image"):
    classify, encode = ppl.module("classifier", classifier), ppl.module("encoder", encoder)
    for i in ppl.plate(of, len(x), subsample=batch):
        image = x[i] / DOTS
        y = ppl.sample("y", OneHotCategorical(logits=classify(image)))
        loc, log_scale = encode(torch.cat([image, y])).chunk(2)
        ppl.sample("z", Normal(loc, log_scale.exp()))


@ppl.objective
def semi_supervised(p, q, x, y, weight, alpha):
    """The ELBO of images without labels, which p and q have, and of images x with labels y. To the latter comes
    alpha · log q(y | x), as nothing else would teach the classifier by the labels, and they count `weight` times.
    They are in a plate of their own: plates of one name have the same elements.
    """
    unknown = ppl.simulate(q)
    elbo = ppl.log_density(p, unknown) - ppl.log_density(q, unknown)
    reader = read(x, of="labelled image")
    told = reader.do(y=y)  # y is set, and no longer a choice that has a density
    style = ppl.simulate(told)
    log_q = ppl.log_density(told, style)
    labelled = ppl.log_density(write(x, of="labelled image").condition(y=y), style) - log_q
    log_q_of_y = ppl.log_density(reader, {**style, "y": y}) - log_q
    return elbo + weight * (labelled + alpha * log_q_of_y)


def load(labelled: int = 100) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images and digits with labels, and without: these digits are looked at in the end only."""
    x, y = (torch.as_tensor(a) for a in load_digits(return_X_y=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order].float(), one_hot(y[order], DIGITS).float()
    return x[:labelled], y[:labelled], x[labelled:], y[labelled:]


def labels_only(x: torch.Tensor, y: torch.Tensor, steps: int = 500) -> dict[str, torch.Tensor]:
    """The classifier trained by maximum likelihood on the images with labels."""
    network = copy.deepcopy(classifier)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        cross_entropy(network(x / DOTS), y).backward()
        optimiser.step()
    return network.state_dict()


def error_rate(weights: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> float:
    logits = torch.func.functional_call(classifier, weights, x / DOTS)
    return float((logits.argmax(1) != y.argmax(1)).float().mean())


def noise(model: ppl.Bound, guide: ppl.Bound, known: dict, params: dict) -> float:
    """The standard deviation of the classifier's gradient."""
    objective = ppl.value_and_grad(semi_supervised)
    _, gradients = objective(model, guide, **known, params=params, draws=20)
    return sum(float(g.var(0).sum()) for n, g in gradients.items() if n.startswith("classifier.")) ** 0.5


def main(
    steps: int = 1000, batch: int = 100, weight: float = 10.0, alpha: float = 10.0, seed: int = 0
) -> dict[str, dict[str, float]]:
    x, y, x_more, y_more = load()
    known = {"x": x, "y": y, "weight": weight, "alpha": alpha}
    model = write(x_more, batch)
    strategies = {
        "enum": "enum",
        "score, mean": ppl.Score(baseline="mean"),
        "score": ppl.Score(baseline="none"),
    }
    errors = error_rate(labels_only(x, y), x_more, y_more)
    found = {"labels only": {"errors": errors}}
    print(f"{'':<14}{'errors':>8}{'noise of gradient':>20}{'seconds':>10}")
    print(f"{'labels only':<14}{errors:8.1%}")
    for name, strategy in strategies.items():
        began = time.perf_counter()
        guide = read(x_more, batch).grad(y=strategy)
        how = ppl.VI(guide, semi_supervised, known, steps=steps, learning_rate=3e-3)
        fit = ppl.infer(model, method=how, draws=1, seed=seed, progress=False)
        errors = error_rate(fit.state_dict("classifier"), x_more, y_more)
        seconds = time.perf_counter() - began
        found[name] = {"errors": errors}
        if name != "score, mean":  # a mean of earlier steps is known in training only
            found[name]["noise"] = noise(model, guide, known, fit.params)
        print(f"{name:<14}{errors:8.1%}{found[name].get('noise', nan):20.3g}{seconds:10.1f}")
    return found


if __name__ == "__main__":
    main()
