"""Whether inference is calibrated: ranks of true values among draws, their tests, table and picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SIMULATIONS = 4000
"""Of uniform ranks, for the distribution of the envelope's statistic."""


@dataclass(frozen=True)
class Calibration:
    """Ranks of true values among draws of their posteriors, over replications of (truth, data, inference).

    Attributes:
        ranks: quantity ("mu", "theta[3]") → ranks, whole numbers from 0 to `draws`, [replication].
        draws: how many draws the truth was ranked among.
        criterion: what is asked of them: "uniform" (simulation-based calibration) or "symmetric" (its variational form,
            where a guide that is known to be too narrow may still have no bias).
        khats: of each replication, where the method has them.

    >>> rng = np.random.default_rng(0)
    >>> found = Calibration({"mu": rng.integers(0, 100, 300), "tau": rng.binomial(99, 0.7, 300)}, 99)
    >>> found.failures()
    ['tau']
    """

    ranks: Mapping[str, np.ndarray]
    draws: int
    criterion: str = "uniform"
    khats: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """Quantity → p = P(draw < truth), [replication]: uniform if inference is exact."""
        return {name: (rank + 0.5) / (self.draws + 1) for name, rank in self.ranks.items()}

    def p_values(self) -> dict[str, float]:
        """Quantity → p-value of the criterion's test."""
        if self.criterion == "symmetric":
            return {name: symmetry_p(p) for name, p in self.probabilities.items()}
        return {name: envelope_p(rank, self.draws) for name, rank in self.ranks.items()}

    def failures(self, level: float = 0.01) -> list[str]:
        """The quantities that fail the test at this level over all quantities together (Bonferroni)."""
        return [name for name, p in self.p_values().items() if p < level / len(self.ranks)]

    def table(self, level: float = 0.01) -> pd.DataFrame:
        """A row for each quantity.

        Columns: `mean_p`, the mean of p; `spread`, the mean of |2p − 1| (½ where draws are as wide as they ought to
        be); `p_symmetric` and `p_uniform`, p-values; `location` and `width`, what is wrong with the draws where
        a test at `level` says so.
        """
        import pandas as pd

        from ppl.results.table import whole

        rows = {name: self._row(name, p, level) for name, p in self.probabilities.items()}
        return whole(pd.DataFrame.from_dict(rows, orient="index"))  # type: ignore[no-any-return]

    def _row(self, name: str, p: np.ndarray, level: float) -> dict[str, Any]:
        n, symmetric = len(p), symmetry_p(p)
        spread = float(np.abs(2 * p - 1).mean())
        excess = (spread - 0.5) * np.sqrt(12 * n)  # |2p − 1| of a uniform p is uniform: variance 1/12
        high, low = p.mean() < 0.5, p.mean() > 0.5
        return {
            "mean_p": float(p.mean()),
            "spread": spread,
            "p_symmetric": symmetric,
            "p_uniform": envelope_p(self.ranks[name], self.draws),
            "location": ("too high" if high else "too low" if low else "") if symmetric < level else "",
            "width": "" if abs(excess) < 2.576 else "too narrow" if excess > 0 else "too wide",
        }

    def plot(self, bins: int = 20, limit: int = 12) -> Figure:
        """A histogram of p for each quantity, with the band that holds 99 of 100 bars of uniform ones."""
        from ppl.results.plots import plot_calibration

        return plot_calibration(self.probabilities, bins, limit)

    def __repr__(self) -> str:
        count = len(next(iter(self.ranks.values())))
        failed = self.failures()
        rows = [f"Calibration: {count} replications, {self.draws} draws each"]
        if len(self.khats):
            bad = int((self.khats > 0.7).sum())
            rows[0] += f"; k-hat {np.median(self.khats):.2f} (median), above 0.7 in {bad}"
        table = self.table().replace("", "–").round(3)
        said = f"not {self.criterion}: {', '.join(failed)}" if failed else f"all are {self.criterion}"
        return "\n".join([*rows, table.to_string(), said])


def symmetry_p(p: np.ndarray) -> float:
    """p-value of the largest difference between the distribution functions of p and of 1 − p.

    If p is symmetric about ½, the signs of p − ½ are independent of the distances |p − ½|, and the difference, going
    inwards from the ends, is a simple random walk: its exact law is used. (The two-sample test of Kolmogorov
    and Smirnov takes p and 1 − p for independent, and rejects too often.)

    Source: Butler, "A test for symmetry using the sample distribution function" (1969); Yao, Vehtari, Simpson &
    Gelman, "Yes, but did it work?: evaluating variational inference" (2018), section 3.2, for its use.

    >>> round(symmetry_p(np.linspace(0.01, 0.99, 99)), 3), symmetry_p(np.linspace(0.4, 0.99, 60)) < 1e-6
    (1.0, True)
    """
    away = np.abs(p - 0.5)
    order = np.argsort(-away, kind="stable")
    walk = np.cumsum(np.sign(p - 0.5)[order])
    last_of_ties = np.append(np.diff(away[order]) != 0, True)
    furthest = int(np.abs(walk[last_of_ties]).max())
    return _walk_reaches(furthest, int((away > 0).sum()))


def _walk_reaches(height: int, steps: int) -> float:
    """P(max |S_k| ≥ height over `steps` fair steps ±1 from 0): the mass that absorbing walls take."""
    if height <= 0:
        return 1.0
    inside = np.zeros(2 * height + 1)
    inside[height] = 1.0
    for _ in range(steps):
        moved = np.zeros_like(inside)
        moved[1:] += 0.5 * inside[:-1]
        moved[:-1] += 0.5 * inside[1:]
        moved[[0, -1]] = 0.0
        inside = moved
    return float(min(max(1.0 - inside.sum(), 0.0), 1.0))


def chi_square_p(ranks: np.ndarray, draws: int, bins: int = 10) -> float:
    """p-value of Pearson's χ² for ranks in equal bins; `bins` must divide draws + 1."""
    from scipy import stats

    if (draws + 1) % bins:
        raise ValueError(f"{bins} bins don't divide {draws + 1} ranks evenly")
    counts = np.bincount(ranks * bins // (draws + 1), minlength=bins)
    return float(stats.chisquare(counts).pvalue)


def envelope_p(ranks: np.ndarray, draws: int, simulations: int = SIMULATIONS) -> float:
    """p-value of the least probable point of the ranks' distribution function.

    At z = k / (draws + 1) the number of ranks below k is Binomial(n, z). γ, the smallest two-sided tail probability
    over at most 200 such z, is compared with its distribution for uniform ranks, drawn with a fixed seed.

    Source: Säilynoja, Bürkner & Vehtari, "Graphical test for discrete uniformity" (2022).
    """
    from scipy import stats

    edges = np.unique(np.linspace(1, draws, min(draws, 200)).round().astype(int))
    z, n = edges / (draws + 1), len(ranks)

    def smallest(counts: np.ndarray) -> np.ndarray:
        tail = np.minimum(stats.binom.cdf(counts, n, z), stats.binom.sf(counts - 1, n, z))
        return np.asarray(tail.min(-1))

    rng = np.random.default_rng(0)
    shares = np.diff(np.concatenate([[0.0], z, [1.0]]))
    uniform = rng.multinomial(n, shares, size=simulations).cumsum(1)[:, :-1]
    found = smallest((ranks[:, None] < edges).sum(0))
    return float((1 + (smallest(uniform) <= found).sum()) / (1 + simulations))
