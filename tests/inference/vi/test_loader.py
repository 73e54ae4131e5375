"""Batches of a loader: the steps are those of the formulas, whatever the batches' sizes; what can't be right is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import ppl
from ppl.distributions import Bernoulli, Categorical, Normal
from ppl.errors import PplError

F64 = torch.float64
X = torch.linspace(-1.0, 1.0, 10, dtype=F64)
Y = torch.tensor([0.9, -0.3, 0.8, 2.1, -1.4, 0.5, 1.0, 1.7, 0.2, 0.6], dtype=F64)
N = len(Y)


@ppl.model
def line(x):
    b = ppl.sample("b", Normal(0.0, 1.0))
    for i in ppl.plate("i", x.shape[0]):
        ppl.sample("y", Normal(b * x[i], 1.0))


def batches(*sizes, x=X, y=Y):
    parts = zip(torch.split(x, list(sizes)), torch.split(y, list(sizes)), strict=True)
    return [{"x": a, "y": b} for a, b in parts]


def loader(shuffle=True, generator=0, size=4):
    own = None if generator is None else torch.Generator().manual_seed(generator)
    return DataLoader(TensorDataset(X, Y), batch_size=size, shuffle=shuffle, generator=own)


def fit(data, model=line, **options):
    infer = {k: options.pop(k) for k in ("draws", "seed", "save_to", "resume") if k in options}
    method = ppl.VI(**{"total_size": N, "steps": 5, **options})
    return ppl.infer(model, data, method=method, progress=False, **infer)


def shuffled(**options):
    return fit(loader(), batch_names=("x", "y"), schedule="constant", draws=10, **options)


def refused(call):
    with pytest.raises(PplError) as caught:
        call()
    return str(caught.value)


# ---------------------------------------------------------------- the steps


def test_a_batch_stands_for_all_data() -> None:
    """Gradient ascent of the log density at a point: b ← b + rate (−b + N / B Σ x (y − b x)), batch by batch; the last
    batch of an epoch is shorter.
    """
    rule = {"optimizer": "sgd", "learning_rate": 0.01, "schedule": "constant", "average": 0.0}
    found = fit(batches(4, 4, 2), guide="delta", steps=8, draws=1, **rule)
    still = {**rule, "learning_rate": 1e-300}
    b = float(fit(batches(4, 4, 2), guide="delta", steps=1, draws=1, **still).draws["b"][0, 0])
    for step in range(8):
        x, y = batches(4, 4, 2)[step % 3].values()
        b += 0.01 * float(-b + N / len(x) * (x * (y - b * x)).sum())
    assert float(found.draws["b"][0, 0]) == pytest.approx(b, abs=1e-10)
    assert found.attrs["epochs"] == pytest.approx(8 / 3) and "loader" in found.attrs["engine_reason"]


def test_all_estimates_of_a_step_are_of_one_batch() -> None:
    assert fit(batches(5, 5), steps=3, particles=2).attrs["epochs"] == 1.5


def test_a_batch_of_all_data_gives_the_fit_without_batches() -> None:
    options = {"steps": 20, "seed": 3, "draws": 200}
    by_batches = fit(batches(N), **options)
    plain = ppl.infer(
        line(X), {"y": Y}, method=ppl.VI(steps=20), seed=3, draws=200, engine="torch", progress=False
    )
    np.testing.assert_allclose(by_batches.losses, plain.losses, rtol=1e-10)
    np.testing.assert_allclose(by_batches.draws["b"], plain.draws["b"], rtol=1e-10)
    np.testing.assert_allclose(by_batches.log_weights, plain.log_weights, rtol=1e-8)


def test_log_weights_add_up_over_an_epoch() -> None:
    found = fit(loader(), batch_names=("x", "y"), steps=30, draws=100)
    b = torch.as_tensor(found.draws["b"][0])
    joint = Normal(0.0, 1.0).log_prob(b) + Normal(b[:, None] * X, 1.0).log_prob(Y).sum(1)
    q = Normal(*(torch.as_tensor(found.params[f"b.{n}"]) for n in ("loc", "scale")))
    np.testing.assert_allclose(found.log_weights[0], joint - q.log_prob(b), rtol=1e-9)
    dropped = DataLoader(TensorDataset(X, Y), batch_size=4, drop_last=True)
    assert fit(dropped, batch_names=("x", "y"), draws=100).log_weights is None  # an epoch lacks elements


def test_predictions_are_for_data_that_are_given() -> None:
    found = fit(batches(5, 5), draws=20)
    assert found.predict(line(X[:3]), seed=1)["y"].shape == (1, 20, 3)
    assert "posterior.predict(line(x))" in refused(found.predict)


def test_an_amortised_guide() -> None:
    """z ~ N(0, 1), y ~ N(z, 1): the posterior of z is N(y / 2, 1/2), what the guide becomes."""

    @ppl.model
    def latent(n):
        for _ in ppl.plate("i", n):
            z = ppl.sample("z", Normal(0.0, 1.0))
            ppl.sample("y", Normal(z, 1.0))

    @ppl.guide
    def q(y):
        slope = ppl.param("slope", 0.0)
        scale = ppl.param("scale", 1.0, constraint="positive")
        for i in ppl.plate("i", y.shape[0]):
            ppl.sample("z", Normal(slope * y[i], scale))

    data = [{"y": part} for part in torch.split(Y, 5)]
    found = fit(data, latent(5), guide=q, steps=400, learning_rate=0.05, draws=10)
    # log p − log q has no variance at the optimum, so the last steps converge to it.
    assert float(found.params["slope"]) == pytest.approx(0.5, abs=1e-3)
    assert float(found.params["scale"]) == pytest.approx(math.sqrt(0.5), abs=1e-3)
    assert "z" not in found.draws and found.khat is None


def test_what_is_computed_of_a_batch_follows_the_batch() -> None:
    @ppl.model
    def scaled(x):
        b = ppl.sample("b", Normal(0.0, 1.0))
        half = x / 2
        for i in ppl.plate("i", x.shape[0]):
            ppl.sample("y", Normal(2 * b * half[i], 1.0))

    one, other = fit(batches(5, 5), steps=9, draws=5), fit(batches(5, 5), scaled, steps=9, draws=5)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-10)


def test_values_observed_in_the_program_follow_the_batch() -> None:
    @ppl.model
    def inside(x, y):
        b = ppl.sample("b", Normal(0.0, 1.0))
        for i in ppl.plate("i", x.shape[0]):
            ppl.observe("out", Normal(b * x[i], 1.0), y[i])

    one, other = fit(batches(5, 5), steps=9, draws=5), fit(batches(5, 5), inside, steps=9, draws=5)
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-10)


def test_arguments_that_no_batch_has() -> None:
    @ppl.model
    def wide(x, sd):
        b = ppl.sample("b", Normal(0.0, sd))
        for i in ppl.plate("i", x.shape[0]):
            ppl.sample("y", Normal(b * x[i], 1.0))

    one, other = fit(batches(5, 5), draws=5), fit(batches(5, 5), wide(X, 1.0), draws=5)
    assert (one.losses == other.losses).all()
    assert "wide" in refused(lambda: fit(batches(5, 5), wide))


def test_a_group_of_params_with_an_objective_of_its_own() -> None:
    @ppl.guide
    def q():
        ppl.sample("b", Normal(ppl.param("loc", 0.0), 1.0))

    objective = {"guide": ppl.std.objectives.elbo}
    one, other = (
        fit(batches(5, 5), guide=q, draws=5),
        fit(batches(5, 5), guide=q(), objective=objective, draws=5),
    )
    assert one.losses.shape == other.losses.shape == (5,)
    assert np.isfinite(other.losses).all()


# ---------------------------------------------------------------- going on


def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path) -> None:
    whole = shuffled(steps=10)
    shuffled(steps=4, save_to=tmp_path / "fit.npz")
    rest = shuffled(steps=10, resume=tmp_path / "fit.npz")
    assert (rest.losses[-6:] == whole.losses[-6:]).all()
    assert (rest.draws["b"] == whole.draws["b"]).all() and rest.attrs["epochs"] == whole.attrs["epochs"]
    assert (
        len(set(whole.losses[:3].round(6)) & set(whole.losses[3:6].round(6))) == 0
    )  # epochs are shuffled anew


def test_orders_that_cannot_be_brought_back(tmp_path) -> None:
    def run(data):
        return lambda: fit(data, batch_names=("x", "y"), save_to=tmp_path / "fit.npz")

    said = refused(run(loader(generator=None)))
    assert "order of this loader's batches can't be brought back" in said and "generator=" in said
    run(loader(shuffle=False, generator=None))()
    run([(X, Y)])()
    assert "its order is not known" in refused(run(_Endless()))


class _Endless:
    def __iter__(self):
        return iter([(X, Y)] * 100)


# ---------------------------------------------------------------- mistakes


def test_total_size_is_asked_for() -> None:
    said = refused(lambda: fit(loader(), batch_names=("x", "y"), total_size=None))
    assert "batches of a loader need total_size" in said and "total_size=10" in said
    assert "are for batches of a loader" in refused(lambda: fit({"y": Y}, line(X)))
    assert "total_size=0" in refused(lambda: fit(batches(5, 5), total_size=0))


def test_tuples_need_names() -> None:
    said = refused(lambda: fit(loader()))
    assert "parts of a batch have no names" in said and "batch_names=" in said
    assert "names don't fit" in refused(lambda: fit(loader(), batch_names=("x",)))


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"x": X[:5]}, "batch 1 of epoch 0 has other names"),
        ({"x": X[:5], "y": Y[:5, None]}, "'y' in batch 1 of epoch 0 is of another kind"),
        ({"x": X[:5], "y": Y[:5].float()}, "torch.float32"),
        ({"x": X[:5], "y": None}, "'y' of a batch is not a tensor"),
    ],
)
def test_batches_unlike_the_first(second, words) -> None:
    assert words in refused(lambda: fit([*batches(5, 5)[:1], second]))


def test_batches_are_wanted_for_every_epoch() -> None:
    said = refused(lambda: fit(iter(batches(5, 5))))
    assert "ended after 1 epoch and doesn't begin anew" in said
    assert "no batches" in refused(lambda: fit(DataLoader([])))


def test_the_plate_of_the_batch() -> None:
    @ppl.model
    def fixed(x):
        b = ppl.sample("b", Normal(0.0, 1.0))
        for _ in ppl.plate("i", N):
            ppl.sample("y", Normal(b * x[0], 1.0))

    @ppl.model
    def two(x):
        for i in ppl.plate("i", x.shape[0]):
            ppl.factor("f", x[i])
        for _ in ppl.plate("k", 5):
            ppl.sample("b", Normal(0.0, 1.0))
        for i in ppl.plate("i", x.shape[0]):
            ppl.sample("y", Normal(x[i], 1.0))

    data = batches(5, 5)
    assert "wrong shape" in refused(lambda: fit(data, fixed))
    said = refused(lambda: fit(data, two))
    assert "more than one plate" in said and "total_size={" in said
    assert fit(data, two, total_size={"i": N}, draws=3).draws["b"].shape == (1, 3, 5)
    assert "called 'j'" in refused(lambda: fit(data, line, total_size={"j": N}))


def test_other_methods_want_all_data() -> None:
    said = refused(lambda: ppl.infer(line, loader(), method="nuts", progress=False))
    assert "batches of a loader are for variational inference" in said


def test_local_latents_need_an_amortised_guide() -> None:
    @ppl.model
    def latent(x):
        for i in ppl.plate("i", x.shape[0]):
            z = ppl.sample("z", Normal(x[i], 1.0))
            ppl.sample("y", Normal(z, 1.0))

    said = refused(lambda: fit(batches(5, 5), latent))
    assert "(amortised)" in said and 'ppl.plate("i", N, subsample=B)' in said
    for guide in ("laplace", "pathfinder"):
        assert f'guide="{guide}" needs all' in refused(lambda guide=guide: fit(batches(5, 5), guide=guide))
    assert "remove stop=" in refused(lambda: fit(batches(5, 5), stop=ppl.Convergence()))


def test_a_program_does_the_same_for_every_batch() -> None:
    @ppl.model
    def branching(x):
        b = ppl.sample("b", Normal(0.0, 1.0 if x[0] > 0 else 2.0))
        for i in ppl.plate("i", x.shape[0]):
            ppl.sample("y", Normal(b * x[i], 1.0))

    assert "a branch on data of a minibatch can't be recorded" in refused(
        lambda: fit(batches(5, 5), branching)
    )


def test_later_batches_are_looked_at() -> None:
    @ppl.model
    def counts(x, family):
        b = ppl.sample("b", Normal(0.0, 1.0))
        for i in ppl.plate("i", x.shape[0]):
            ppl.sample("y", family(b * x[i]))

    def with_one(bad):
        return batches(5, 5, y=torch.where(torch.arange(N) == 8, bad, (Y > 0).double()))

    said = refused(lambda: fit(with_one(2.0), counts(X, lambda b: Bernoulli(logits=b))))
    assert "step 1" in said and "the log density of 'y' is not finite" in said
    said = refused(lambda: fit(with_one(0.5), counts(X, lambda b: Categorical(logits=torch.stack([b, -b])))))
    assert "'y' in batch 1 of epoch 0 must be whole numbers" in said
    y = torch.where(torch.arange(N) == 8, torch.nan, Y)
    assert "'y' in batch 1 of epoch 0" in refused(lambda: fit(batches(5, 5, y=y)))
