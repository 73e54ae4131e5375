"""The models of the benchmarks, each in a file of its own, written for every system.

A file `models/<name>.py` holds, for one model,

    data(...)            numpy arrays and numbers by name; indices start at 0
    ppl_model(d)         a bound program, its data conditioned on
    numpyro_model(d)     a function without arguments
    pyro_model(d)        the same for Pyro, where variational inference is compared
    pymc_model(d)        a `pymc.Model`
    STAN_CODE            a Stan program; `stan_data(d)` are its data (indices start at 1)
    QUANTITIES           what every system reports under these names, and what is compared
    REFERENCE            the reference posterior's file, or None; its parameters have the names of QUANTITIES
    C_FILE, c_inputs(d)  the C file under `benchmarks/c/`, or None; the arrays and numbers it reads in `env`

and imports nothing but numpy at its top, so that a system's process loads only that system.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class Model:
    """A model with the sizes of its data: `file` under `models/`, `sizes` the arguments of its `data`."""

    name: str
    file: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    large: bool = False
    """Minutes for a slow system: `--large-draws` is for these."""

    @cached_property
    def module(self) -> ModuleType:
        return importlib.import_module(f"models.{self.file}")

    def data(self) -> dict[str, Any]:
        """The data; FileNotFoundError where they belong to the reference posteriors and those are absent."""
        found: dict[str, Any] = self.module.data(**self.sizes)
        return found


_ALL = (
    Model("wells", "wells"),
    Model("garch", "garch"),
    Model("kidscore", "kidscore"),
    Model("arK", "ark"),
    Model("mixture", "mixture"),
    Model("eight_schools", "eight_schools"),
    Model("eight_schools_centred", "eight_schools_centred"),
    Model("lkj_normal", "lkj_normal"),
    Model("logistic_1000x20", "logistic", {"rows": 1000, "columns": 20}),
    Model("diamonds", "diamonds", large=True),
    Model("logistic_100000x50", "logistic", {"rows": 100_000, "columns": 50}, large=True),
    Model("radon_mn", "radon_mn"),
    Model("election88", "election88", large=True),
    Model("irt_2pl", "irt_2pl"),
    Model("stochastic_volatility", "stochastic_volatility"),
)
MODELS = {model.name: model for model in _ALL}
"""Every model by its name, from few parameters to many."""
