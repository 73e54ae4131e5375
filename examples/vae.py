"""A variational autoencoder: handwritten digits from ten numbers each.

The model, for images i of 64 pixels, each the number of black dots among 16:

    z_i ~ Normal(0, 1)                        ten of them: a code of the image
    x_i ~ Binomial(16, logit⁻¹(decoder(z_i)))

and a guide that reads the code off the image: z_i ~ Normal(encoder(x_i)). Decoder and encoder are neural
networks; their weights are learned together by maximising the ELBO, a lower bound of log p(x), on a hundred
images at a time. How good the model is, images that it has not seen must say: with K draws of the code an
importance-weighted bound (IWELBO) comes nearer to their log p(x) the larger K is. It is an objective like any
other, written below.

Sources: Kingma & Welling, "Auto-encoding variational Bayes" (2014); Burda, Grosse & Salakhutdinov, "Importance
weighted autoencoders" (2016). Data: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI
Machine Learning Repository. scikit-learn ships it (`load_digits`; pip install scikit-learn).

    python examples/vae.py                    (--plot vae.png draws what it has learned: pip install matplotlib)
"""

from __future__ import annotations

import argparse
import math

import torch
from sklearn.datasets import load_digits
from torch import nn

import ppl
from ppl.distributions import Binomial, Normal

PIXELS, DOTS, CODE, HIDDEN = 64, 16, 10, 200

torch.manual_seed(0)  # where the weights start
encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * CODE))
decoder = nn.Sequential(nn.Linear(CODE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))


@ppl.model
def draw(x, batch=None):
    """Images x `[image, pixel]`, `batch` of them at a time."""
    decode = ppl.module("decoder", decoder)
    for i in ppl.plate("image", len(x), subsample=batch):
        z = ppl.sample("z", Normal(torch.zeros(CODE), 1.0))
        ppl.observe("x", Binomial(DOTS, logits=decode(z)), x[i])


@ppl.guide
def read(x, batch=None):
    encode = ppl.module("encoder", encoder)
    for i in ppl.plate("image", len(x), subsample=batch):
        loc, log_scale = encode(x[i] / DOTS).chunk(2)
        ppl.sample("z", Normal(loc, log_scale.exp()))


@ppl.objective
def bound(p, q, x, K):
    """The mean over images of the IWELBO with K draws; the ELBO is K = 1."""
    for i in (images := ppl.plate("each", len(x))):
        image = x[i].unsqueeze(0)
        for _ in (draws := ppl.plate("draw", K)):
            z = ppl.simulate(q(image))
            log_w = ppl.log_density(p(image), z) - ppl.log_density(q(image), z)
        log_p = torch.logsumexp(draws.gather(log_w), 0) - math.log(K)
    return images.gather(log_p).mean()


def load(train: int = 1500) -> tuple[torch.Tensor, torch.Tensor]:
    """Images to learn from and to test on, `[image, pixel]`, numbers from 0 to 16."""
    images = torch.as_tensor(load_digits().data, dtype=torch.float32)
    images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    return images[:train], images[train:]


def independent_pixels(x: torch.Tensor, x_test: torch.Tensor) -> float:
    """Mean log p of test images where every pixel has a probability of its own and knows of no other."""
    p = (x.sum(0) + 1) / (DOTS * len(x) + 2)
    return float(Binomial(DOTS, p).log_prob(x_test).sum(1).mean())


def main(
    steps: int = 3000, batch: int = 100, seed: int = 0, plot: str | None = None
) -> tuple[dict[str, float], ppl.Posterior]:
    x, x_test = load()
    how = ppl.VI(read(x, batch), steps=steps, learning_rate=2e-3)
    fit = ppl.infer(draw(x, batch), method=how, draws=1, seed=seed)
    found = {"independent pixels": independent_pixels(x, x_test)}
    print(
        "log p of an image not seen, in nats\n\n"
        + f"{'independent pixels':<20}{found['independent pixels']:8.1f}"
    )
    for K in (1, 10, 100):
        name = "ELBO" if K == 1 else f"IWELBO({K})"
        value = ppl.estimate(bound)(draw, read, x_test, K, params=fit.params, draws=20, seed=seed)
        found[name] = value.value
        print(f"{name:<20}{value.value:8.1f}")
    print(f"{'(ELBO, seen)':<20}{-fit.losses[-100:].mean() / len(x):8.1f}")
    if plot is not None:
        picture(fit, x_test[:12], plot)
    return found, fit


def picture(fit: ppl.Posterior, x: torch.Tensor, path: str) -> None:
    """Images, what is left of them after their codes, and images that the model dreams up."""
    import matplotlib.pyplot as plt

    encoder.load_state_dict(fit.state_dict("encoder"))
    decoder.load_state_dict(fit.state_dict("decoder"))
    with torch.no_grad():
        codes = encoder(x / DOTS)[:, :CODE]
        rows = x / DOTS, decoder(codes).sigmoid(), decoder(torch.randn(len(x), CODE)).sigmoid()
    figure, axes = plt.subplots(3, len(x), figsize=(len(x), 3.2))
    for row, images, name in zip(axes, rows, ("seen", "from its code", "dreamt"), strict=True):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        row[0].set_ylabel(name)
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--plot", metavar="FILE")
    main(plot=options.parse_args().plot)
