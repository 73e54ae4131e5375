"""Pointwise log likelihoods where not all is observed: nan for the rest, and ArviZ sees the observed alone."""

from __future__ import annotations

import arviz as az
import numpy as np
import pytest
import torch
from scipy.stats import norm

import ppl
from ppl.distributions import HalfNormal, Normal

NAN = float("nan")
SHORT = {"draws": 40, "warmup": 100, "chains": 2, "seed": 0, "progress": False}


@ppl.model
def table(rows: int, columns: int) -> None:
    mu = ppl.sample("mu", Normal(0.0, 1.0))
    s = ppl.sample("s", HalfNormal(1.0))
    for _ in ppl.plate("row", rows):
        for _ in ppl.plate("column", columns):
            ppl.sample("y", Normal(mu, s))


@ppl.model
def walk(n: int) -> None:
    def step(before: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return ppl.sample("y", Normal(0.5 * before, 1.0))

    ppl.scan("time", step, torch.tensor(0.0), length=n)


def test_missing_elements_of_a_table() -> None:
    y = torch.tensor([[0.3, NAN, 1.0], [-0.5, 0.2, NAN]])
    posterior = ppl.infer(table(2, 3), {"y": y}, **SHORT)
    found = posterior.log_likelihood["y"]
    mu, s = posterior.draws["mu"][..., None, None], posterior.draws["s"][..., None, None]
    np.testing.assert_allclose(found, norm.logpdf(y.double().numpy(), mu, s), rtol=1e-6, equal_nan=True)
    seen = posterior.to_arviz().log_likelihood
    assert seen["y"].dims == ("chain", "draw", "y_observed") and set(seen.dims) == {
        "chain",
        "draw",
        "y_observed",
    }
    assert seen["y_observed"].values.tolist() == ["0, 0", "0, 2", "1, 0", "1, 1"]
    np.testing.assert_array_equal(seen["y"].values, found[..., ~np.isnan(y.numpy())])


def test_missing_elements_of_a_scan() -> None:
    y = torch.tensor([0.3, NAN, 0.1, -0.4])
    posterior = ppl.infer(walk(4), {"y": y}, **SHORT)
    filled = np.broadcast_to(y.double().numpy(), (2, 40, 4)).copy()
    filled[..., 1] = posterior.draws["y"][..., 0]
    before = np.concatenate([np.zeros((2, 40, 1)), filled[..., :-1]], -1)
    expected = np.where(np.isnan(y.numpy()), np.nan, norm.logpdf(filled, 0.5 * before, 1.0))
    np.testing.assert_allclose(posterior.log_likelihood["y"], expected, rtol=1e-6, equal_nan=True)
    loo = az.loo(posterior.to_arviz())
    assert loo.n_data_points == 3 and np.isfinite(loo.elpd_loo)
    assert posterior.to_arviz().log_likelihood["y_observed"].values.tolist() == [0, 2, 3]


def test_masked_elements() -> None:
    y, seen = torch.tensor([0.3, 1.0, -0.5]), torch.tensor([True, False, True])

    @ppl.model
    def program() -> None:
        mu = ppl.sample("mu", Normal(0.0, 1.0))
        for _ in ppl.plate("n", 3):
            ppl.sample("y", Normal(mu, 1.0))

    posterior = ppl.infer(program().mask(y=seen), {"y": y}, **SHORT)
    expected = norm.logpdf(y.numpy(), posterior.draws["mu"][..., None], 1.0)
    expected[..., 1] = np.nan
    np.testing.assert_allclose(posterior.log_likelihood["y"], expected, rtol=1e-6, equal_nan=True)
    assert az.loo(posterior.to_arviz()).n_data_points == 2


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_all_that_is_observed_keeps_its_axes(engine: str) -> None:
    posterior = ppl.infer(table(2, 2), {"y": torch.zeros(2, 2)}, engine=engine, **SHORT)
    assert posterior.to_arviz().log_likelihood["y"].dims == ("chain", "draw", "row", "column")
