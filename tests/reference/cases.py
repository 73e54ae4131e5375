"""`case(name)`: a reference model bound to its data, what it observes, and the reference's statistics."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import ppl

from .models import (
    ark,
    ark_scan,
    blr,
    diamonds,
    eight_schools,
    election88,
    flat_regression,
    garch,
    gauss_mix,
    gauss_mix_marginal,
    gp_pois_regr,
    hmm_drive,
    hmm_drive_marginal,
    irt_2pl,
    kidiq_interaction,
    lotka_volterra,
    radon,
    wells,
)

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "posteriordb"
ABSENT = "no reference posteriors here: ../shared/reference/posteriordb, beside the repository, is missing"


@dataclass(frozen=True)
class Case:
    """A bound model, what it observes, and the place (site, index) of each parameter of the reference."""

    bound: Any
    data: dict[str, Any]
    places: Mapping[str, tuple[str, tuple[int, ...]]]
    reference: Mapping[str, Mapping[str, float]] | None


def read(name: str) -> dict[str, Any]:
    """A JSON file of the reference folder, its lists as arrays."""
    found = json.loads((FOLDER / f"{name}.json").read_text())
    return {k: np.asarray(v) if isinstance(v, list) else v for k, v in found.items()}


def sites(**shapes: tuple[int, ...]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Parameters named like their sites, indices from 1: `sites(mu=(), b=(2,))` gives mu, b[1], b[2]."""
    places = {}
    for site, shape in shapes.items():
        for index in product(*map(range, shape)):
            places[site + (f"[{','.join(str(i + 1) for i in index)}]" if index else "")] = (site, index)
    return places


def _columns(*columns: Any) -> np.ndarray:
    return np.stack([np.asarray(c, float) for c in columns], 1)


def _eight_schools(d: dict[str, Any]) -> Case:
    return Case(eight_schools(d["sigma"]), {"y": d["y"]}, sites(mu=(), tau=(), theta=(8,)), None)


def _non_centred(d: dict[str, Any]) -> Case:
    one = _eight_schools(d)
    return Case(one.bound.reparam(theta=ppl.NonCentered()), one.data, one.places, None)


def _radon(d: dict[str, Any]) -> Case:
    bound = radon(d["county_idx"] - 1, d["log_uppm"], d["floor_measure"], d["J"]).reparam(
        alpha=ppl.NonCentered()
    )
    return Case(bound, {"log_radon": d["log_radon"]}, {}, None)


def _irt(d: dict[str, Any]) -> Case:
    return Case(irt_2pl(d["I"], d["J"]), {"y": d["y"]}, {}, None)


def _election88(d: dict[str, Any]) -> Case:
    index = {k: d[k] - 1 for k in ("age", "edu", "age_edu", "state")}
    sizes = {
        "age": d["n_age"],
        "edu": d["n_edu"],
        "age_edu": d["n_age_edu"],
        "state": d["n_state"],
        "region": d["n_region_full"],
    }
    rest = {
        "region": d["region_full"] - 1,
        "black": d["black"],
        "female": d["female"],
        "v_prev": d["v_prev_full"],
    }
    return Case(election88(**index, **rest, sizes=sizes), {"y": d["y"]}, {}, None)


def _earnings(d: dict[str, Any]) -> Case:
    X = _columns(np.ones(d["N"]), d["height"], d["male"], d["height"] * d["male"])
    return Case(flat_regression(X), {"y": np.log(d["earn"])}, sites(beta=(4,), sigma=()), None)


def _mesquite(d: dict[str, Any]) -> Case:
    area, shape = d["diam1"] * d["diam2"], d["diam1"] / d["diam2"]
    logs = np.log([area * d["canopy_height"], area, shape, d["total_height"], d["density"]])
    X = _columns(np.ones(d["N"]), *logs, d["group"])
    return Case(flat_regression(X), {"y": np.log(d["weight"])}, sites(beta=(7,), sigma=()), None)


def _nes1980(d: dict[str, Any]) -> Case:
    ages = [d["age_discrete"] == k for k in (2, 3, 4)]
    X = _columns(np.ones(d["N"]), d["real_ideo"], d["race_adj"], *ages, d["educ1"], d["gender"], d["income"])
    return Case(flat_regression(X), {"y": d["partyid7"]}, sites(beta=(9,), sigma=()), None)


def _kidiq(d: dict[str, Any]) -> Case:
    return Case(
        kidiq_interaction(d["mom_hs"], d["mom_iq"]),
        {"kid_score": d["kid_score"]},
        sites(beta=(4,), sigma=()),
        None,
    )


def _blr(d: dict[str, Any]) -> Case:
    return Case(blr(d["X"]), {"y": d["y"]}, sites(beta=(5,), sigma=()), None)


def _diamonds(d: dict[str, Any]) -> Case:
    return Case(diamonds(d["X"]), {"Y": d["Y"]}, sites(b=(24,), Intercept=(), sigma=()), None)


def _wells(d: dict[str, Any]) -> Case:
    return Case(wells(d["dist"], d["arsenic"]), {"switched": d["switched"]}, {}, None)


def _gp(d: dict[str, Any]) -> Case:
    return Case(gp_pois_regr(d["x"].astype(float)), {"k": d["k"]}, sites(rho=(), alpha=(), f=(11,)), None)


def _ark(d: dict[str, Any]) -> Case:
    K, y = d["K"], d["y"]
    past = np.lib.stride_tricks.sliding_window_view(y[:-1], K)[:, ::-1]
    return Case(ark(past), {"y": y[K:]}, sites(alpha=(), beta=(5,), sigma=()), None)


def _ark_scan(d: dict[str, Any]) -> Case:
    K, y = d["K"], d["y"]
    return Case(ark_scan(y[:K][::-1], d["T"] - K), {"y": y[K:]}, sites(alpha=(), beta=(5,), sigma=()), None)


def _garch(d: dict[str, Any]) -> Case:
    return Case(garch(d["sigma1"], d["T"]), {"y": d["y"]}, sites(mu=(), alpha0=(), alpha1=(), beta1=()), None)


def _lotka_volterra(d: dict[str, Any]) -> Case:
    data = {"y_init": d["y_init"], "y": d["y"]}
    return Case(lotka_volterra(d["N"]), data, sites(theta=(4,), z_init=(2,), sigma=(2,)), None)


def _gauss_mix(d: dict[str, Any]) -> Case:
    return Case(gauss_mix(d["N"]), {"y": d["y"]}, sites(mu=(2,), sigma=(2,), theta=()), None)


def _gauss_mix_marginal(d: dict[str, Any]) -> Case:
    return Case(gauss_mix_marginal(d["y"]), {}, sites(mu=(2,), sigma=(2,), theta=()), None)


def _hmm_places() -> dict[str, tuple[str, tuple[int, ...]]]:
    rows = {f"theta{i + 1}[{j + 1}]": ("theta", (i, j)) for i in range(2) for j in range(2)}
    return {**rows, **sites(phi=(2,)), **sites(**{"lambda": (2,)})}


def _hmm(d: dict[str, Any]) -> Case:
    bound = hmm_drive(d["alpha"].astype(float), d["N"])
    return Case(bound, {"u": d["u"], "v": d["v"]}, _hmm_places(), None)


def _hmm_marginal(d: dict[str, Any]) -> Case:
    return Case(hmm_drive_marginal(d["alpha"].astype(float), d["u"], d["v"]), {}, _hmm_places(), None)


# case → (data file, reference file or None, how to bind it)
CASES: dict[str, tuple[str, str | None, Callable[[dict[str, Any]], Case]]] = {
    "eight_schools": ("eight_schools", "eight_schools-eight_schools_centered", _eight_schools),
    "eight_schools_non_centred": ("eight_schools", "eight_schools-eight_schools_noncentered", _non_centred),
    "arK": ("arK", "arK-arK", _ark),
    "arK_scan": ("arK", "arK-arK", _ark_scan),
    "garch": ("garch", "garch-garch11", _garch),
    "kidiq": ("kidiq", "kidiq-kidscore_interaction", _kidiq),
    "earnings": ("earnings", "earnings-logearn_interaction", _earnings),
    "mesquite": ("mesquite", "mesquite-logmesquite_logvas", _mesquite),
    "nes1980": ("nes1980", "nes1980-nes", _nes1980),
    "sblrc": ("sblrc", "sblrc-blr", _blr),
    "diamonds": ("diamonds", "diamonds-diamonds", _diamonds),
    "gp_pois_regr": ("gp_pois_regr", "gp_pois_regr-gp_pois_regr", _gp),
    "lotka_volterra": ("hudson_lynx_hare", "hudson_lynx_hare-lotka_volterra", _lotka_volterra),
    "low_dim_gauss_mix": ("low_dim_gauss_mix", "low_dim_gauss_mix-low_dim_gauss_mix", _gauss_mix),
    "gauss_mix_marginal": (
        "low_dim_gauss_mix",
        "low_dim_gauss_mix-low_dim_gauss_mix",
        _gauss_mix_marginal,
    ),
    "hmm_drive": ("bball_drive_event_0", "bball_drive_event_0-hmm_drive_0", _hmm),
    "hmm_drive_marginal": ("bball_drive_event_0", "bball_drive_event_0-hmm_drive_0", _hmm_marginal),
    "radon_mn": ("radon_mn", None, _radon),
    "irt_2pl": ("irt_2pl", None, _irt),
    "wells": ("wells_data", None, _wells),
    "election88": ("election88", None, _election88),
}
DISCRETE = ("low_dim_gauss_mix", "hmm_drive")


def case(name: str) -> Case:
    """The model `name` with its data, and the reference's statistics by parameter where there is one."""
    data, reference, bind = CASES[name]
    made = bind(read(f"{data}.data"))
    statistics = read(f"{reference}.reference")["parameters"] if reference else None
    return Case(made.bound, made.data, made.places, statistics)
