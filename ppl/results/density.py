"""Density curves for plots: a binned Gaussian kernel estimate with reflection at the ends, relative
frequencies for whole numbers.
"""

from __future__ import annotations

import numpy as np

_BINS = 400


def is_discrete(values: np.ndarray) -> bool:
    """Whether values are few whole numbers, better drawn as frequencies."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and np.all(finite == np.round(finite)) and np.ptp(finite) <= 60)


def window(values: np.ndarray, mass: float = 0.99) -> tuple[float, float]:
    """An interval that shows a distribution: its central `mass`, at most six interquartile ranges beyond the
    quartiles, widened a little, not beyond the data.

    >>> low, high = window(np.arange(1001.0))
    >>> low <= 5 and high >= 995
    True
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, quarter, three, high = np.quantile(finite, [(1 - mass) / 2, 0.25, 0.75, (1 + mass) / 2])
    if three > quarter:  # heavy tails would leave a spike in an empty frame
        low, high = max(low, quarter - 6 * (three - quarter)), min(high, three + 6 * (three - quarter))
    pad = 0.15 * (high - low)
    low, high = max(float(low - pad), float(finite.min())), min(float(high + pad), float(finite.max()))
    if high > low:
        return low, high
    return low - max(0.5, abs(low) * 0.01), high + max(0.5, abs(high) * 0.01)


def curve(
    values: np.ndarray, span: tuple[float, float] | None = None, discrete: bool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Density of a sample over `span` (`window(values)` when None).

    The kernel is Gaussian of width 0.9 min(sd, IQR/1.34) n^(−1/5) (Silverman 1986, eq. 3.31); at an abrupt
    end of the data the mass beyond it is reflected, so that densities with an edge keep it.
    Returns: points x and density y; for discrete values the whole numbers and their relative frequencies.

    >>> x, y = curve(np.random.default_rng(0).normal(size=5000))
    >>> bool(abs(y.max() - 0.399) < 0.03)
    True
    """
    finite = np.ravel(values)[np.isfinite(np.ravel(values))]
    low, high = span if span is not None else window(finite)
    if discrete if discrete is not None else is_discrete(finite):
        points = np.arange(np.floor(low) - 1, np.ceil(high) + 2)  # a zero at both ends, for steps
        counts = np.array([(finite == p).sum() for p in points], dtype=float)
        return points, counts / max(finite.size, 1)
    x = np.linspace(low, high, _BINS)
    if finite.size < 2 or np.ptp(finite) == 0:
        return x, np.zeros_like(x)
    quartiles = np.quantile(finite, [0.25, 0.75])
    scale = min(float(finite.std()), float(quartiles[1] - quartiles[0]) / 1.34) or float(finite.std())
    width = 0.9 * scale * finite.size**-0.2
    step = max((high - low) / _BINS, 1e-300)
    left, right = float(finite.min()), float(finite.max())
    edges_hard = (_is_edge(finite - left, width), _is_edge(right - finite, width))
    left, right = max(left, low - 4 * width), min(right, high + 4 * width)
    cells = int(np.clip(np.ceil((right - left) / min(step, width / 4)), 8, 20_000))
    counts, edges = np.histogram(finite, bins=cells, range=(left, right))
    cell = float(edges[1] - edges[0])
    reach = min(int(np.ceil(4 * width / cell)), cells)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) * cell / width))
    kernel /= kernel.sum()
    padded = np.pad(counts.astype(float), 2 * reach)
    for side, hard in ((1, edges_hard[0]), (-1, edges_hard[1])):
        if hard:  # fold back what would leak over the edge
            view = padded[::side]
            view[reach : 2 * reach] = view[2 * reach : 3 * reach][::-1]
    smooth = np.convolve(padded, kernel, mode="valid") / (finite.size * cell)
    centres = left + cell * (np.arange(len(smooth)) - reach + 0.5)
    keep = (
        (centres > left if edges_hard[0] else True)
        & (centres < right if edges_hard[1] else True)
        & (centres == centres)
    )
    centres, smooth = centres[keep], smooth[keep]
    y = np.interp(x, centres, smooth, left=0.0, right=0.0)
    if edges_hard[0]:
        y[(x >= left) & (x <= centres[0])] = smooth[0]
    if edges_hard[1]:
        y[(x <= right) & (x >= centres[-1])] = smooth[-1]
    return x, y


def _is_edge(distance: np.ndarray, width: float) -> bool:
    """Whether a density stops abruptly at distance 0: as much mass in the first bandwidth as a fifth of the
    densest one.
    """
    counts = np.bincount(np.minimum(distance / width, 1000).astype(int))
    return bool(distance.size >= 100 and counts[0] > 0.2 * counts.max())
