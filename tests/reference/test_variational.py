"""Variational inference against the reference posteriors: means within 0.3 standard deviations, or k-hat says that
the guide doesn't fit.
"""

from __future__ import annotations

import pytest

import ppl
from ppl.errors import PplError

from .cases import ABSENT, FOLDER, Case, case

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)

FULL_RANK = (
    "eight_schools_non_centred",
    "eight_schools",
    "arK",
    "kidiq",
    "earnings",
    "mesquite",
    "nes1980",
    "sblrc",
    "diamonds",
    "gp_pois_regr",
    "gauss_mix_marginal",
    "hmm_drive_marginal",
)


def distances(posterior: ppl.Posterior, known: Case) -> dict[str, float]:
    """How far each mean is from the reference, in its standard deviations."""
    assert known.reference is not None
    found = {}
    for name, (site, index) in known.places.items():
        mean = posterior.draws[site][(slice(None), slice(None), *index)].mean()
        found[name] = abs(mean - known.reference[name]["mean"]) / known.reference[name]["sd"]
    return found


@pytest.mark.parametrize("name", FULL_RANK)
def test_full_rank_means(name: str) -> None:
    known = case(name)
    method = ppl.VI(guide="full_rank", steps=20_000)
    posterior = ppl.infer(known.bound, known.data, method, draws=4000, seed=1, progress=False)
    assert posterior.attrs["engine"] == "native" and posterior.khat is not None
    assert max(distances(posterior, known).values()) < 0.3


def test_mean_field_of_correlated_coefficients_says_that_it_does_not_fit() -> None:
    known = case("kidiq")
    posterior = ppl.infer(known.bound, known.data, ppl.VI(steps=2000), draws=2000, seed=1, progress=False)
    assert posterior.khat > 0.7 and max(distances(posterior, known).values()) > 0.3


def test_a_support_that_moves_with_another_site_is_refused() -> None:
    known = case("garch")
    with pytest.raises(PplError, match="beta1"):
        ppl.infer(known.bound, known.data, ppl.VI(guide="full_rank"), progress=False)
