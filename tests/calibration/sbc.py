"""Simulation-based calibration: parameters drawn from the prior, data from them, a posterior from the data.

If simulator, density and sampler agree, the rank of the true value of any quantity among L independent
posterior draws is uniform on 0 … L. A function of parameters *and* data, such as the log likelihood, is a
quantity too, and finds errors that parameters alone don't.

Sources: Talts, Betancourt, Simpson, Vehtari, Gelman (2018), arXiv:1804.06788; Modrák et al. (2023), Bayesian
Analysis 20(2), on quantities; Säilynoja, Bürkner, Vehtari (2022), Statistics and Computing 32, on the
envelope.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

import ppl

LIKELIHOOD = "log likelihood"


@dataclass(frozen=True)
class Ranks:
    """Ranks (0 … draws) of the truth among `draws` posterior draws, by quantity: arrays [replication]."""

    values: dict[str, np.ndarray]
    draws: int

    def p_values(self) -> dict[str, tuple[float, float]]:
        """Quantity → (p of the chi-square test, p of the ECDF envelope) for uniform ranks."""
        return {k: (chi_square_p(v, self.draws), envelope_p(v, self.draws)) for k, v in self.values.items()}


def calibrate(
    model: ppl.Bound,
    observed: Sequence[str],
    quantities: Mapping[str, tuple[int, ...]],
    replications: int,
    simulator: ppl.Bound | None = None,
    chains: int = 4,
    draws: int = 25,
    thin: int = 2,
    warmup: int = 100,
    seed: int = 0,
    **options: Any,
) -> Ranks:
    """Ranks of `replications` runs of simulate–infer.

    Arguments: `quantities`, label "site" or "site …" → index of the element, () for a scalar site;
    `simulator`, what draws truth and data, the model itself when None; a chain gives `draws` draws, every
    `thin`-th of what it made. One draw in all is dropped: the number of possible ranks is then a round one.
    """
    simulator = model if simulator is None else simulator
    ranks: dict[str, list[int]] = {name: [] for name in [*quantities, LIKELIHOOD]}
    for replication in range(replications):
        truth = ppl.simulate(simulator, seed=seed + replication)
        data = {name: truth[name] for name in observed}
        posterior = ppl.infer(
            model,
            data,
            chains=chains,
            draws=draws,
            warmup=warmup,
            thin=thin,
            seed=seed + replication,
            progress=False,
            **options,
        )
        for label, index in quantities.items():
            site = label.partition(" ")[0]
            true = float(np.asarray(truth[site])[index])
            ranks[label].append(int((_flat(posterior.draws[site])[(slice(None), *index)] < true).sum()))
        likelihood = sum(
            _flat(a).reshape(chains * draws - 1, -1).sum(1) for a in posterior.log_likelihood.values()
        )
        # The truth scored by the model, which need not be the simulator.
        known = {name: truth[name] for name in posterior.draws if name in truth.latents}
        scored, _ = ppl.generate(model.condition(data), known)
        true = float(ppl.project(scored, list(observed)))
        ranks[LIKELIHOOD].append(int((likelihood < true).sum()))
    return Ranks({name: np.array(r) for name, r in ranks.items()}, chains * draws - 1)


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, *array.shape[2:])[1:]


def chi_square_p(ranks: np.ndarray, draws: int, bins: int = 10) -> float:
    """p-value of Pearson's χ² for ranks in equal bins; `bins` must divide draws + 1."""
    if (draws + 1) % bins:
        raise ValueError(f"{bins} bins don't divide {draws + 1} ranks evenly")
    counts = np.bincount(ranks * bins // (draws + 1), minlength=bins)
    return float(stats.chisquare(counts).pvalue)


def envelope_p(ranks: np.ndarray, draws: int, simulations: int = 4000) -> float:
    """p-value of the least probable point of the ranks' ECDF.

    At each z = k / (draws + 1) the number of ranks below k is Binomial(n, z). γ, the smallest two-sided tail
    probability over all z, is compared with its distribution for uniform ranks, drawn with a fixed seed.
    """
    edges = np.arange(1, draws + 1)
    z, n = edges / (draws + 1), len(ranks)

    def smallest(counts: np.ndarray) -> np.ndarray:
        tail = np.minimum(stats.binom.cdf(counts, n, z), stats.binom.sf(counts - 1, n, z))
        return tail.min(-1)

    def below(rows: np.ndarray) -> np.ndarray:
        return (rows[:, None] < edges).sum(0)

    rng = np.random.default_rng(0)
    uniform = rng.multinomial(n, np.full(draws + 1, 1 / (draws + 1)), size=simulations).cumsum(1)[:, :-1]
    reference = smallest(uniform)
    return float((1 + (reference <= smallest(below(ranks))).sum()) / (1 + simulations))
