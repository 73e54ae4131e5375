"""Attend, infer, repeat: how many digits are on a canvas, where, and what do they look like? Nobody says.

A scene i of 16 × 16 pixels holds up to two things. For thing t, as long as there are more:

    more_t  ~ Bernoulli                        is there another one?
    where_t ~ Normal(0, 0.4)                   its place, two numbers; the canvas goes from −1 to 1
    what_t  ~ Normal(0, 1)                     its look, eight numbers; decoder(what_t) is a picture of 8 × 8
    image   ~ Normal(sum of the pictures, each at its place, 0.3)

The guide looks at the scene, says whether there is a thing and where, cuts that window out, reads its look off it,
and looks again with the window marked. Places and looks are differentiated along their draws, through the
pictures that move (a spatial transformer). `more` is yes or no; four ways to differentiate an expectation over it
are compared by the noise of the gradient in the end, and two of them by what they learn.

The networks are never told a number of digits. They find it because two things, each with a simple look, explain a
scene better than one complicated thing.

Sources: Eslami, Heess, Weber, Tassa, Szepesvari, Kavukcuoglu & Hinton, "Attend, infer, repeat: fast scene
understanding with generative models" (2016); Becker, Lew, Wang, Ghavami, Huot, Rinard & Mansinghka, "Probabilistic
programming with programmable variational inference" (2024), who compare strategies on it. Digits: Alpaydin and
Kaynak (1998), UCI Machine Learning Repository. scikit-learn ships them (`load_digits`; pip install scikit-learn).

    python examples/attend_infer_repeat.py    (--plot air.png draws what it sees: pip install matplotlib)
"""

from __future__ import annotations

import argparse
import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import grid_sample

import ppl
from ppl.distributions import Bernoulli, Normal

THINGS, CANVAS, DIGIT, LOOK, HIDDEN = 2, 16, 8, 8, 100
MORE = (2 / 3, 1 / 2)  # so that 0, 1 and 2 things are equally likely
SPREAD, NOISE = 0.4, 0.3

torch.manual_seed(0)  # where the weights start
glance = nn.Sequential(nn.Linear(2 * CANVAS**2, 2 * HIDDEN), nn.ReLU(), nn.Linear(2 * HIDDEN, 5))
encoder = nn.Sequential(nn.Linear(DIGIT**2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LOOK))
decoder = nn.Sequential(nn.Linear(LOOK, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, DIGIT**2))


def pixels(size: int) -> torch.Tensor:
    """The places of pixels, from −1 to 1: `[row, column, (x, y)]`."""
    centres = (2 * torch.arange(size) + 1) / size - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1)


def paste(picture: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """A canvas with the picture at its place, zero elsewhere."""
    grid = (pixels(CANVAS) - where) * CANVAS / DIGIT
    moved = grid_sample(picture.reshape(1, 1, DIGIT, DIGIT), grid.unsqueeze(0), align_corners=False)
    return moved.reshape(CANVAS, CANVAS)


def cut(image: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The window of a picture's size at a place of the canvas, `[pixel]`."""
    grid = pixels(DIGIT) * DIGIT / CANVAS + where
    return grid_sample(image.reshape(1, 1, CANVAS, CANVAS), grid.unsqueeze(0), align_corners=False).reshape(
        -1
    )


def picture_of(decode, what: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(decode(what) - 2)  # paper is white before anything is learned


@ppl.model
def scene(images, batch=None):
    """Images `[scene, row, column]`, `batch` of them at a time."""
    decode = ppl.module("decoder", decoder)
    for i in ppl.plate("scene", len(images), subsample=batch):
        canvas, present = torch.zeros(CANVAS, CANVAS), torch.ones(())
        for t in range(THINGS):
            present = present * ppl.sample(f"more_{t}", Bernoulli(MORE[t]))
            where = ppl.sample(f"where_{t}", Normal(torch.zeros(2), SPREAD))
            what = ppl.sample(f"what_{t}", Normal(torch.zeros(LOOK), 1.0))
            canvas = canvas + present * paste(picture_of(decode, what), where)
        ppl.observe("image", Normal(canvas, NOISE), images[i])


@ppl.guide
def attend(images, batch=None):
    """Of a thing that is not there, everything is as the model has it: it adds nothing to the objective."""
    look, encode = ppl.module("glance", glance), ppl.module("encoder", encoder)
    for i in ppl.plate("scene", len(images), subsample=batch):
        image, seen, present = images[i], torch.zeros(CANVAS, CANVAS), torch.ones(())
        for t in range(THINGS):
            logit, place, precision = look(torch.cat([image, seen]).reshape(-1)).split([1, 2, 2])
            more = 0.01 + 0.98 * torch.sigmoid(logit[0])
            more = ppl.sample(f"more_{t}", Bernoulli(present * more + (1 - present) * MORE[t]))
            present = present * more
            scale = present * (-precision - 2).exp() + (1 - present) * SPREAD
            where = ppl.sample(f"where_{t}", Normal(present * place, scale))
            loc, log_scale = encode(cut(image, where)).chunk(2)
            what = Normal(present * loc, present * log_scale.exp() + (1 - present))
            ppl.sample(f"what_{t}", what)
            seen = paste(torch.ones(DIGIT, DIGIT), where)


@ppl.objective
def accuracy(q, images, many):
    """The share of scenes in which the guide counts right. What is only estimated may jump."""
    for i in (scenes := ppl.plate("each", len(images))):
        z = ppl.simulate(q(images[i].unsqueeze(0)))
        count = z["more_0"] * (1 + z["more_1"])
        right = torch.where(count[0] == many[i], 1.0, 0.0)
    return scenes.gather(right).mean()


def compose(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scenes of 0, 1 or 2 digits that hardly touch, and how many there are."""
    generator = torch.Generator().manual_seed(seed)
    digits = torch.as_tensor(load_digits().images, dtype=torch.float32) / 16
    many = torch.randint(THINGS + 1, (count,), generator=generator)
    images = torch.zeros(count, CANVAS, CANVAS)
    for image, n in zip(images, many.tolist(), strict=True):
        places = torch.zeros(THINGS, 2)
        while (places[0] - places[1]).abs().max() < DIGIT - 1:
            places = torch.randint(CANVAS - DIGIT + 1, (THINGS, 2), generator=generator)
        for row, column in places[:n].tolist():
            which = int(torch.randint(len(digits), (1,), generator=generator))
            image[row : row + DIGIT, column : column + DIGIT] += digits[which]
    return images.clamp(max=1), many


STRATEGIES = {
    "enum": "enum",
    "score, mean": ppl.Score(baseline="mean"),
    "score": ppl.Score(baseline="none"),
    "mvd": "mvd",
}
"""For `more`: the sum over its values; its score, less the mean reward of earlier steps; its score; twice its
derivative, at yes and at no.
"""


def by(strategy: object, guide: ppl.Bound) -> ppl.Bound:
    return guide.grad(**{f"more_{t}": strategy for t in range(THINGS)})


def noise(strategy: object, images: torch.Tensor, params: dict, draws: int = 20) -> float:
    """The standard deviation of the gradient, of the weights from which `more` is computed."""
    objective = ppl.value_and_grad(ppl.std.objectives.elbo)
    _, gradients = objective(scene(images), by(strategy, attend(images)), params=params, draws=draws)
    return float(gradients["glance.2.weight"][:, 0].var(0).sum()) ** 0.5


def main(
    steps: int = 1000, batch: int = 50, scenes: int = 4000, seed: int = 0, plot: str | None = None
) -> dict[str, dict[str, float]]:
    images, _ = compose(scenes, seed=0)
    test, many = compose(300, seed=1)
    found: dict[str, dict[str, float]] = {}
    print(f"{'':<14}{'counted right':>15}{'log p (ELBO)':>14}{'seconds':>9}")
    params = {}
    for name in ("enum", "score, mean"):
        began = time.perf_counter()
        guide = by(STRATEGIES[name], attend(images, batch))
        how = ppl.VI(guide, steps=steps, learning_rate=3e-3, clip=1e4)
        fit = ppl.infer(scene(images, batch), method=how, draws=1, seed=seed, progress=False)
        right = ppl.estimate(accuracy)(attend, test, many, params=fit.params, draws=10).value
        bound = -fit.losses[-100:].mean() / scenes
        found[name] = {"right": right, "bound": bound}
        print(f"{name:<14}{right:15.1%}{bound:14.1f}{time.perf_counter() - began:9.1f}")
        params = params or fit.params
        if plot is not None and name == "enum":
            picture(fit, test, plot)
    print("\nnoise of the gradient, where enumeration ends")
    for name, strategy in STRATEGIES.items():
        if name != "score, mean":  # a mean of earlier steps is known in training only
            found.setdefault(name, {})["noise"] = noise(strategy, test[:batch], params)
            print(f"{name:<14}{found[name]['noise']:15.3g}")
    return found


def picture(fit: ppl.Posterior, images: torch.Tensor, path: str, count: int = 12) -> None:
    """Scenes with the windows that the guide attends to, and the scenes put together again."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import Rectangle

    decoder.load_state_dict(fit.state_dict("decoder"))
    z = ppl.simulate(attend(images[:count]), seed=0, params=fit.params)
    figure, axes = plt.subplots(2, count, figsize=(count, 2.3))
    for i in range(count):
        canvas, present = torch.zeros(CANVAS, CANVAS), torch.ones(())
        axes[0, i].imshow(images[i], cmap="gray_r", vmin=0, vmax=1)
        for t in range(THINGS):
            present = present * z[f"more_{t}"][i].float()
            where = z[f"where_{t}"][i].float()
            with torch.no_grad():
                look = picture_of(decoder, z[f"what_{t}"][i].float())
                canvas += present * paste(look, where)
            if present:
                corner = ((where + 1) * CANVAS / 2 - DIGIT / 2 - 0.5).tolist()
                axes[0, i].add_patch(Rectangle(corner, DIGIT, DIGIT, fill=False, color=f"C{t}"))
        axes[1, i].imshow(canvas, cmap="gray_r", vmin=0, vmax=1)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.savefig(path, dpi=120, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--plot", metavar="FILE")
    main(plot=options.parse_args().plot)
