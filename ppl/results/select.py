"""Selecting by coordinate: the posterior of some chains, draws or plate elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.errors import PplError, closest, listed
from ppl.results.arrays import NamedArrays, unknown_name
from ppl.results.export import RESERVED

if TYPE_CHECKING:
    from ppl.results.posterior import Posterior


def select(posterior: Posterior, indexers: Mapping[str, Any]) -> Posterior:
    """`Posterior.sel`: every array that has a dim named in `indexers`, restricted to the labels given.

    Sample statistics follow chain and draw, the log likelihood all dims. The predictor goes when elements of
    a plate are left out, since the program needs them all.
    """
    known = {*RESERVED, *posterior.coords, *(dim for axes in posterior.dims.values() for dim in axes)}
    known |= {f"{name}_dim_{i}" for name, a in posterior.draws.items() for i in range(a.ndim - 2)}
    for dim in indexers:
        if dim not in known:
            raise unknown_name(dim, sorted(known), "dim")
    dims: dict[str, tuple[str, ...]] = {}
    coords = dict(posterior.coords)

    def cut(arrays: NamedArrays, drawn: bool) -> NamedArrays:
        result = NamedArrays()
        for name, array in arrays.items():
            front = RESERVED if drawn else ()
            rest = array.ndim - len(front)
            named = posterior.dims.get(name, ())
            own = named if len(named) == rest else tuple(f"{name}_dim_{i}" for i in range(rest))
            kept: list[str] = []
            for axis, dim in reversed(
                list(enumerate((*front, *own)))
            ):  # from the last axis: dropping one moves no other
                if dim in indexers:
                    labels = _labels(posterior, dim, array.shape[axis])
                    where = _positions(dim, labels, indexers[dim])
                    array = np.take(array, where, axis=axis)
                    if not np.ndim(where):
                        continue
                    if dim in posterior.coords:
                        coords[dim] = labels[where]
                kept.insert(0, dim)
            if name in posterior.dims:
                dims[name] = tuple(kept[len(front) :])
            result[name] = array
        return result

    draws = cut(posterior.draws, True)
    observed, constant = cut(posterior.observed_data, False), cut(posterior.constant_data, False)
    return posterior.replace(
        draws=draws,
        sample_stats=cut(posterior.sample_stats, True),
        observed_data=observed,
        constant_data=constant,
        log_likelihood=(lambda: cut(posterior.log_likelihood, True))
        if posterior.has_log_likelihood
        else None,
        dims={**posterior.dims, **dims},
        coords=coords,
        groups={},
        log_weights=None,
        predictor=posterior.predictor if set(indexers) <= set(RESERVED) else None,
    )


def _labels(posterior: Posterior, dim: str, size: int) -> np.ndarray:
    known = posterior.coords.get(dim)
    return known if known is not None and len(known) == size else np.arange(size)


def _positions(dim: str, labels: np.ndarray, wanted: Any) -> Any:
    """Where labels are along their axis: a number for a scalar, an array otherwise (always for chain and
    draw).
    """
    import xarray as xr

    index = xr.DataArray(np.arange(len(labels)), dims=[dim], coords={dim: labels})
    try:
        where = index.sel({dim: wanted}).values
    except KeyError:
        name = wanted if isinstance(wanted, str) else ""
        raise PplError(
            f"no such label along `{dim}`",
            expected=f"from: {listed(labels, name)}",
            found=repr(wanted),
            edit=f"posterior.sel({dim}={(closest(name, labels) or labels[:1].tolist())[0]!r})",
        ) from None
    return np.atleast_1d(where) if dim in RESERVED else where
