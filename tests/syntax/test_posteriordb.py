"""The reference models as `.ppl` files: their densities are those of the Python versions, everywhere and with gradients."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from reference.cases import ABSENT, CASES, FOLDER, case, read

import ppl
from ppl.syntax.job import job

FILES = Path(__file__).resolve().parents[2] / "examples" / "posteriordb"
PYTHON = {
    "eight_schools_centered": "eight_schools",
    "eight_schools_noncentered": "eight_schools_non_centred",
    "low_dim_gauss_mix": "gauss_mix_marginal",
    "hmm_drive": "hmm_drive_marginal",
    **{name: name for name in (
        "radon_mn", "irt_2pl", "election88", "earnings", "mesquite", "nes1980", "kidiq", "sblrc", "diamonds", "wells",
        "gp_pois_regr", "arK", "garch", "lotka_volterra",
    )},
}  # fmt: skip
SWAPPED = {"earnings": 4, "mesquite": 7, "nes1980": 9}
"""Cases whose Python version has sigma before beta; its size."""


def test_every_reference_model_has_a_file():
    assert {p.stem for p in FILES.glob("*.ppl")} == set(PYTHON)
    others = {"arK_scan", "low_dim_gauss_mix", "hmm_drive"}
    assert set(PYTHON.values()) == set(CASES) - others


@pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("name", sorted(PYTHON))
def test_the_density_is_that_of_the_python_version(name: str):
    python = case(PYTHON[name])
    data, *_ = CASES[PYTHON[name]]
    ready = job(ppl.load(FILES / f"{name}.ppl"), read(f"{data}.data"))
    written = ppl.compile(ready.model.condition(ready.data) if ready.data else ready.model)
    reference = ppl.compile(python.bound.condition(python.data) if python.data else python.bound)
    assert written.dim == reference.dim
    generator = torch.Generator().manual_seed(1)
    differences = []
    for _ in range(3):
        x = 0.1 * torch.randn(reference.dim, generator=generator, dtype=torch.float64)
        value, gradient = written.value_and_grad(x)
        there = torch.cat([x[-1:], x[:-1]]) if name in SWAPPED else x
        expected, slope = reference.value_and_grad(there)
        slope = torch.cat([slope[1:], slope[:1]]) if name in SWAPPED else slope
        torch.testing.assert_close(gradient, slope, rtol=1e-8, atol=1e-8)
        differences.append(float(value - expected))
    assert max(differences) - min(differences) < 1e-7 * max(1.0, abs(float(expected)))
    assert abs(differences[0]) < 1e-7 * max(1.0, abs(float(expected)))
