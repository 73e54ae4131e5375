"""Named arrays, and the flat view of them (one column per element) that checks, tables and plots share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.errors import PplError, closest, listed
from ppl.results.mapped import release

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior

_BLOCK = 1 << 22
"""About how many numbers of a site are looked at at once."""


class UnknownNameError(PplError, KeyError):
    """A name that these results don't hold. Also a `KeyError`, so `in` and `try … except KeyError` behave."""

    kind = "name error"

    __str__ = PplError.__str__


class NamedArrays(dict[str, np.ndarray]):
    """A dict of numpy arrays whose missing names are errors that help.

    Arguments: anything `dict` takes; values become numpy arrays.
    Errors: `UnknownNameError` (also a `KeyError`) for a name that isn't there.

    >>> NamedArrays(mu=[[0.0, 1.0]])["mu"].shape
    (1, 2)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__({str(name): np.asarray(value) for name, value in dict(*args, **kwargs).items()})

    def __missing__(self, name: str) -> np.ndarray:
        raise unknown_name(name, self)

    def __repr__(self) -> str:
        rows = [f"{name}: {value.dtype}{list(value.shape)}" for name, value in self.items()]
        return "{" + ", ".join(rows) + "}"


def unknown_name(name: str, known: Any, what: str = "site") -> UnknownNameError:
    """The error for a name outside `known`, with the closest valid ones."""
    names = [str(k) for k in known]
    near = closest(name, names)
    return UnknownNameError(
        f"`{name}` is not a {what} of this posterior",
        expected=f"one of: {listed(names, name)}" if names else f"no {what} is stored",
        found=str(name),
        edit=f"use `{near[0]}`" if near else None,
    )


def coordinate(values: Any) -> np.ndarray:
    """Coordinate labels as a 1-d array that a file can hold: mixed or arbitrary objects become their text.

    >>> coordinate(["a", 1]).tolist()
    ['a', '1']
    """
    items = values if isinstance(values, np.ndarray) else list(values)
    try:
        array = np.asarray(items)
    except ValueError:  # ragged: tuples of several lengths
        array = np.empty(0, dtype=object)
    mixed = array.dtype.kind == "U" and any(not isinstance(v, str) for v in items)
    if array.ndim != 1 or array.dtype.kind in "OSV" or mixed:
        array = np.asarray([v if isinstance(v, str) else str(v) for v in items], dtype=str)
    return array


@dataclass(frozen=True)
class Elements:
    """Draws flattened to one column per scalar element: `values[chain, draw, e]` belongs to `labels[e]` of
    site `sites[e]`.

    `total` counts the elements there were before thinning to a limit.
    """

    values: np.ndarray
    sites: tuple[str, ...]
    labels: tuple[str, ...]
    total: int

    def __len__(self) -> int:
        return len(self.labels)

    def columns(self, site: str) -> list[int]:
        return [i for i, s in enumerate(self.sites) if s == site]

    def take(self, index: Sequence[int]) -> Elements:
        chosen = list(index)
        return Elements(
            self.values[..., chosen],
            tuple(self.sites[i] for i in chosen),
            tuple(self.labels[i] for i in chosen),
            self.total,
        )


def label(name: str, index: tuple[int, ...], dims: Sequence[str], coords: Mapping[str, np.ndarray]) -> str:
    """The printed name of one element, by its coordinates: `theta[Choate]`, `L[1, 0]`."""
    if not index:
        return name
    parts = []
    for axis, i in enumerate(index):
        labels = coords.get(dims[axis]) if axis < len(dims) else None
        parts.append(str(labels[i]) if labels is not None and i < len(labels) else str(i))
    return f"{name}[{', '.join(parts)}]"


def elements(posterior: Posterior, names: Sequence[str] | None = None, limit: int | None = None) -> Elements:
    """Flatten the real-valued draws of a posterior.

    Arguments: `names`, the sites wanted (all when None); `limit`, the largest number of elements kept: large
    sites are thinned evenly, small ones stay whole.
    Returns: `Elements`. Complex sites give two elements each (`.real`, `.imag`).
    Errors: `UnknownNameError` for a name that isn't a site.
    """
    wanted = list(posterior.draws) if names is None else [names] if isinstance(names, str) else list(names)
    blocks: list[tuple[str, np.ndarray]] = []
    for name in wanted:
        array = posterior.draws[name]
        if array.dtype.kind == "c":
            blocks += [(f"{name}.real", array.real), (f"{name}.imag", array.imag)]
        elif array.dtype.kind in "fiub":
            blocks.append((name, array))
    sizes = [int(np.prod(array.shape[2:], dtype=np.int64)) for _, array in blocks]
    total = sum(sizes)
    counts = sizes if limit is None or total <= limit else fair_shares(sizes, limit)
    values, sites, labels = [], [], []
    for (name, array), size, count in zip(blocks, sizes, counts, strict=True):
        mine = np.linspace(0, max(size - 1, 0), count).round().astype(int)
        values.append(_columns(array, mine))
        site = name if name in posterior.draws else name.rpartition(".")[0]
        dims = posterior.dims.get(site, ())
        for i in mine:
            index = tuple(int(k) for k in np.unravel_index(int(i), array.shape[2:]))
            sites.append(site)
            labels.append(label(name, index, dims, posterior.coords))
    shape = (posterior.num_chains, posterior.num_draws, 0)
    stacked = np.concatenate(values, axis=-1) if values else np.empty(shape)
    return Elements(stacked, tuple(sites), tuple(labels), total)


def _columns(array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Elements of a site, numbered in its flat form, as [chain, draw, element] floats. Draws in a file are
    read some at a time.
    """
    chains, draws = array.shape[:2]
    result = np.empty((chains, draws, len(chosen)))
    size = math.prod(array.shape[2:])
    step = max(1, _BLOCK // max(1, chains * size))
    for start in range(0, draws, step):
        rows = array[:, start : start + step]
        result[:, start : start + step] = rows.reshape(*rows.shape[:2], size)[..., chosen]
        release(array)
    return result


def fair_shares(sizes: Sequence[int], limit: int) -> list[int]:
    """How many of each site's elements to keep so that `limit` remain: small sites whole, the rest shared.

    >>> fair_shares([1, 300, 1, 20], 12)
    [1, 5, 1, 5]
    """
    if len(sizes) > limit:
        chosen = set(np.linspace(0, len(sizes) - 1, limit).round().astype(int).tolist())
        return [min(size, 1) if i in chosen else 0 for i, size in enumerate(sizes)]
    counts, left = [0] * len(sizes), limit
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for done, i in enumerate(order):
        counts[i] = min(sizes[i], left // (len(sizes) - done))
        left -= counts[i]
    return counts
