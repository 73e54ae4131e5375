"""NUTS on the `.ppl` files of the reference models against the reference posteriors.

Their densities are those of the Python versions (`tests/syntax/test_posteriordb.py`); this goes from the file to the
draws.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ppl
from ppl.syntax.job import job

from .cases import ABSENT, CASES, FOLDER, case, read
from .test_posteriors import LOWRANK, disagreements

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT),
]

FILES = Path(__file__).resolve().parents[2] / "examples" / "posteriordb"

# file → (case whose reference it has, options of NUTS)
POSTERIORS: dict[str, tuple[str, dict[str, Any]]] = {
    "eight_schools_noncentered": ("eight_schools_non_centred", {"warmup": 500, "draws": 1000}),
    "eight_schools_centered": ("eight_schools", {"warmup": 1000, "draws": 4000, "target_accept": 0.95}),
    **{name: (name, LOWRANK) for name in ("arK", "kidiq", "earnings", "mesquite", "nes1980", "sblrc", "diamonds")},
    "garch": ("garch", {"metric": "lowrank", "warmup": 300, "draws": 1000}),
    "gp_pois_regr": ("gp_pois_regr", {"warmup": 1000, "draws": 1500, "target_accept": 0.95}),
    "low_dim_gauss_mix": ("gauss_mix_marginal", {"warmup": 300, "draws": 600}),
    "hmm_drive": ("hmm_drive_marginal", {"warmup": 2000, "draws": 600}),
    # A second mode holds some chains for the first hundreds of steps.
    "lotka_volterra": ("lotka_volterra", {"warmup": 1000, "draws": 600}),
}  # fmt: skip


def test_every_file_with_a_reference_is_here() -> None:
    with_reference = {name for name, (_, reference, _) in CASES.items() if reference is not None}
    elsewhere = {"arK_scan", "low_dim_gauss_mix", "hmm_drive"}  # the same posteriors in other words
    assert {name for name, _ in POSTERIORS.values()} == {*with_reference} - elsewhere
    assert set(POSTERIORS) <= {p.stem for p in FILES.glob("*.ppl")}


@pytest.mark.parametrize("file", POSTERIORS)
def test_nuts_agrees_with_the_reference(file: str) -> None:
    name, options = POSTERIORS[file]
    known = case(name)
    ready = job(ppl.load(FILES / f"{file}.ppl"), read(f"{CASES[name][0]}.data"))
    posterior = ppl.infer(ready.model, data=ready.data, seed=1, progress=False, **options)
    wrong = disagreements(posterior, known, least_ess=400.0)
    assert not wrong, "\n".join(wrong)
