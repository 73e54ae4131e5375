"""Calibration of inference by simulation: truth from the prior, data from the truth, a posterior from the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ppl.compiler.engines import TORCH
from ppl.compiler.passes.layouts import layouts
from ppl.errors import MethodError, closest, listed, placed
from ppl.inference.infer import infer
from ppl.inference.options import count
from ppl.language.gfi import generate, project
from ppl.language.program import Bound, as_bound
from ppl.language.record import record
from ppl.language.sampling import Sampler, improper
from ppl.results import Posterior
from ppl.results.arrays import elements
from ppl.results.calibration import Calibration

LIKELIHOOD = "log likelihood"

Method = Any
"""What `infer` takes as its method, or a function that makes it of the data of a replication."""


@placed
def sbc(
    model: Bound,
    observed: Sequence[str],
    method: Method = "nuts",
    replications: int = 200,
    names: Sequence[str] | None = None,
    simulator: Bound | None = None,
    chains: int = 4,
    draws: int = 25,
    thin: int = 2,
    warmup: int = 100,
    seed: int = 0,
    **options: Any,
) -> Calibration:
    """Simulation-based calibration: ranks of true values among posterior draws, uniform if all is right.

    The log likelihood is ranked too: a function of parameters and data finds errors that parameters alone don't.

    Args:
        model: a bound program without data.
        observed: names of the sites that are data.
        method: as for `infer`, or a function of the data (a dictionary) that gives it.
        replications: how many data sets.
        names: sites to rank (all that are not observed).
        simulator: what draws truth and data, if it is not the model.
        chains, draws, thin, warmup: of each run; of chains · draws draws one is dropped, which makes the number of
            possible ranks round.
        options: for `infer`.

    Raises:
        MethodError: an observed site that the model doesn't have, or a prior that can't be drawn from.

    Source: Talts, Betancourt, Simpson, Vehtari & Gelman (2018), arXiv:1804.06788; Modrák et al. (2023), on quantities.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> sorted(ppl.sbc(m(), ["y"], replications=3, chains=2, draws=10).ranks)
    ['log likelihood', 'x']
    """
    settings = {"chains": chains, "draws": draws, "thin": thin, "warmup": warmup, **options}

    def with_likelihood(truth: _Truth, posterior: Posterior, ranked: dict[str, int]) -> None:
        drawn = sum(
            _flat(a).reshape(chains * draws, -1)[1:].sum(1) for a in posterior.log_likelihood.values()
        )
        scored, _ = generate(truth.model.condition(truth.data), truth.choices)
        ranked[LIKELIHOOD] = int((drawn < float(project(scored, list(observed)))).sum())

    return _calibrate(
        model, observed, method, replications, names, simulator, seed, settings, 1, "uniform", with_likelihood
    )


@placed
def vsbc(
    model: Bound,
    observed: Sequence[str],
    method: Method = "vi",
    replications: int = 100,
    names: Sequence[str] | None = None,
    simulator: Bound | None = None,
    draws: int = 999,
    seed: int = 0,
    **options: Any,
) -> Calibration:
    """Variational simulation-based calibration: whether a guide is biased, site by site, on average over data.

    Each replication gives p = P(x < truth) for x drawn from the fitted guide. A guide's marginals are without bias if
    p is symmetric about ½; a heap of p at both ends, the shape of a U, says that they are too narrow. It says
    nothing of how the guide fits one data set: k-hat does.

    Args, raises: as `sbc`; `draws` of each fitted guide.

    Source: Yao, Vehtari, Simpson & Gelman, "Yes, but did it work?: evaluating variational inference" (2018),
    section 3.2.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> found = ppl.vsbc(m(), ["y"], ppl.VI(steps=300), replications=5)
    >>> found.criterion, found.probabilities["x"].shape
    ('symmetric', (5,))
    """
    settings = {"draws": draws, **options}
    return _calibrate(
        model, observed, method, replications, names, simulator, seed, settings, 0, "symmetric", None
    )


class _Truth:
    """What one replication drew from the prior: all values, the data among them, and the model's random choices, which
    are `sites`.
    """

    def __init__(
        self, model: Bound, sites: set[str], values: Mapping[str, torch.Tensor], observed: Sequence[str]
    ) -> None:
        self.model, self.values = model, values
        self.data = {name: values[name] for name in observed}
        self.latent = {name for name in values if name not in observed}
        self.choices = {name: values[name] for name in self.latent & sites}


def _calibrate(
    model: Bound,
    observed: Sequence[str],
    method: Method,
    replications: int,
    names: Sequence[str] | None,
    simulator: Bound | None,
    seed: int,
    settings: dict[str, Any],
    dropped: int,
    criterion: str,
    also: Callable[[_Truth, Posterior, dict[str, int]], None] | None,
) -> Calibration:
    """Ranks over replications; of each posterior's draws the first `dropped` are left out."""
    model = as_bound(model, "a model with its arguments")
    observed = [observed] if isinstance(observed, str) else list(observed)
    count("replications", replications, 1, 100)
    sites = {site.name for site in layouts(record(model).graph)}
    drawn = _prior(as_bound(model if simulator is None else simulator), observed, replications, seed)
    rng = np.random.default_rng(seed)
    ranks: dict[str, list[int]] = {}
    khats: list[float] = []
    size = 0
    for k in range(replications):
        truth = _Truth(model, sites, {name: v[k] for name, v in drawn.items()}, observed)
        chosen = method if isinstance(method, type) or not callable(method) else method(truth.data)
        posterior = infer(model, truth.data, chosen, seed=seed + k, **{"progress": False, **settings})
        shown = elements(posterior, names)
        values = _flat(shown.values)[dropped:]
        true = np.concatenate([truth.values[n].numpy().reshape(-1) for n in dict.fromkeys(shown.sites)])
        size = len(values)
        found = {label: _rank(values[:, i], true[i], rng) for i, label in enumerate(shown.labels)}
        if also is not None:
            also(truth, posterior, found)
        for label, rank in found.items():
            ranks.setdefault(label, []).append(rank)
        if posterior.khat is not None:
            khats.append(posterior.khat)
    return Calibration({n: np.array(r) for n, r in ranks.items()}, size, criterion, np.array(khats))


def _rank(values: np.ndarray, true: Any, rng: np.random.Generator) -> int:
    """How many draws are smaller; ties, of discrete sites, are broken by chance."""
    return int((values < true).sum()) + int(rng.integers(0, int((values == true).sum()) + 1))


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, *array.shape[2:])


def _prior(simulator: Bound, observed: Sequence[str], n: int, seed: int) -> dict[str, torch.Tensor]:
    """n draws of all sites, [n, *shape]."""
    recorded = record(simulator)
    flat = improper(recorded)
    if flat:
        raise MethodError(
            f"the prior of '{flat[0]}' can't be drawn from: it is improper",
            site=flat[0],
            expected="proper priors, from which truth and data are simulated",
            found=f"an improper distribution of '{flat[0]}'",
            edit=f'simulator=…, the model with a proper prior of "{flat[0]}"',
        )
    drawn: dict[str, torch.Tensor] = Sampler(recorded, TORCH)(seed, n)
    for name in observed:
        if name not in drawn or name in recorded.observed:
            near = closest(name, drawn)
            raise MethodError(
                f"'{name}' can't be simulated: it is no open site of {simulator.name}",
                expected="some of " + listed(drawn, name),
                found=f"'{name}'" + (", which has data" if name in recorded.observed else ""),
                edit=f'"{near[0]}"' if near and near[0] != name else f"leave out condition({name}=…)",
            )
    return drawn
