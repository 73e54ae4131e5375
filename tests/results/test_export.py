"""ArviZ's two generations get the same groups, names, dims and numbers; its statistics work on them."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from results.planted import SCHOOLS, hierarchical

from ppl.errors import PplError
from ppl.results import Posterior
from ppl.results.export import arviz_generation, dim_names, import_arviz, variable_names

az = import_arviz()
needs_inferencedata = pytest.mark.skipif(arviz_generation() != 0, reason="arviz 0.x")


@needs_inferencedata
def test_summary_equals_arviz_on_hand_made_data(posterior):
    import pandas as pd

    by_hand = az.from_dict(
        posterior=dict(posterior.draws), dims={"theta": ["school"]}, coords={"school": SCHOOLS}
    )
    pd.testing.assert_frame_equal(pd.DataFrame(posterior.summary()), az.summary(by_hand))
    pd.testing.assert_frame_equal(
        pd.DataFrame(posterior.summary("theta", kind="stats", hdi_prob=0.5)),
        az.summary(by_hand, var_names=["theta"], kind="stats", hdi_prob=0.5),
    )


def test_summary_prints_every_column(posterior):
    table = posterior.summary()
    head, *rows = str(table).splitlines()
    assert head.split() == list(table.columns) and len(rows) == 6
    assert "..." not in str(table[["mean", "sd"]])


def test_summary_of_one_chain_is_silent(caplog):
    one = hierarchical(chains=1)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        table = one.summary()
    assert table["r_hat"].isna().all() and (table["ess_bulk"] > 100).all() and not caplog.records


def test_summary_labels_nested_and_complex_sites():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2, 50)) + 1j * rng.normal(size=(2, 50))
    table = Posterior({"sub/x": rng.normal(size=(2, 50, 2)), "z": z}).summary()
    assert list(table.index) == ["sub/x[0]", "sub/x[1]", "z.real", "z.imag"]
    assert table.loc["z.imag", "mean"] == pytest.approx(z.imag.mean(), abs=5e-3)  # rounded by ArviZ


@needs_inferencedata
def test_loo_works_through_log_likelihood(posterior):
    from_lazy = az.loo(
        posterior.replace(log_likelihood=lambda: dict(posterior.replace().log_likelihood)).to_arviz()
    )
    by_hand = az.loo(
        az.from_dict(posterior=dict(posterior.draws), log_likelihood=dict(posterior.log_likelihood))
    )
    assert from_lazy.elpd_loo == by_hand.elpd_loo and from_lazy.n_data_points == 4


@pytest.mark.skipif(arviz_generation() != 1, reason="arviz ≥ 1")
def test_loo_works_through_log_likelihood_in_a_datatree(posterior):
    assert az.loo(posterior.to_arviz()).n_data_points == 4


@pytest.mark.parametrize("kind", [pytest.param("inferencedata", marks=needs_inferencedata), "datatree"])
def test_groups_dims_and_coords(posterior, kind):
    full = posterior.replace(
        groups={"warmup_posterior": {"mu": np.zeros((4, 7))}, "warmup_sample_stats": {"lp": np.zeros((4, 7))}}
    )
    data = full.to_arviz(kind)
    assert type(data).__name__ == {"datatree": "DataTree", "inferencedata": "InferenceData"}[kind]
    names = {
        "posterior",
        "sample_stats",
        "log_likelihood",
        "observed_data",
        "warmup_posterior",
        "warmup_sample_stats",
    }
    found = set(data.children) if kind == "datatree" else set(data.groups())
    assert found == names
    theta = data["posterior"]["theta"]
    assert theta.dims == ("chain", "draw", "school") and theta.coords["school"].values.tolist() == SCHOOLS
    np.testing.assert_array_equal(theta.values, posterior.draws["theta"])
    assert data["log_likelihood"]["y"].dims == ("chain", "draw", "school")
    assert data["observed_data"]["y"].dims == ("school",)
    assert data["sample_stats"]["diverging"].dtype == bool
    assert (
        data["posterior"].attrs["inference_library"] == "ppl"
        and data["posterior"].attrs["tuning_steps"] == 500
    )


def test_unknown_kind(posterior):
    with pytest.raises(PplError, match="two kinds"):
        posterior.to_arviz("pickle")


def test_awkward_names_stay_legal_and_apart():
    rng = np.random.default_rng(0)
    posterior = Posterior(
        {
            "sub/x": rng.normal(size=(1, 5, 3)),
            "sub.x": rng.normal(size=(1, 5)),
            "school": rng.normal(size=(1, 5, 3)),
            "S": rng.normal(size=(1, 5, 3, 3)),
            "chain": rng.normal(size=(1, 5)),
            "free": rng.normal(size=(1, 5, 2)),
            "short": rng.normal(size=(1, 5, 2)),
        },
        dims={"sub/x": ("school",), "school": ("school",), "S": ("school", "school"), "short": ("school",)},
        coords={"school": ["a", "b", "c"]},
    )
    tree = posterior.to_arviz("datatree")["posterior"]
    assert tree["sub.x_"].attrs["site"] == "sub/x" and tree["sub.x"].shape == (1, 5)
    assert tree["school"].dims == ("chain", "draw", "school_dim")
    assert tree["S"].dims == ("chain", "draw", "school_dim", "school_dim_2")
    assert tree["S"].coords["school_dim_2"].values.tolist() == ["a", "b", "c"]
    assert tree["free"].dims[-1] == "free_dim_0" and tree["short"].dims[-1] == "short_dim_0"
    for name, new in variable_names(list(posterior.draws)).items():
        np.testing.assert_array_equal(tree[new].values, posterior.draws[name])


def test_dim_names_are_distinct():
    assert dim_names("x", (2, 2, 2), ("k", "k", "k"), {}, set()) == ["k", "k_2", "k_3"]
    assert dim_names("x", (2,), (), {}, set()) == ["x_dim_0"]


def test_predictions_of_another_size_keep_their_own_coordinates(posterior):
    tree = posterior.replace(groups={"posterior_predictive": {"y": np.zeros((4, 500, 6))}}).to_arviz(
        "datatree"
    )
    assert tree["posterior_predictive"]["y"].coords["school"].values.tolist() == list(range(6))
    assert tree["posterior"]["theta"].coords["school"].values.tolist() == SCHOOLS
