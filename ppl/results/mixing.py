"""Checks that need ArviZ: rank-normalised R-hat, bulk and tail ESS, and the quality of particles and
guides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppl.results.checks import Problem, Run, correlated, listing, non_centred, split_rhat
from ppl.results.export import import_arviz, quiet_arviz


@dataclass(frozen=True)
class Mixing:
    """ArviZ's R-hat, bulk and tail ESS of the elements numbered `index`."""

    index: np.ndarray
    rhat: np.ndarray
    bulk: np.ndarray
    tail: np.ndarray


def mixing(run: Run) -> Mixing | None:
    """Compute the three for every moving element; None for draws that aren't a Markov chain's or are fewer
    than four.
    """
    index = np.flatnonzero(run.moving)
    if not run.markov or not len(index) or run.posterior.num_draws < 4:
        return None
    import xarray as xr

    data = xr.Dataset({"x": (("chain", "draw", "element"), run.elements.values[..., index])})
    arviz = import_arviz()
    with quiet_arviz():
        single = run.posterior.num_chains < 2
        rhat = np.full(len(index), np.nan) if single else arviz.rhat(data)["x"].values
        bulk, tail = (arviz.ess(data, method=kind)["x"].values for kind in ("bulk", "tail"))
    return Mixing(index, rhat, bulk, tail)


def check_length(run: Run) -> list[Problem]:
    """Chains too short to be judged."""
    draws = run.posterior.num_draws
    if not run.markov or not len(run.elements) or draws >= 4:
        return []
    headline = f"{draws} draw{'s' * (draws != 1)} a chain: too few for R-hat and ESS"
    return [Problem("draws", headline, (), "draws=1000", value=float(draws))]


def check_rhat(run: Run, found: Mixing) -> list[Problem]:
    """R-hat above its limit: chains that don't agree."""
    bad = np.flatnonzero(found.rhat > run.limits.rhat)
    if not len(bad):
        return []
    bad = bad[np.argsort(-found.rhat[bad], kind="stable")]
    labels = tuple(run.elements.labels[found.index[i]] for i in bad)
    sites = tuple(dict.fromkeys(run.elements.sites[found.index[i]] for i in bad))
    worst = float(found.rhat[bad[0]])
    details: tuple[str, ...] = ()
    posterior = run.posterior
    draws = posterior.num_draws
    edit = f"warmup={2 * int(posterior.attrs.get('warmup') or draws)}, draws={2 * draws}"
    apart = outlying(run.elements.values[..., found.index[bad[0]]])
    switching = [site for site in sites if switches_labels(run, site)]
    if switching:
        details = (
            f"the chains agree once the elements of {listing(switching)} are sorted: their labels switch",
        )
        site = switching[0]
        edit = f'ppl.sample("{site}", Restricted(…, "ordered"))'
    elif apart:
        details = (f"`{labels[0]}`: {apart}",)
        edit = (
            f'posterior.plot_trace("{sites[0]}"): separate modes need a prior that chooses, or method="smc"'
        )
    numbers = listing(f"{run.elements.labels[found.index[i]]} {found.rhat[i]:.2f}" for i in bad)
    headline = f"R-hat above {run.limits.rhat}: {numbers}"
    return [Problem("r-hat", headline, details, edit, sites, labels, worst)]


def outlying(values: np.ndarray) -> str | None:
    """A sentence about chains that live elsewhere: mean further from the median chain than two within-chain
    sds.

    Arguments: `values` (chain, draw) of one element.
    """
    means, spread = values.mean(axis=1), float(np.sqrt(values.var(axis=1, ddof=1).mean()))
    middle = float(np.median(means))
    apart = np.flatnonzero(np.abs(means - middle) > 2 * spread)
    if not len(apart):
        return None
    rest = np.delete(means, apart)
    near = f"{rest.mean():.3g}" if len(rest) else f"{middle:.3g}"
    some = listing((f"chain {c} stays near {means[c]:.3g}" for c in apart), 3)
    return f"{some}, the others near {near}" if len(rest) else some


def switches_labels(run: Run, site: str) -> bool:
    """Whether sorting the elements of a vector site, draw by draw, makes the chains agree."""
    columns = run.elements.columns(site)
    if not 2 <= len(columns) <= 10 or run.posterior.draws[site].ndim != 3 or run.posterior.num_draws < 20:
        return False
    values = run.elements.values[..., columns]
    before, after = split_rhat(values), split_rhat(np.sort(values, axis=-1))
    return bool(np.nanmax(before) > 1.1 and np.nanmax(after) < 1.05)


def check_ess(run: Run, found: Mixing, explained: Sequence[str] = ()) -> list[Problem]:
    """Bulk or tail ESS below its limit: too few independent draws for the centre or for the 5 % and 95 %
    quantiles.

    Arguments: `explained`, sites whose chains sit apart: their low ESS follows from that and gets no edit of
    its own.
    """
    limit = run.limits.ess_per_chain * run.posterior.num_chains
    problems = []
    for kind, values in (("bulk", found.bulk), ("tail", found.tail)):
        bad = np.flatnonzero(values < limit)
        if not len(bad):
            continue
        bad = bad[np.argsort(values[bad], kind="stable")]
        labels = tuple(run.elements.labels[found.index[i]] for i in bad)
        sites = tuple(dict.fromkeys(run.elements.sites[found.index[i]] for i in bad))
        numbers = listing(f"{run.elements.labels[found.index[i]]} {values[i]:.0f}" for i in bad)
        worst = float(values[bad[0]])
        open_sites = tuple(site for site in sites if site not in explained)
        details: tuple[str, ...] = ("follows from chains that disagree",)
        edit: str | None = None
        if open_sites:
            details, edit = _slow(run, open_sites, worst, limit)
        headline = f"{kind} ESS below {limit:.0f}: {numbers}"
        problems.append(Problem(f"{kind} ess", headline, details, edit, sites, labels, worst))
    if len(problems) == 2 and problems[0].edit == problems[1].edit:
        first, second = problems
        problems = [
            first,
            Problem(second.kind, second.headline, (), None, second.sites, second.elements, second.value),
        ]
    return problems


def _slow(run: Run, sites: tuple[str, ...], worst: float, limit: float) -> tuple[tuple[str, ...], str]:
    posterior = run.posterior
    hierarchical = [child for site in sites for child in run.children.get(site, [])]
    hierarchical += [site for site in sites if run.scale_of(site) and site not in hierarchical]
    if hierarchical:
        scales = listing(dict.fromkeys(str(run.scale_of(child)) for child in hierarchical))
        return (f"{listing(dict.fromkeys(hierarchical))} and {scales} depend on each other",), non_centred(
            hierarchical
        )
    pair = correlated(run)
    if pair:
        return (f"`{pair[0]}` and `{pair[1]}` have correlation {pair[2]:.2f}",), run.sampler('metric="dense"')
    factor = limit / max(worst, 1.0)
    needed = 500 * math.ceil(1.2 * factor * posterior.num_draws / 500)
    if factor <= 10:
        return (), f"draws={needed}"
    return (
        f"draws={needed} would be needed as it is",
    ), f"another parametrisation of {listing(sites, 3)}, or more data about it"


def check_particles(run: Run) -> list[Problem]:
    """Few distinct particles, few that carry the weight, or a guide too far from the posterior (k-hat)."""
    posterior, problems = run.posterior, []
    if posterior.khat is not None and posterior.khat > run.limits.khat:
        headline = (
            f"k-hat {posterior.khat:.2f}, wanted ≤ {run.limits.khat}: the guide is far from the posterior"
        )
        problems.append(
            Problem(
                "k-hat", headline, (), 'a richer guide, more steps, or method="nuts"', value=posterior.khat
            )
        )
    if run.markov or posterior.losses is not None or not run.moving.any():
        return problems
    rows = run.elements.values[0][:, run.moving]
    distinct = len(np.unique(rows, axis=0))
    if distinct < 0.1 * len(rows):
        headline = (
            f"only {distinct} of {len(rows)} particles are distinct, {100 * distinct / len(rows):.1f} %"
        )
        problems.append(
            Problem(
                "particles",
                headline,
                (),
                f"method=ppl.SMC(particles={4 * len(rows)})",
                value=distinct / len(rows),
            )
        )
    return problems
