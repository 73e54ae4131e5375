"""The checks behind `diagnose()`: each looks at the draws for one kind of trouble and says where it sits and
what mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.results.arrays import Elements, elements

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior


@dataclass(frozen=True)
class Problem:
    """One finding. `headline` is one line, `details` say where, `edit` is what to change; `value` is the
    number that failed.
    """

    kind: str
    headline: str
    details: tuple[str, ...] = ()
    edit: str | None = None
    sites: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    value: float = float("nan")


@dataclass(frozen=True)
class Limits:
    """Thresholds. R-hat and ESS: Vehtari et al. (2021); E-BFMI: Betancourt (2016), arXiv:1604.00695; k-hat:
    Vehtari et al. (2024).
    """

    rhat: float = 1.01
    ess_per_chain: float = 100.0
    bfmi: float = 0.3
    tree_depth_share: float = 0.01
    khat: float = 0.7
    elements: int = 1000


@dataclass(frozen=True)
class Run:
    """A posterior under examination, with what several checks share computed once."""

    posterior: Posterior
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def elements(self) -> Elements:
        return elements(self.posterior, limit=self.limits.elements)

    @cached_property
    def moving(self) -> np.ndarray:
        """Which elements are finite and not constant: only those have an R-hat."""
        values = self.elements.values
        finite = np.isfinite(values).all(axis=(0, 1))
        if not values.shape[0] * values.shape[1]:
            return finite
        return np.asarray(finite & (values != values[:1, :1]).any(axis=(0, 1)))

    @property
    def stats(self) -> dict[str, np.ndarray]:
        return self.posterior.sample_stats

    @property
    def markov(self) -> bool:
        """Whether the draws are a Markov chain's: particles and guides have no R-hat."""
        p = self.posterior
        return bool(
            p.attrs.get("markov", p.log_weights is None and p.log_evidence is None and p.losses is None)
        )

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Scale site → the sites whose scale it is."""
        result: dict[str, list[str]] = {}
        for child, parents in self.posterior.hierarchy.items():
            if len(parents) > 1 and parents[1] is not None:
                result.setdefault(parents[1], []).append(child)
        return result

    def sampler(self, option: str) -> str:
        """The edit that gives the sampler in use an option."""
        return f"method=ppl.{'HMC' if self.posterior.attrs.get('method') == 'hmc' else 'NUTS'}({option})"

    def scale_of(self, child: str) -> str | None:
        """The site that is the scale of `child`, if it has one."""
        parents = self.posterior.hierarchy.get(child, ())
        return parents[1] if len(parents) > 1 else None


def listing(labels: Iterable[str], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    names = list(labels)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def non_centred(sites: Iterable[str]) -> str:
    """The edit that non-centres some sites."""
    names = list(dict.fromkeys(sites))
    if all(name.isidentifier() for name in names):
        return "model(…).reparam(" + ", ".join(f"{name}=ppl.NonCentered()" for name in names) + ")"
    return "model(…).reparam(**{" + ", ".join(f'"{name}": ppl.NonCentered()' for name in names) + "})"


def share(part: float, whole: float) -> str:
    percent = 100 * part / max(whole, 1)
    return f"{percent:.1f} %" if percent >= 0.1 or part == 0 else f"{percent:.2g} %"


def divergences(run: Run) -> list[Problem]:
    """Divergent transitions, and the elements whose values they have in common (by the Mann–Whitney
    statistic).
    """
    flags = run.stats.get("diverging")
    if flags is None or not flags.any():
        return []
    flags = flags.astype(bool)
    count, total = int(flags.sum()), flags.size
    chains = [str(c) for c in np.flatnonzero(flags.any(axis=1))]
    where = f" (chain{'s' * (len(chains) > 1)} {', '.join(chains)})" if len(chains) < len(flags) else ""
    headline = f"{count} of {total} draws diverged, {share(count, total)}{where}"
    found = locate(run, flags)
    target = float(run.posterior.attrs.get("target_accept", 0.8))
    higher = next((t for t in (0.9, 0.95, 0.99) if t > target + 1e-9), None)
    edit = (
        run.sampler(f"target_accept={higher}")
        if higher
        else "a tighter prior, or another parametrisation, of these sites"
    )
    details = [f"they lie where {text}" for _, text, _ in found[:3]]
    named = [run.elements.sites[e] for e, _, _ in found]
    necks = [
        site
        for (_, _, side), site in zip(found, named, strict=True)
        if side == "low" and site in run.children
    ]
    if necks:
        children = [child for site in dict.fromkeys(necks) for child in run.children[site]]
        details.append(
            f"a funnel's neck: the smaller {listing(dict.fromkeys(necks))}, the narrower {listing(children)}"
        )
        edit = non_centred(children)
    elif not found:
        details.append("no site stands out" if count >= 10 else "too few to say where")
    if run.posterior.num_chains and count > 0.5 * total:
        details.append(
            "most draws diverge: the density may be wrong, or the data on another scale than the priors"
        )
    sites = tuple(dict.fromkeys(named))
    labels = tuple(run.elements.labels[e] for e, _, _ in found)
    return [Problem("divergences", headline, tuple(details), edit, sites, labels, count / total)]


def locate(run: Run, flags: np.ndarray) -> list[tuple[int, str, str]]:
    """Elements that separate flagged draws from the others: (element, sentence, "low" | "high" | "tails"),
    strongest first.

    With U the Mann–Whitney statistic, r = 2 U/(n m) − 1 in [−1, 1] doesn't change under monotone
    transformations, so it is the same for a site and its unconstrained form. An element counts when |r| >
    0.35 and beyond what the largest of E independent null statistics reaches, sd(r) = 1/√(3 n).
    """
    mask = flags.reshape(-1)
    n, m = int(mask.sum()), int((~mask).sum())
    index = np.flatnonzero(run.moving)
    if n == 0 or m == 0 or not len(index):
        return []
    columns = run.elements.values.reshape(-1, len(run.elements))
    reach = np.sqrt(2 * np.log(len(index) + 1)) + 1.5
    threshold = max(0.35, reach / np.sqrt(3 * n))
    result = []
    for e in index:
        column = columns[:, e]
        r = _separation(column, mask, n, m)
        tails = _separation(np.abs(column - np.median(column)), mask, n, m)
        name = f"`{run.elements.labels[e]}`"
        inside, outside = np.median(column[mask]), np.median(column[~mask])
        medians = f"(median {inside:.3g}, elsewhere {outside:.3g})"
        if abs(r) > threshold and abs(r) >= tails:
            side = "low" if r < 0 else "high"
            result.append((abs(r), int(e), f"{name} is {'small' if r < 0 else 'large'} {medians}", side))
        elif tails > threshold:
            result.append((tails, int(e), f"{name} is far from its median {outside:.3g}", "tails"))
    result.sort(key=lambda row: (-round(row[0], 12), row[1]))
    return [(e, text, side) for _, e, text, side in result]


def _separation(column: np.ndarray, mask: np.ndarray, n: int, m: int) -> float:
    order = np.argsort(column, kind="stable")
    ranks = np.empty(len(column))
    ranks[order] = np.arange(1, len(column) + 1)
    u = ranks[mask].sum() - n * (n + 1) / 2
    return float(2 * u / (n * m) - 1)


def tree_depth(run: Run) -> list[Problem]:
    """Trajectories cut off at the largest tree depth: slow, not wrong."""
    deepest = run.posterior.attrs.get("max_treedepth", 10)
    hits = run.stats.get("reached_max_treedepth")
    if hits is None and "tree_depth" in run.stats:
        hits = run.stats["tree_depth"] >= deepest
    if hits is None or not hits.size or hits.mean() < run.limits.tree_depth_share:
        return []
    pair = correlated(run)
    details: tuple[str, ...] = (
        "the sampler turns back before it has gone far: draws are valid but cost more than they need",
    )
    edit = run.sampler(f"max_treedepth={int(deepest) + 2}")
    if pair:
        details += (f"`{pair[0]}` and `{pair[1]}` have correlation {pair[2]:.2f}",)
        edit = run.sampler('metric="dense"')
    many = f"{int(hits.sum())} of {hits.size} trajectories"
    headline = f"{many} reached the largest tree depth {deepest}, {share(hits.sum(), hits.size)}"
    return [Problem("tree depth", headline, details, edit, value=float(hits.mean()))]


def correlated(run: Run, most: int = 200) -> tuple[str, str, float] | None:
    """The pair of elements with the largest |correlation|, if above 0.9."""
    index = np.flatnonzero(run.moving)
    if len(index) < 2 or len(index) > most or run.elements.values[..., 0].size < 3:
        return None
    columns = run.elements.values.reshape(-1, len(run.elements))[:, index]
    matrix = np.corrcoef(columns, rowvar=False)
    matrix[np.tril_indices(len(index))] = 0.0
    # |corr| = 1 means one is computed from the other (a deterministic site): no news for the sampler.
    matrix[np.abs(matrix) > 1 - 1e-9] = 0.0
    i, j = np.unravel_index(np.argmax(np.abs(matrix)), matrix.shape)
    value = float(matrix[i, j])
    return (run.elements.labels[index[i]], run.elements.labels[index[j]], value) if abs(value) > 0.9 else None


def bfmi(energy: np.ndarray) -> np.ndarray:
    """E-BFMI per chain: Σ (E_n − E_{n−1})² / Σ (E_n − Ē)²; nan for a constant energy. Source: Betancourt
    (2016).

    >>> bfmi(np.array([[0.0, 1.0, 0.0, 1.0]])).tolist()
    [3.0]
    """
    moves = np.square(np.diff(energy, axis=1)).sum(axis=1)
    spread = np.square(energy - energy.mean(axis=1, keepdims=True)).sum(axis=1)
    return np.asarray(np.divide(moves, spread, out=np.full(len(energy), np.nan), where=spread > 0))


def low_energy(run: Run) -> list[Problem]:
    """Momentum resampling that explores the energy too slowly: heavy tails or a funnel."""
    energy = run.stats.get("energy")
    if energy is None or energy.ndim != 2 or energy.shape[1] < 10 or not np.isfinite(energy).all():
        return []
    values = bfmi(energy)
    low = np.flatnonzero(values < run.limits.bfmi)
    if not len(low):
        return []
    index = np.flatnonzero(run.moving)
    columns = run.elements.values.reshape(-1, len(run.elements))[:, index]
    flat = energy.reshape(-1)
    with np.errstate(all="ignore"):
        ranks = np.argsort(np.argsort(columns, axis=0), axis=0).astype(float)
        strength = np.abs(np.nan_to_num([np.corrcoef(column, flat)[0, 1] for column in ranks.T]))
    order = [int(i) for i in np.argsort(-strength, kind="stable")[:3] if strength[i] > 0.3]
    labels = tuple(run.elements.labels[index[i]] for i in order)
    sites = tuple(dict.fromkeys(run.elements.sites[index[i]] for i in order))
    related = [
        child for site in sites for child in run.children.get(site, [site] if run.scale_of(site) else [])
    ]
    related = related or [child for children in run.children.values() for child in children]
    details = (f"energy goes with {listing(f'`{name}`' for name in labels)}",) if labels else ()
    edit = (
        non_centred(related)
        if related
        else f"a lighter-tailed prior for {listing(sites) or 'the heavy-tailed sites'}, or more warm-up"
    )
    shown = ", ".join(f"{values[c]:.2f} (chain {c})" for c in low[:6])
    headline = f"low E-BFMI: {shown}, wanted ≥ {run.limits.bfmi}"
    return [Problem("energy", headline, details, edit, sites, labels, float(values[low].min()))]


def finite(run: Run) -> list[Problem]:
    """Draws that are nan or infinite."""
    bad = np.flatnonzero(~np.isfinite(run.elements.values).all(axis=(0, 1)))
    if not len(bad):
        return []
    labels = tuple(run.elements.labels[i] for i in bad)
    sites = tuple(dict.fromkeys(run.elements.sites[i] for i in bad))
    headline = f"nan or infinite draws of {listing(labels)}"
    edit = f"look at how {listing(sites)} is computed (overflow, 0/0), or keep its parameters in their domain"
    return [Problem("not finite", headline, (), edit, sites, labels, float(len(bad)))]


def stuck(run: Run) -> list[Problem]:
    """Chains or elements that never move. An element that is one constant in every chain counts as computed,
    unless all are.
    """
    values = run.elements.values
    if values.shape[1] < 2 or not len(run.elements) or not run.markov:
        return []
    still = (values == values[:, :1]).all(axis=1)  # (chain, element)
    problems = []
    whole = np.flatnonzero(still.all(axis=1))
    if len(whole):
        headline = f"chain{'s' * (len(whole) > 1)} {listing(map(str, whole))} never moved"
        seed = int(run.posterior.attrs.get("seed") or 0) + 1
        edit = f"other starting points (seed={seed}), or more warm-up (warmup=2000)"
        problems.append(Problem("stuck", headline, (), edit, value=float(len(whole))))
    others = [c for c in range(len(values)) if c not in set(whole)]
    if others:
        frozen = np.flatnonzero(still[others].any(axis=0) & run.moving)
        if len(frozen):
            labels = tuple(run.elements.labels[i] for i in frozen)
            sites = tuple(dict.fromkeys(run.elements.sites[i] for i in frozen))
            chains = [c for c in others if still[c, frozen].any()]
            headline = (
                f"{listing(labels)} never moved in chain{'s' * (len(chains) > 1)} {listing(map(str, chains))}"
            )
            edit = "check that the density depends on it smoothly; a discrete site needs enumeration"
            problems.append(Problem("stuck", headline, (), edit, sites, labels, float(len(frozen))))
    return problems


CHEAP: tuple[Callable[[Run], list[Problem]], ...] = (finite, stuck, divergences, low_energy, tree_depth)


def screen(run: Run) -> list[Problem]:
    """A quick look at mixing without ArviZ (whose import takes seconds): plain split R-hat above 1.02."""
    values = run.elements.values
    if not run.markov or values.shape[0] < 2 or values.shape[1] < 20 or not run.moving.any():
        return []
    index = np.flatnonzero(run.moving)
    ratio = split_rhat(values[..., index])
    bad = np.flatnonzero(ratio > 1.02)
    if not len(bad):
        return []
    bad = bad[np.argsort(-ratio[bad], kind="stable")]
    labels = tuple(run.elements.labels[index[i]] for i in bad)
    sites = tuple(dict.fromkeys(run.elements.sites[index[i]] for i in bad))
    worst = float(ratio[bad[0]])
    headline = f"chains disagree about {listing(labels, 3)} (R-hat up to {worst:.2f})"
    return [Problem("r-hat", headline, (), None, sites, labels, worst)]


def split_rhat(values: np.ndarray) -> np.ndarray:
    """Split R-hat of each element, √(((h−1)/h·W + B)/W) over half chains of length h. Source: Gelman et al.,
    BDA3, section 11.4.

    Arguments: `values` (chain, draw, element). Returns: (element,), nan for constants.
    """
    half = values.shape[1] // 2
    halves = np.concatenate([values[:, :half], values[:, -half:]])
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = halves.mean(axis=1).var(axis=0, ddof=1)
    out: Any = np.full(within.shape, np.nan)
    ratio = np.divide((half - 1) / half * within + between, within, out=out, where=within > 0)
    return np.asarray(np.sqrt(ratio))
