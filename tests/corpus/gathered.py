"""Programs written for other purposes: the reference posteriors' models, the examples', the benchmarks'."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from language import programs as trees
from reference.cases import CASES, DISCRETE, FOLDER, case

from corpus.entry import Entry
from ppl import NonCentered
from ppl.language.program import Bound

ROOT = Path(__file__).resolve().parents[2]
MADE_UP = ("mixture", "lkj_normal", "logistic_1000x20", "stochastic_volatility")
"""Benchmarks that make up their data."""

LONG = (
    *(
        "irt_2pl",
        "wells",
        "election88",
        "diamonds",
        "radon_mn",
        "lotka_volterra",
        "logistic_1000x20",
        "garch",
    ),
    *("arK_scan", "kidiq", "kidscore", "gauss_mix_marginal", "hmm_drive_marginal", "mixture", "lkj_normal"),
    *("stochastic_volatility", "linear_regression", "logistic_regression", "varying_intercepts"),
    "bayesian_neural_network",
)
"""Hundreds of elements and more, which the interpreter visits one after the other."""


def _module(folder: str, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"corpus_{folder}_{name}", ROOT / folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- reference posteriors


def _reference(name: str) -> Bound:
    known = case(name)
    return known.bound.condition(known.data)


def _of_reference() -> dict[str, Entry]:
    if not FOLDER.is_dir():
        return {}
    names = [name for name in CASES if name not in DISCRETE]
    return {
        f"reference {name}": Entry(
            lambda name=name: _reference(name), spread=0.3, long=name in LONG, reference=True
        )
        for name in names
    }


# ---------------------------------------------------------------- examples


def _example(name: str) -> Bound:
    m = _module("examples", name)
    if name == "eight_schools":
        return m.eight_schools(m.SIGMA).reparam(theta=NonCentered()).condition(y=m.Y)
    if name == "varying_intercepts":
        return m.varying_intercepts(len(m.SUBJECTS), m.DAYS).condition(y=m.Y)
    x, y, *_ = m.load()
    program = m.network if name == "bayesian_neural_network" else getattr(m, name)
    return program(x).condition(y=y)


# Their models are for objectives (networks, or parts of the corpus's programs in another form): see the examples' own tests.
OF_OBJECTIVES = ("noisy_cone", "vae", "semi_supervised_vae", "attend_infer_repeat")

EXAMPLES = {
    path.stem: Entry(lambda name=path.stem: _example(name), long=path.stem in LONG)
    for path in sorted((ROOT / "examples").glob("*.py"))
    if path.stem not in OF_OBJECTIVES
}


# ---------------------------------------------------------------- benchmarks


def _benchmarks() -> Any:
    """The benchmarks' table of models; they import each other as `models`."""
    if str(ROOT / "benchmarks") not in sys.path:
        sys.path.append(str(ROOT / "benchmarks"))
    return importlib.import_module("models").MODELS


def _benchmark(name: str) -> Bound:
    model = _benchmarks()[name]
    return model.module.ppl_model(model.data())


def _of_benchmarks() -> dict[str, Entry]:
    names = [name for name in _benchmarks() if not name.startswith("logistic_100000")]
    return {
        f"benchmark {name}": Entry(lambda name=name: _benchmark(name), spread=0.3, long=name in LONG)
        for name in names
        if FOLDER.is_dir() or name in MADE_UP
    }


# ---------------------------------------------------------------- fixed random programs

SITE = ("site", "normal")
TREES = {
    "plates and scans": (SITE, ("plate", 2, (("scan", 3, (SITE, ("observe", 0.5))),)), ("factor", 0.3)),
    "branches in a plate": (SITE, ("plate", 3, (SITE, ("cond", (("site", "gamma"),), (("observe", 1.0),))))),
    "a subprogram in a scan": (SITE, ("scan", 2, (("sub", (("site", "vector"), ("factor", -0.4))),))),
    "a plate in a branch": (SITE, ("cond", (("plate", 2, (("site", "halfnormal"),)),), (SITE, SITE))),
    "scans in scans": (SITE, ("scan", 2, (("site", "exponential"), ("scan", 2, (SITE, ("observe", -1.0)))))),
}

GATHERED = {
    **_of_reference(),
    **{f"example {name}": entry for name, entry in EXAMPLES.items()},
    **_of_benchmarks(),
    **{f"tree: {name}": Entry(lambda tree=tree: trees.run(tree)) for name, tree in TREES.items()},
}
