"""Pictures of a posterior in matplotlib: trace, forest, pairs, energy, predictive check. Each returns its
Figure.

Drawn with matplotlib itself: the plotting calls of the two ArviZ generations have nothing in common, and
these look the same under both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.errors import PplError
from ppl.results.arrays import Elements, unknown_name
from ppl.results.checks import Run, bfmi, locate
from ppl.results.density import curve, is_discrete, window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ppl.results.posterior import Posterior

_BLUE, _RED, _GREY = "#3b6ea5", "#d1495b", "#8a8f98"
_MOST_POINTS = 2000  # a scatter or a trace says no more beyond this
Names = str | Sequence[str] | None


def plot_trace(posterior: Posterior, names: Names = None, *, limit: int = 12) -> Figure:
    """Density (left) and trace (right) of each element, a colour per chain, divergences as red ticks.

    Arguments: `names`, sites (all when None); `limit`, the most elements drawn (large sites are thinned).
    Returns: the matplotlib figure. Errors: `UnknownNameError`.
    """
    shown = _chosen(posterior, names, limit)
    figure, axes = _grid(len(shown), 2, (10.0, 1.55 * len(shown) + 0.4), width_ratios=(1, 2))
    diverged = _diverging(posterior)
    step = max(1, posterior.num_draws // _MOST_POINTS)
    at = np.arange(0, posterior.num_draws, step)
    for row, (name, values) in enumerate(zip(shown.labels, np.moveaxis(shown.values, -1, 0), strict=True)):
        left, right = axes[row]
        _density(left, values, [f"C{chain % 10}" for chain in range(len(values))])
        for chain, draws in enumerate(values):
            right.plot(at, draws[::step], color=f"C{chain % 10}", linewidth=0.5, alpha=0.75)
        marks = np.flatnonzero(diverged.any(axis=0))
        if len(marks):
            inside = values[diverged]
            right.plot(
                marks,
                np.zeros(len(marks)),
                "|",
                color=_RED,
                markersize=7,
                transform=right.get_xaxis_transform(),
            )
            left.plot(
                inside,
                np.zeros(len(inside)),
                "|",
                color=_RED,
                markersize=7,
                transform=left.get_xaxis_transform(),
            )
        left.set_title(_short(name, 40), fontsize=9, loc="left")
        right.set_xlim(0, max(1, posterior.num_draws - 1))
        right.tick_params(labelbottom=row == len(shown) - 1)
    axes[-1][1].set_xlabel("draw", fontsize=9)
    note = f"red ticks: {int(diverged.sum())} divergences" if diverged.any() else ""
    return _finish(figure, axes, shown, note)


def plot_forest(
    posterior: Posterior, names: Names = None, *, limit: int = 60, interval: float = 0.94
) -> Figure:
    """Median, central 50 % and central `interval` of each element over all chains, one element a row.

    Arguments: `names`, sites (all when None); `limit`, the most elements drawn; `interval`, a probability.
    Returns: the matplotlib figure. Errors: `UnknownNameError`; `PplError` for an interval outside (0, 1).
    """
    if not 0 < interval < 1:
        raise PplError(
            "an interval is a probability",
            expected="0 < interval < 1",
            found=str(interval),
            edit="interval=0.94",
        )
    shown = _chosen(posterior, names, limit)
    figure, axes = _grid(1, 1, (8.0, 0.24 * len(shown) + 1.1))
    axis = axes[0][0]
    flat = shown.values.reshape(-1, len(shown))
    tail = (1 - interval) / 2
    levels = np.nanquantile(flat, [tail, 0.25, 0.5, 0.75, 1 - tail], axis=0)
    rows = np.arange(len(shown))[::-1]
    sites = list(dict.fromkeys(shown.sites))
    for row, site in zip(rows, shown.sites, strict=True):
        if sites.index(site) % 2:
            axis.axhspan(row - 0.5, row + 0.5, color="#f2f4f7", zorder=0, linewidth=0)
    axis.hlines(rows, levels[0], levels[4], color=_BLUE, linewidth=1.2)
    axis.hlines(rows, levels[1], levels[3], color=_BLUE, linewidth=4)
    axis.plot(levels[2], rows, "o", color="white", markeredgecolor=_BLUE, markersize=5, linestyle="none")
    low, high = axis.get_xlim()
    if low < 0 < high:
        axis.axvline(0, color=_GREY, linewidth=0.8, linestyle=":", zorder=0)
    axis.set_yticks(rows, [_short(name, 36) for name in shown.labels], fontsize=9)
    axis.set_ylim(-0.7, len(shown) - 0.3)
    axis.tick_params(axis="y", length=0)
    return _finish(figure, axes, shown, f"median, central 50 % and {100 * interval:g} %")


def plot_pairs(posterior: Posterior, names: Names = None, *, limit: int = 6) -> Figure:
    """Scatter plot of every pair of elements, densities on the diagonal, divergent draws in red.

    When sites aren't named, elements that divergences have in common come first. Scales of a hierarchy get a
    logarithmic axis: there a funnel shows. Arguments: `names`, sites; `limit`, the most elements drawn.
    Returns: the matplotlib figure.
    """
    diverged = _diverging(posterior)
    shown = _chosen(posterior, names, limit)
    if names is None and diverged.any() and shown.total > len(shown):
        shown = _telling(posterior, diverged, shown, limit)
    n = len(shown)
    figure, axes = _grid(n, n, (1.9 * n + 0.8, 1.9 * n + 0.6), sharex="col")
    flat, mask = shown.values.reshape(-1, n), diverged.reshape(-1)
    rest = np.flatnonzero(~mask)
    rest = rest[:: max(1, math.ceil(len(rest) / _MOST_POINTS))]
    scales = Run(posterior).children
    logs = [site in scales and bool((flat[:, i] > 0).all()) for i, site in enumerate(shown.sites)]
    for row in range(n):
        for column in range(n):
            axis = axes[row][column]
            if column > row:
                axis.set_visible(False)
                continue
            if logs[column]:
                axis.set_xscale("log")
            if column == row:
                _density(axis, shown.values[..., row].reshape(1, -1), [_BLUE], logs[row])
            else:
                axis.plot(
                    flat[rest, column],
                    flat[rest, row],
                    ".",
                    color=_BLUE,
                    markersize=2,
                    alpha=0.35,
                    rasterized=True,
                )
                axis.plot(flat[mask, column], flat[mask, row], ".", color=_RED, markersize=4, alpha=0.9)
                axis.set_ylim(*_limits(flat[:, row], logs[row]))
                if logs[row]:
                    axis.set_yscale("log")
            axis.tick_params(labelbottom=row == n - 1, labelleft=column == 0 and row > 0)
            if row == n - 1:
                axis.set_xlabel(_short(shown.labels[column], 18), fontsize=9)
            if column == 0 and row > 0:
                axis.set_ylabel(_short(shown.labels[row], 18), fontsize=9)
    figure.align_ylabels()
    note = f"red: {int(mask.sum())} divergences" if mask.any() else ""
    return _finish(figure, axes, shown, note)


def plot_energy(posterior: Posterior) -> Figure:
    """Marginal energy against energy transitions: alike when momentum resampling explores well. E-BFMI of
    each chain in the legend.

    Source: Betancourt (2016), arXiv:1604.00695. Returns: the matplotlib figure. Errors: `PplError` without
    `energy` in sample_stats.
    """
    energy = posterior.sample_stats.get("energy")
    if energy is None or not energy.size:
        raise PplError(
            "there is no energy to plot",
            expected="draws by hmc or nuts",
            found=str(posterior.attrs.get("method", "no energy")),
            edit='method="nuts"',
        )
    figure, axes = _grid(1, 1, (7.0, 3.6))
    axis = axes[0][0]
    moves = np.diff(energy, axis=1).reshape(-1)
    for values, colour, name in (
        (energy.reshape(-1) - energy.mean(), _BLUE, "energy − mean"),
        (moves, _RED, "transitions"),
    ):
        x, y = curve(values)
        axis.fill_between(x, y, color=colour, alpha=0.25, linewidth=0)
        axis.plot(x, y, color=colour, linewidth=1.4, label=name)
    for chain, value in enumerate(bfmi(energy)[:8]):
        axis.plot([], [], " ", label=f"chain {chain}: E-BFMI {value:.2f}")
    axis.legend(frameon=False, fontsize=8)
    axis.set_yticks([])
    axis.set_ylim(bottom=0)
    return _finish(figure, axes, None, "")


def plot_ppc(
    posterior: Posterior, name: str | None = None, *, draws: int = 50, predictions: Any = None, seed: int = 0
) -> Figure:
    """Distribution of the observed values of a site against that of posterior predictive draws.

    Arguments: `name`, an observed site (the first when None); `draws`, how many predicted data sets;
    `predictions`, name → (chain, draw, *shape): by default the group `posterior_predictive`, else
    `posterior.predict()`. Returns: the matplotlib figure.
    Errors: `UnknownNameError` for a site that isn't observed.
    """
    observed = posterior.observed_data
    if name is None and observed:
        name = next(iter(observed))
    if name is None or name not in observed:
        raise unknown_name(str(name), observed, "observed site")
    if predictions is None:
        predictions = posterior.groups.get("posterior_predictive") or posterior.predict(seed=seed)
    predicted = np.asarray(predictions[name], dtype=float)
    predicted = predicted.reshape(predicted.shape[0] * predicted.shape[1], -1)
    data = np.asarray(observed[name], dtype=float).reshape(-1)
    data = data[np.isfinite(data)]
    rows = predicted[np.linspace(0, len(predicted) - 1, min(draws, len(predicted))).astype(int)]
    figure, axes = _grid(1, 1, (7.0, 3.6))
    axis = axes[0][0]
    together = np.concatenate([rows[np.isfinite(rows)].reshape(-1), data])
    span = window(together, mass=0.99)
    span = (min(span[0], data.min()), max(span[1], data.max())) if len(data) else span
    discrete = is_discrete(together)
    style = _style(discrete)
    for i, row in enumerate(rows):
        x, y = curve(row, span, discrete)
        axis.plot(
            x,
            y,
            color=_BLUE,
            linewidth=0.6,
            alpha=0.35,
            drawstyle=style,
            label=f"{len(rows)} predicted data sets" if i == 0 else None,
        )
    x, y = curve(rows.reshape(-1), span, discrete)
    axis.plot(x, y, color=_BLUE, linewidth=1.8, linestyle="--", drawstyle=style, label="all predictions")
    x, y = curve(data, span, discrete)
    axis.plot(x, y, color="black", linewidth=1.8, drawstyle=style, label="observed")
    axis.legend(frameon=False, fontsize=8)
    axis.set_xlabel(name, fontsize=9)
    axis.set_yticks([])
    axis.set_ylim(bottom=0)
    return _finish(figure, axes, None, "")


def plot_calibration(probabilities: Mapping[str, np.ndarray], bins: int = 20, limit: int = 12) -> Figure:
    """A histogram for each quantity's probabilities in (0, 1), with the band of 99 of 100 bars of uniform ones."""
    from scipy import stats

    names = list(probabilities)[:limit]
    columns = min(len(names), 3)
    figure, axes = _grid(
        math.ceil(len(names) / columns), columns, (3.2 * columns, 2.0 * len(names) / columns + 1)
    )
    for axis in np.ravel(axes)[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(np.ravel(axes), names, strict=False):
        p = probabilities[name]
        low, high = stats.binom.interval(0.99, len(p), 1 / bins)
        axis.axhspan(low, high, color="#e6eaf0", zorder=0, linewidth=0)
        axis.hist(p, bins=bins, range=(0, 1), color=_BLUE)
        axis.set_title(_short(name, 40), fontsize=9, loc="left")
    shown = f"{len(names)} of {len(probabilities)} quantities · " if len(names) < len(probabilities) else ""
    return _finish(figure, axes, None, f"{shown}P(draw < truth); grey: 99 % of uniform bars")


def _chosen(posterior: Posterior, names: Names, limit: int) -> Elements:
    shown: Elements = posterior.elements(names, limit)
    if not len(shown) or not shown.values[..., 0].size:
        raise PplError(
            "there is nothing to plot", expected="at least one real-valued draw", found=repr(posterior)
        )
    return shown


def _telling(posterior: Posterior, diverged: np.ndarray, shown: Elements, limit: int) -> Elements:
    run = Run(posterior)
    first = [e for e, _, _ in locate(run, diverged)][: max(2, limit // 2)]
    named = {run.elements.labels[e] for e in first}
    rest = [i for i, name in enumerate(run.elements.labels) if name in shown.labels and name not in named]
    return run.elements.take(first + rest[: limit - len(first)])


def _diverging(posterior: Posterior) -> np.ndarray:
    flags = posterior.sample_stats.get("diverging")
    shape = (posterior.num_chains, posterior.num_draws)
    return np.zeros(shape, dtype=bool) if flags is None else flags.astype(bool)


def _grid(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Figure, Any]:
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)


def _density(axis: Axes, values: np.ndarray, colours: Sequence[str], log: bool = False) -> None:
    """One curve a chain; on a logarithmic axis the density of the logarithm."""
    from matplotlib.ticker import MaxNLocator

    shown = np.log(values) if log else values
    span, discrete = window(shown), is_discrete(shown) and not log
    for draws, colour in zip(shown, colours, strict=True):
        x, y = curve(draws, span, discrete)
        axis.plot(np.exp(x) if log else x, y, color=colour, linewidth=1.2, drawstyle=_style(discrete))
    if discrete:
        axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axis.set_yticks([])
    axis.set_ylim(bottom=0)
    axis.set_xlim(*_limits(values, log))


def _style(discrete: bool) -> str:
    return "steps-mid" if discrete else "default"


def _limits(values: np.ndarray, log: bool) -> tuple[float, float]:
    """The ends of an axis that shows these values."""
    low, high = window(np.log(values) if log else values)
    edge = 0.6 if is_discrete(values) and not log else 0.03 * (high - low)
    return (math.exp(low - edge), math.exp(high + edge)) if log else (low - edge, high + edge)


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most // 2] + "…" + name[-(most - most // 2 - 1) :]


def _finish(figure: Figure, axes: Any, shown: Elements | None, note: str) -> Figure:
    for axis in np.ravel(axes):
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.tick_params(labelsize=8)
    parts = [note] if note else []
    if shown is not None and shown.total > len(shown):
        parts.insert(0, f"{len(shown)} of {shown.total} elements (choose sites by name, or limit=)")
    if parts:
        figure.suptitle(" · ".join(parts), fontsize=8, color=_GREY, x=0.99, ha="right")
    return figure
