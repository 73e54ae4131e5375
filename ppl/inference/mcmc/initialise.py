"""Finding a point to start from: a ladder of proposals, the first good one is taken.

The caller's rungs come first (prior median, prior draws, …). Then this module's own: uniform(−r, r) with r
shrinking from 2 (Stan's rule at r = 2), and at last a short gradient ascent from the least bad point seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ppl.errors import PplError
from ppl.inference.mcmc.lanes import Coroutine, Target, drive
from ppl.inference.random import stream

Array = NDArray[np.float64]
Rung = tuple[str, Callable[[int, int], Array | None]]
Row = Sequence[object]

ATTEMPTS = 10
"""Proposals taken from each of the caller's rungs."""
UNIFORM_ATTEMPTS = 40
OPTIMISATION_STEPS = 200

LARGEST_LOGP = 1e13
"""Beyond it a float64 log density can't resolve differences of 0.001, and acceptance can't be computed."""
LARGEST_GRADIENT = 1e15
"""Beyond it about 50 halvings of the step size would be needed before anything moves."""


class InitialisationError(PplError):
    """No point with finite log density and gradient was found; the text tabulates the sites."""

    kind = "initialisation error"


def is_good(logp: float, grad: Array) -> bool:
    """Whether a sampler can start here: everything finite, nothing astronomically large.

    >>> is_good(-1.0, np.array([2.0])), is_good(-1.0, np.array([np.nan])), is_good(-np.inf, np.array([0.0]))
    (True, False, False)
    """
    return bool(abs(logp) < LARGEST_LOGP and (np.abs(grad) < LARGEST_GRADIENT).all())


def find_initial_points(
    target: Target,
    rungs: Sequence[Rung],
    chains: int | Sequence[int],
    seed: int,
    explain: Callable[[Array], Iterable[Row]] | None = None,
) -> tuple[Array, list[str]]:
    """A starting point for every chain, and the name of the rung that gave it.

    Args:
        target: the log density on ℝᴰ.
        rungs: `(name, propose)` in the order to try; `propose(chain, attempt)` gives a point [D], or None
            when it has no more. Each is asked up to 10 times; a point proposed twice in a row ends the rung.
        chains: the chains' numbers, or how many.
        seed: of the run; chain c's point depends on the seed and c alone.
        explain: gives the rows (site, value, log density, cause) of the table in the error, for a point [D].

    Returns:
        points [C, D] and C names: the caller's, "uniform(-r, r)" or "optimisation".

    Raises:
        InitialisationError: no rung gave a good point for some chain.

    >>> class Normal:
    ...     dim = 2
    ...     def value_and_grad(self, q):
    ...         return -0.5 * (q * q).sum(1), -q
    >>> rungs = [("zero", lambda chain, attempt: np.zeros(2))]
    >>> points, names = find_initial_points(Normal(), rungs, 2, seed=1)
    >>> points.tolist(), names
    ([[0.0, 0.0], [0.0, 0.0]], ['zero', 'zero'])
    """
    ids = list(range(chains)) if isinstance(chains, int) else [int(chain) for chain in chains]
    dim = target.dim
    found = drive(target, {chain: _climb(dim, rungs, chain, seed) for chain in ids})
    for chain in ids:
        _, name, tried = found[chain]
        if name is None:
            raise _failure(chain, found[chain][0], tried, explain)
    return np.array([found[chain][0] for chain in ids]).reshape(len(ids), dim), [
        str(found[c][1]) for c in ids
    ]


def _climb(
    dim: int, rungs: Sequence[Rung], chain: int, seed: int
) -> Coroutine[tuple[Array, str | None, list[str]]]:
    """The first good point and its rung; without one the least bad point, None and the rungs tried."""
    best: tuple[tuple[bool, float, float], Array] | None = None
    tried: list[str] = []
    for name, point in _proposals(dim, rungs, chain, seed):
        logp, grad = yield point
        if is_good(logp, grad):
            return point, name, tried
        label = "uniform" if name.startswith("uniform(") else name
        if label not in tried:
            tried.append(label)
        rank = _badness(logp, grad)
        if best is None or rank < best[0]:
            best = (rank, point)
    assert best is not None
    point, good = yield from _ascend(best[1])
    tried.append("optimisation")
    return (point, "optimisation", tried) if good else (best[1], None, tried)


def _proposals(dim: int, rungs: Sequence[Rung], chain: int, seed: int) -> Iterator[tuple[str, Array]]:
    for name, propose in rungs:
        last: Array | None = None
        for attempt in range(ATTEMPTS):
            proposed = propose(chain, attempt)
            if proposed is None:
                break
            point = np.array(proposed, np.float64).reshape(-1)
            if last is not None and np.array_equal(point, last, equal_nan=True):
                break
            last = point
            yield name, point
    for attempt in range(UNIFORM_ATTEMPTS):
        radius = 2.0 * 0.5 ** (attempt // 4)
        rng = stream(seed, chain, "initial uniform", attempt)
        yield f"uniform({-radius:g}, {radius:g})", rng.uniform(-radius, radius, dim)


def _badness(logp: float, grad: Array) -> tuple[bool, float, float]:
    """Smaller is better: a finite density first, then fewer bad gradients, then a larger density."""
    finite = bool(np.isfinite(logp))
    bad = float((~(np.abs(grad) < LARGEST_GRADIENT)).sum())
    return not finite, bad, -logp if finite else 0.0


def _ascend(point: Array, rate: float = 0.1) -> Coroutine[tuple[Array, bool]]:
    """Adam (Kingma & Ba 2015) uphill until a good point is met; (point, whether it is good).

    Gradients are first divided by their largest element, so that huge ones don't overflow the second moments;
    elements that are not finite count as 0. A step that loses a finite density is undone and the rate halved.
    """
    q, finite = point, False
    first, second = np.zeros_like(q), np.zeros_like(q)
    candidate = q
    for step in range(1, OPTIMISATION_STEPS + 1):
        logp, grad = yield candidate
        if is_good(logp, grad):
            return candidate, True
        if not np.isfinite(logp) and finite:
            rate *= 0.5
        else:
            q, finite = candidate, bool(np.isfinite(logp))
            grad = np.where(np.isfinite(grad), grad, 0.0)
            largest = float(np.abs(grad).max(initial=0.0))
            grad = grad / largest if largest > 0.0 else grad
            first, second = 0.9 * first + 0.1 * grad, 0.999 * second + 0.001 * grad * grad
        move = (first / (1.0 - 0.9**step)) / (np.sqrt(second / (1.0 - 0.999**step)) + 1e-8)
        candidate = q + rate * move
    return q, False


def _failure(
    chain: int, point: Array, tried: list[str], explain: Callable[[Array], Iterable[Row]] | None
) -> InitialisationError:
    rows = [] if explain is None else [[str(cell) for cell in row] for row in explain(point)]
    return InitialisationError(
        f"no starting point was found for chain {chain}",
        expected="a finite log density with finite gradients at some point",
        found="none; tried " + ", ".join(tried),
        edit="look for sites below with no finite log density: data outside a support, a scale of 0",
        details=_table(["site", "value", "log density", "cause"], rows) if rows else None,
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Aligned columns, as text.

    >>> print(_table(["site", "value"], [["mu", "0.5"]]))
      site  value
      mu    0.5
    """
    columns = list(zip(head, *rows, strict=True))
    widths = [max(len(cell) for cell in column) for column in columns]
    lines = []
    for row in [head, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return "\n".join(lines)
