"""What is said of an optimisation while it runs and afterwards: smoothed values, gradient norms, signal-to-noise."""

import numpy as np
import pytest
import torch

import ppl
from ppl.distributions import Normal
from ppl.inference.vi.moments import MEMORY, Moments
from ppl.inference.vi.watch import WINDOW, Watch


@ppl.model
def model():
    ppl.sample("y", Normal(ppl.sample("mu", Normal(0.0, 2.0)), 1.0))


def test_moments_are_those_of_the_gradients_so_far_and_then_of_the_last_ones():
    gradients = 3.0 + np.random.default_rng(1).normal(size=(3000, 4))
    moments = Moments()
    for step, g in enumerate(torch.tensor(gradients)):
        moments.learn(g, step)
        if step + 1 == MEMORY:
            np.testing.assert_allclose(moments.mean, gradients[:MEMORY].mean(0))
            np.testing.assert_allclose(moments.variance, gradients[:MEMORY].var(0))
    # ‖E g‖ / √tr Var g = √(4 · 9 / 4); of 2 · MEMORY − 1 gradients, √(2 / 796) is the relative error of the noise.
    assert abs(moments.signal_to_noise() / 3.0 - 1) < 4 * (np.sqrt(2 / 796) / 2 + 1 / 3 / np.sqrt(796))


@pytest.mark.parametrize("engine", ("native", "torch"))
def test_gradient_norms_are_kept_with_the_losses(engine, tmp_path):
    """Without a step to speak of, the gradient's mean and variance are those at the start, N(0, s²), s = 0.1.

    With z = s e and e standard: ∂/∂m = h, ∂/∂log s = h z, where h = 2 − z − z / 4 + z / s².
    """
    options = {
        "optimizer": "sgd",
        "learning_rate": 1e-9,
        "steps": 1500,
        "schedule": "constant",
        "engine": engine,
    }
    found = ppl.infer(model(), {"y": 2.0}, "vi", draws=10, progress=False, **options)
    assert found.attrs["engine"] == engine and found.gradient_norms.shape == found.losses.shape == (1500,)
    z = 0.1 * np.random.default_rng(0).normal(size=100_000)
    h = 2.0 - 1.25 * z + z / 0.01
    norms = np.hypot(h, h * z)
    assert abs(found.gradient_norms.mean() - norms.mean()) < 4.5 * norms.std() / np.sqrt(1500)
    snr = np.hypot(h.mean(), (h * z).mean()) / np.sqrt(h.var() + (h * z).var())
    assert abs(found.attrs["signal_to_noise"] - snr) < 4.5 / np.sqrt(2 * MEMORY - 1)
    found.save(tmp_path / "fit.nc")
    assert (ppl.load_posterior(tmp_path / "fit.nc").gradient_norms == found.gradient_norms).all()


class Nothing:
    every = float("inf")


def test_what_is_shown_is_smoothed():
    shown = []
    values = np.arange(500.0)
    Watch(shown.append, Nothing())("native", 500, values, 2 * values, lambda: 0.5, dict)
    (trend,) = shown
    assert trend.step == 500 and trend.value == values[-WINDOW:].mean()
    assert trend.gradient_norm == 2 * trend.value and trend.signal_to_noise == 0.5
