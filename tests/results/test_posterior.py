"""The interface of `Posterior`: names, shapes, selection, numbers, errors."""

from __future__ import annotations

import numpy as np
import pytest
from results.planted import SCHOOLS, hierarchical

from ppl.errors import DataError, PplError
from ppl.results import NamedArrays, Posterior
from ppl.results.arrays import UnknownNameError, elements


class FakePredictor:
    """Predicts the seed and how many draws it was given."""

    def posterior_predictive(self, bound, draws, seed):
        return {"y": draws["mu"][..., None] + np.full(2 if bound is None else bound, seed)}

    def prior_predictive(self, bound, draws, seed):
        return {"mu": np.zeros((1, draws)), "y": np.full((1, draws, 2), seed)}


def test_sizes_and_names(posterior):
    assert (posterior.num_chains, posterior.num_draws) == (4, 500)
    assert "theta" in posterior and "y" not in posterior
    assert posterior["theta"].shape == (4, 500, 4)


def test_unknown_site_names_the_closest(posterior):
    with pytest.raises(UnknownNameError) as caught:
        posterior.draws["thta"]
    assert isinstance(caught.value, KeyError) and isinstance(caught.value, PplError)
    assert str(caught.value) == (
        "name error\n`thta` is not a site of this posterior\n  expected: one of: mu, tau, theta\n"
        "  found:    thta\n  edit:     use `theta`"
    )
    assert posterior.draws.get("thta") is None


def test_read_only(posterior):
    with pytest.raises(AttributeError, match="read-only"):
        posterior.attrs = {}
    changed = posterior.replace(attrs={"seed": 7})
    assert changed.attrs == {"seed": 7} and posterior.attrs["seed"] == 0
    assert changed.draws["mu"] is posterior.draws["mu"]


def test_unequal_lengths_are_refused():
    with pytest.raises(PplError, match="unequal length"):
        Posterior({"a": np.zeros((2, 5)), "b": np.zeros((2, 6))})
    with pytest.raises(PplError, match="dims must name each axis"):
        Posterior({"a": np.zeros((2, 5, 3))}, dims={"a": ("i", "j")})


def test_numbers_are_numpys_over_all_chains(posterior):
    flat = posterior.draws["theta"].reshape(-1, 4)
    np.testing.assert_allclose(posterior.mean("theta"), flat.mean(0), rtol=1e-12)
    np.testing.assert_allclose(posterior.sd("theta"), flat.std(0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(
        posterior.quantile("theta", [0.1, 0.9]), np.quantile(flat, [0.1, 0.9], axis=0), rtol=1e-12
    )


def test_extract_keeps_rows_together(posterior):
    rows = posterior.extract(draws=50, seed=3)
    assert {k: v.shape for k, v in rows.items()} == {"mu": (50,), "tau": (50,), "theta": (50, 4)}
    where = [int(np.flatnonzero(posterior.stack("mu") == m)[0]) for m in rows["mu"]]
    assert len(set(where)) == 50
    np.testing.assert_array_equal(rows["theta"], posterior.stack("theta")[where])
    np.testing.assert_array_equal(posterior.stack("mu")[500:1000], posterior.draws["mu"][1])


def test_sel(posterior):
    part = posterior.sel(chain=[1, 3], draw=slice(100, 199), school=["Deerfield", "Choate"])
    np.testing.assert_array_equal(part.draws["theta"], posterior.draws["theta"][[1, 3], 100:200][..., [1, 0]])
    np.testing.assert_array_equal(
        part.sample_stats["energy"], posterior.sample_stats["energy"][[1, 3], 100:200]
    )
    np.testing.assert_array_equal(
        part.log_likelihood["y"], posterior.log_likelihood["y"][[1, 3], 100:200][..., [1, 0]]
    )
    assert part.coords["school"].tolist() == ["Deerfield", "Choate"]
    assert part.observed_data["y"].tolist() == [8.0, 28.0]
    one = posterior.sel(chain=2, school="St. Paul's")
    assert one.draws["theta"].shape == (1, 500) and one.dims["theta"] == ()
    np.testing.assert_array_equal(one.draws["theta"][0], posterior.draws["theta"][2, :, 3])


def test_sel_errors(posterior):
    with pytest.raises(UnknownNameError, match="schol"):
        posterior.sel(schol="Choate")
    with pytest.raises(PplError) as caught:
        posterior.sel(school="Eton")
    assert "from: Choate, Deerfield" in str(caught.value)


def test_lazy_log_likelihood_is_computed_once(posterior):
    calls = []

    def compute():
        calls.append(1)
        return {"y": np.zeros((4, 500, 4))}

    lazy = posterior.replace(log_likelihood=compute)
    assert not calls and lazy.has_log_likelihood
    assert lazy.log_likelihood["y"].shape == (4, 500, 4) and lazy.log_likelihood is lazy.log_likelihood
    assert len(calls) == 1
    with pytest.raises(PplError, match="no pointwise log likelihood"):
        _ = posterior.replace(log_likelihood=None).log_likelihood


def test_predict(posterior):
    with_program = posterior.replace(predictor=FakePredictor())
    assert with_program.predict(seed=5)["y"].shape == (4, 500, 2)
    assert with_program.predict(7)["y"].shape == (4, 500, 7)
    assert isinstance(with_program.prior_predictive(draws=9), NamedArrays)
    tree = with_program.to_arviz("datatree", posterior_predictive=True, prior_predictive=True, seed=3)
    assert set(tree.children) >= {"posterior_predictive", "prior", "prior_predictive"}
    assert list(tree["prior"].data_vars) == ["mu"] and list(tree["prior_predictive"].data_vars) == ["y"]
    assert "prior" not in with_program.groups
    with pytest.raises(PplError, match="needs the program"):
        posterior.predict()


def test_divergences_argument():
    assert Posterior({"x": np.zeros((1, 3))}, divergences=[[0, 1, 1]]).divergences == 2


def test_repr(posterior):
    small = Posterior(
        {"mu": np.array([[1.0, 3.0]]), "sub/z": np.zeros((1, 2, 3, 2))},
        dims={"sub/z": ("plate", "axis")},
        attrs={"method": "nuts", "seed": 4, "engine": "torch"},
        divergences=[[True, False]],
        log_evidence=-1.5,
    )
    assert repr(small) == (
        "Posterior: nuts, 2 draws, seed 4, engine torch\n"
        "  mu                          2 ± 1\n"
        "  sub/z  (plate: 3, axis: 2)  0 … 0\n"
        "  ! 1 of 2 draws diverged, 50.0 % → method=ppl.NUTS(target_accept=0.9)\n"
        "  ! posterior.diagnose() says more\n"
        "  ! log evidence -1.5"
    )
    assert "<td" in small._repr_html_() and "diverged" in small._repr_html_()
    assert "!" not in repr(posterior)


def test_html_escapes_names():
    assert "<script>" not in Posterior({"<script>": np.zeros((1, 2))})._repr_html_()


def test_elements_are_labelled_by_coordinates_and_thinned():
    posterior = hierarchical()
    flat = elements(posterior)
    assert flat.labels == ("mu", "tau", *(f"theta[{s}]" for s in SCHOOLS))
    np.testing.assert_array_equal(flat.values[..., 3], posterior.draws["theta"][..., 1])
    few = elements(posterior, ["theta"], limit=2)
    assert few.labels == ("theta[Choate]", "theta[St. Paul's]") and few.total == 4


def test_thinning_spares_small_sites():
    posterior = Posterior({"a": np.zeros((1, 2, 50)), "tau": np.zeros((1, 2)), "b": np.zeros((1, 2, 50))})
    few = elements(posterior, limit=7)
    assert few.sites == ("a",) * 3 + ("tau",) + ("b",) * 3 and few.labels[2] == "a[49]"
    assert elements(posterior, limit=2).sites == ("a", "b")


def test_no_draws_at_all():
    empty = Posterior({})
    assert (empty.num_chains, empty.num_draws) == (0, 0)
    assert repr(empty).startswith("Posterior: 0 ")
    assert empty.diagnose().ok


def test_a_run_interrupted_in_its_warmup():
    posterior = Posterior({"x": np.zeros((2, 0))}, attrs={"interrupted": True})
    (problem,) = posterior.diagnose().problems
    assert problem.headline == "0 draws a chain: too few for R-hat and ESS"
    with pytest.raises(DataError, match="interrupted in its warm-up"):
        posterior.summary()


def test_three_draws_are_not_called_good():
    assert not Posterior({"x": np.random.default_rng(0).normal(size=(2, 3))}).diagnose().ok
