"""NUTS against the reference posteriors: means within their Monte Carlo error, deviations within 10%."""

from __future__ import annotations

from typing import Any

import arviz as az
import numpy as np
import pytest

import ppl

from .cases import ABSENT, FOLDER, Case, case

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)

LOWRANK: dict[str, Any] = {"metric": "lowrank", "warmup": 300, "draws": 600}
"""Raw scales correlate coefficients at 0.99 and more: a diagonal metric would need long trees."""

POSTERIORS: list[tuple[str, dict[str, Any]]] = [
    ("eight_schools_non_centred", {"warmup": 500, "draws": 1000}),
    # The funnel: small steps, and many draws for the effective ones.
    ("eight_schools", {"warmup": 1000, "draws": 4000, "target_accept": 0.95}),
    ("arK", LOWRANK),
    ("arK_scan", LOWRANK),
    ("kidiq", LOWRANK),
    ("earnings", LOWRANK),
    ("mesquite", LOWRANK),
    ("nes1980", LOWRANK),
    ("sblrc", LOWRANK),
    ("diamonds", LOWRANK),
    ("garch", {"metric": "lowrank", "warmup": 300, "draws": 1000}),
    # Chains with the large steps of a low-rank metric stay for long where rho is small.
    ("gp_pois_regr", {"warmup": 1000, "draws": 1500, "target_accept": 0.95}),
    ("gauss_mix_marginal", {"warmup": 300, "draws": 600}),
    # A second mode, 60 units of log density lower, holds some chains for the first thousand steps.
    ("hmm_drive_marginal", {"warmup": 2000, "draws": 600}),
]


def disagreements(posterior: Any, known: Case, least_ess: float) -> list[str]:
    """The parameters that differ from the reference by more than the Monte Carlo error of both admits.

    A chain that is stuck has a large standard error and agrees with anything, hence the bound on
    the effective sample size: at n of it a standard deviation's error is near 1/√(2n), 3.5% for n = 400.
    """
    assert known.reference is not None
    assert set(known.places) == set(known.reference)
    lines = []
    for name, (site, index) in known.places.items():
        x = posterior.draws[site][(slice(None), slice(None), *index)]
        expected = known.reference[name]
        error = np.hypot(az.mcse(x).item(), expected["mcse_mean"])
        z = (x.mean() - expected["mean"]) / error
        ratio, ess = x.std() / expected["sd"], az.ess(x).item()
        if abs(z) >= 4.0 or abs(ratio - 1.0) >= 0.1 or ess < least_ess:
            means = f"mean {x.mean():.4g} for {expected['mean']:.4g} ({z:+.1f} errors)"
            lines.append(f"{name}: {means}, sd ratio {ratio:.3f}, ess {ess:.0f}")
    return lines


@pytest.mark.parametrize(("name", "options"), POSTERIORS, ids=[name for name, _ in POSTERIORS])
def test_nuts_agrees_with_the_reference(name: str, options: dict[str, Any]) -> None:
    known = case(name)
    posterior = ppl.infer(known.bound, data=known.data, seed=1, progress=False, **options)
    wrong = disagreements(posterior, known, least_ess=400.0)
    assert not wrong, "\n".join(wrong)


def test_a_wrong_model_disagrees() -> None:
    """The comparison can fail: mesquite with its responses moved by one standard error of the intercept's."""
    known = case("mesquite")
    moved = {"y": known.data["y"] + 0.2}
    posterior = ppl.infer(known.bound, data=moved, seed=1, progress=False, **LOWRANK)
    wrong = disagreements(posterior, known, least_ess=400.0)
    assert [line.partition(":")[0] for line in wrong] == ["beta[1]"]
