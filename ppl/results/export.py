"""Posterior → ArviZ: one xarray Dataset per group, handed over as InferenceData (arviz 0.x) or as a DataTree
(arviz ≥ 1).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.errors import PplError
from ppl.results.arrays import NamedArrays

if TYPE_CHECKING:
    import xarray as xr

    from ppl.results.posterior import Posterior

DRAWN_GROUPS = (
    "posterior",
    "posterior_predictive",
    "predictions",
    "log_likelihood",
    "sample_stats",
    "prior",
    "prior_predictive",
    "warmup_posterior",
    "warmup_sample_stats",
)
FIXED_GROUPS = ("observed_data", "constant_data")
RESERVED = ("chain", "draw")


def arviz_generation() -> int | None:
    """The major version of ArviZ on this machine, found without importing it (None: there is none).

    The packages `arviz_base` and `arviz_stats` without `arviz` itself count as 1: they carry the DataTree
    interface.
    """
    for package, newest in (("arviz", None), ("arviz_base", 1)):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        return newest if newest is not None else min(1, int(version.split(".")[0]))
    return None


def import_arviz() -> Any:
    """The module that has ArviZ's `summary`, `rhat`, `ess` and `loo`. Errors: `PplError` where none is
    installed.
    """
    for package in ("arviz", "arviz_stats"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # notices about ArviZ's own refactoring, of no use to our user
                return importlib.import_module(package)
        except ImportError:
            continue
    raise PplError("this needs ArviZ, which isn't installed", edit="pip install arviz")


@contextmanager
def quiet_arviz() -> Iterator[None]:
    """No warnings for what the caller knows already: one chain has no R-hat, a constant has no ESS."""
    loggers = [logging.getLogger(name) for name in ("arviz", "arviz_stats", "arviz_base")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def variable_names(names: Sequence[str]) -> dict[str, str]:
    """Site name → name in ArviZ. `/` (nested programs) isn't allowed in DataTree and netCDF and becomes `.`;
    `chain` and `draw` are taken.

    >>> variable_names(["mu", "sub/x", "chain"])
    {'mu': 'mu', 'sub/x': 'sub.x', 'chain': 'chain_'}
    """
    plain = {name for name in names if "/" not in name and name not in RESERVED}
    used, result = set(plain), {}
    for name in names:
        new = name
        if name not in plain:
            new = name.replace("/", ".") + ("_" if name in RESERVED else "")
            while new in used:
                new += "_"
            used.add(new)
        result[name] = new
    return result


def dim_names(
    name: str, shape: Sequence[int], dims: Sequence[str], taken: Mapping[str, int], variables: set[str]
) -> list[str]:
    """Names for the axes of one variable, legal in xarray.

    Unnamed axes get `{name}_dim_0`, …; a plate called like a site gets `_dim` appended, a second axis of the
    same plate `_2`; an axis whose size contradicts the plate's size elsewhere (`taken`) counts as unnamed.
    """
    result: list[str] = []
    for axis, size in enumerate(shape):
        dim = dims[axis] if len(dims) == len(shape) and dims[axis] else f"{name}_dim_{axis}"
        dim = dim.replace("/", ".")
        if dim in variables or dim in RESERVED:
            dim += "_dim"
        if taken.get(dim, size) != size:
            dim = f"{name}_dim_{axis}"
        base, k = dim, 2
        while dim in result:
            dim, k = f"{base}_{k}", k + 1
        result.append(dim)
    return result


def dataset(
    arrays: Mapping[str, np.ndarray],
    dims: Mapping[str, Sequence[str]],
    coords: Mapping[str, np.ndarray],
    drawn: bool,
    variables: Sequence[str] | None = None,
) -> xr.Dataset:
    """One group as an xarray Dataset.

    Arguments: `arrays`, name → array, of shape (chain, draw, *shape) when `drawn`; `variables`, every site
    name of the posterior, so that dims are renamed alike in all groups.
    """
    import xarray as xr

    renamed = variable_names(list(arrays))
    clash = {v.replace("/", ".") for v in (variables if variables is not None else arrays)}
    front = list(RESERVED) if drawn else []
    sizes: dict[str, int] = {}
    data: dict[str, Any] = {}
    labels: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        shape = array.shape[len(front) :]
        given = list(dims.get(name, ()))
        axes = dim_names(renamed[name], shape, given, sizes, clash)
        for axis, (dim, size) in enumerate(zip(axes, shape, strict=True)):
            sizes[dim] = size
            plate = given[axis] if len(given) == len(shape) else dim
            known = coords.get(plate)
            labels[dim] = known if known is not None and len(known) == size else np.arange(size)
        attrs = {"site": name} if renamed[name] != name else {}
        data[renamed[name]] = (front + axes, array, attrs)
    if drawn and arrays:
        first = next(iter(arrays.values()))
        labels |= {"chain": np.arange(first.shape[0]), "draw": np.arange(first.shape[1])}
    return xr.Dataset(data, coords={dim: (dim, values) for dim, values in labels.items()})


def observed(ds: xr.Dataset) -> xr.Dataset:
    """A group of pointwise log likelihoods without the elements that are nan in every draw: those were not observed. What
    is left of such a site lies along an axis of its own.
    """
    for name in map(str, ds.data_vars):
        array = ds[name]
        axes = [str(d) for d in array.dims if d not in RESERVED]
        there = array.notnull().any(RESERVED)
        if not axes or bool(there.all()):
            continue
        axis = f"{name}_observed"
        flat, kept = array.stack({axis: axes}), np.flatnonzero(there.stack({axis: axes}))
        places = flat[axis].values
        labels = [", ".join(map(str, p)) for p in places] if len(axes) > 1 else [p[0] for p in places]
        flat = flat.drop_vars([axis, *axes]).assign_coords({axis: labels}).isel({axis: kept})
        ds = ds.drop_vars(name).assign({name: flat})
    used = {d for array in ds.data_vars.values() for d in array.dims}
    return ds.drop_dims([d for d in ds.dims if d not in used])


def group_arrays(posterior: Posterior, log_likelihood: bool = True) -> dict[str, NamedArrays]:
    """ArviZ's group name → arrays, empty groups left out."""
    groups: dict[str, NamedArrays] = {
        "posterior": posterior.draws,
        "sample_stats": posterior.sample_stats,
        "observed_data": posterior.observed_data,
        "constant_data": posterior.constant_data,
        **posterior.groups,
    }
    if log_likelihood and posterior.has_log_likelihood:
        groups["log_likelihood"] = posterior.log_likelihood
    return {name: arrays for name, arrays in groups.items() if arrays}


def datasets(posterior: Posterior, log_likelihood: bool = True) -> dict[str, xr.Dataset]:
    """ArviZ's group name → Dataset, with ArviZ's group attributes."""
    variables = [*posterior.draws, *posterior.observed_data]
    attrs = {"inference_library": "ppl"}
    for ours, theirs in (
        ("version", "inference_library_version"),
        ("sampling_time", "sampling_time"),
        ("warmup", "tuning_steps"),
    ):
        if isinstance(value := posterior.attrs.get(ours), int | float | str):
            attrs[theirs] = value  # type: ignore[assignment]
    result = {}
    for group, arrays in group_arrays(posterior, log_likelihood).items():
        own = arrays if group.endswith("sample_stats") else variables
        ds = dataset(arrays, posterior.dims, posterior.coords, group not in FIXED_GROUPS, list(own))
        result[group] = (observed(ds) if group == "log_likelihood" else ds).assign_attrs(attrs)
    return result


def to_arviz(posterior: Posterior, kind: str | None = None, log_likelihood: bool = True) -> Any:
    """Hand a posterior to ArviZ.

    Arguments: `kind`, "inferencedata" (arviz 0.x), "datatree" (arviz ≥ 1, xarray) or None for what is
    installed.
    Returns: `arviz.InferenceData` or `xarray.DataTree`, groups and variables named as ArviZ's schema says.
    Errors: `PplError` for another kind, or for InferenceData without arviz 0.x.
    """
    if kind is None:
        kind = "inferencedata" if arviz_generation() == 0 else "datatree"
    if kind not in ("inferencedata", "datatree"):
        raise PplError(
            "there are two kinds of ArviZ data",
            expected='kind="inferencedata", "datatree" or None',
            found=f"kind={kind!r}",
            edit="posterior.to_arviz()",
        )
    groups = datasets(posterior, log_likelihood)
    if kind == "datatree":
        import xarray as xr

        return xr.DataTree.from_dict({"/" + name: ds for name, ds in groups.items()})
    arviz = import_arviz()
    if not hasattr(arviz, "InferenceData"):
        raise PplError(
            "this ArviZ has no InferenceData",
            expected="arviz 0.x",
            found=f"arviz {getattr(arviz, '__version__', '≥ 1')}",
            edit='posterior.to_arviz(kind="datatree")',
        )
    return arviz.InferenceData(**groups)
