"""Posteriors in files: netCDF, or zarr. Readable by ArviZ; read back by us to the bit; nothing in a file is
ever run. (Folders that draws went to while sampling are in `folder.py`.)
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppl.errors import PplError
from ppl.results.arrays import NamedArrays
from ppl.results.encode import decode_array, encode_array, from_json, plain_dtype, to_json
from ppl.results.export import FIXED_GROUPS, dataset, group_arrays
from ppl.results.posterior import Posterior, Predictor

if TYPE_CHECKING:
    import xarray as xr

_VERSION = 1
_OURS = "ppl"  # the group that only we write: metadata, coordinates and what ArviZ has no place for


class FileError(PplError):
    """A file of results that can't be written, or isn't one."""

    kind = "file error"


def save(posterior: Posterior, path: str | os.PathLike[str], log_likelihood: bool = True) -> None:
    """`Posterior.save`: write to a file beside `path` first, then move it there, so that no half-written file
    is left.
    """
    target = Path(path)
    store = _Store.of(target)
    if not target.parent.is_dir():
        raise FileError(
            f"there is no folder {target.parent}",
            expected="an existing folder to write into",
            found=str(target),
            edit=f"Path({str(target.parent)!r}).mkdir(parents=True)",
        )
    if target.is_dir() and target.suffix != ".zarr":
        raise FileError(
            f"{target} is a folder, and what is in it is not overwritten",
            expected="a file, or a path that ends in .zarr",
            found="a folder",
            edit=f"posterior.save({str(target.with_name(target.name + '.nc'))!r})",
        )
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        for group, data in _groups(posterior, log_likelihood):
            store.write(data, draft, group)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(draft, target)
    except OSError as error:
        raise FileError(f"can't write {target}", found=str(error), edit="save to another path") from error
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        draft.unlink(missing_ok=True)


def load_posterior(path: str | os.PathLike[str], predictor: Predictor | None = None) -> Posterior:
    """Read a posterior that `save` wrote, or the folder of `ppl.infer(…, draws_to=folder)`.

    Arguments: `predictor`, what `predict()` shall use; a file holds none.
    Returns: a posterior equal to the saved one: arrays to the bit with their dtypes, dims, coordinates,
    attrs.
    Errors: `FileError` for a file that isn't there, isn't whole, isn't ours or is from a later version.
    Nothing in it is run.
    """
    source = Path(path)
    if not source.exists():
        raise FileError(
            f"there is no file {source}", found=f"nothing at {source}", edit="posterior.save(path) first"
        )
    if source.is_dir() and source.suffix != ".zarr":
        from ppl.results.folder import load_folder

        return load_folder(source, predictor)
    store = _Store.of(source)
    store.refuse_code(source)
    try:
        own = store.read(source, _OURS)
        meta = from_json(str(own["metadata"].values.item()))
        version = int(meta["version"])
    except PplError:
        raise
    except Exception as error:
        raise _not_ours(source, error) from error
    if version > _VERSION:
        raise FileError(
            f"{source} was written by a later version of ppl",
            expected=f"format {_VERSION}",
            found=f"format {version}",
            edit="pip install --upgrade ppl",
        )
    try:
        groups = {group: _decode(store.read(source, group), table) for group, table in meta["groups"].items()}
        extra = _decode(own, meta["extra"])
        return put_together(groups, extra, meta, predictor)
    except PplError:
        raise
    except Exception as error:
        raise _not_ours(source, error) from error


def _groups(posterior: Posterior, log_likelihood: bool) -> Iterator[tuple[str, xr.Dataset]]:
    import xarray as xr

    extra = loose_arrays(posterior)
    variables = [*posterior.draws, *posterior.observed_data]
    tables: dict[str, Any] = {}
    written = []
    for group, arrays in group_arrays(posterior, log_likelihood).items():
        own = list(arrays) if group.endswith("sample_stats") else variables
        names = dataset(arrays, posterior.dims, posterior.coords, group not in FIXED_GROUPS, own)
        written.append((group, _encode(names)))
        tables[group] = _table(arrays, [str(name) for name in names.data_vars])
    plain = NamedArrays({f"v{i}": value for i, value in enumerate(extra.values())})
    meta = {
        "version": _VERSION,
        "groups": tables,
        "extra": _table(extra, list(plain)),
        **facts_of(posterior),
    }
    own_data = _encode(dataset(plain, {}, {}, drawn=False))
    yield _OURS, own_data.assign(metadata=xr.Variable((), np.array(to_json(meta), dtype=object)))
    yield from written


def loose_arrays(posterior: Posterior) -> NamedArrays:
    """The arrays of a posterior that belong to no group."""
    arrays = NamedArrays({f"coord:{dim}": values for dim, values in posterior.coords.items()})
    arrays.update({f"param:{name}": value for name, value in (posterior.params or {}).items()})
    traces = ("log_weights", "losses", "gradient_norms")
    arrays.update({key: a for key in traces if (a := getattr(posterior, key)) is not None})
    return arrays


def facts_of(posterior: Posterior) -> dict[str, Any]:
    """What there is to a posterior beside its arrays."""
    return {
        "dims": posterior.dims,
        "hierarchy": posterior.hierarchy,
        "attrs": posterior.attrs,
        "empty": [group for group, arrays in posterior.groups.items() if not arrays],
        "has_params": posterior.params is not None,
        "log_evidence": posterior.log_evidence,
        "khat": posterior.khat,
    }


def _table(arrays: NamedArrays, stored: list[str]) -> list[tuple[str, str, str]]:
    """(our name, name in the file, dtype) of each array of a group."""
    return [(name, file, a.dtype.str) for (name, a), file in zip(arrays.items(), stored, strict=True)]


def _encode(data: xr.Dataset) -> xr.Dataset:
    """The dataset with every variable in a form that files hold, and without fill values."""
    import xarray as xr

    variables: dict[Any, Any] = {}
    coords: dict[Any, Any] = {}
    for name, variable in data.variables.items():
        stored, complex_parts = encode_array(variable.values)
        dims = (*variable.dims, "complex_part") if complex_parts else variable.dims
        # xarray turns days into seconds: what is stored is counted in its unit, not in ours.
        unit = {"time_unit": variable.dtype.str} if variable.dtype.kind in "mM" else {}
        new = xr.Variable(dims, stored, variable.attrs | unit, encoding={"_FillValue": None})
        (coords if name in data.coords else variables)[name] = new
    return xr.Dataset(variables, coords, data.attrs)


def _decode(data: xr.Dataset, table: list[tuple[str, str, str]]) -> NamedArrays:
    def array(file: str, dtype: str) -> np.ndarray:
        stored = data[file]
        return decode_array(stored.values, str(stored.attrs.get("time_unit", dtype))).astype(
            plain_dtype(dtype)
        )

    return NamedArrays({name: array(file, dtype) for name, file, dtype in table})


def put_together(
    groups: dict[str, NamedArrays], extra: NamedArrays, meta: dict[str, Any], predictor: Predictor | None
) -> Posterior:
    """The posterior of groups, `loose_arrays` and `facts_of`."""
    main: dict[str, Any] = {
        group: groups.pop(group, {})
        for group in ("posterior", "sample_stats", "observed_data", "constant_data")
    }
    likelihood = groups.pop("log_likelihood", None)
    params = {name[6:]: value for name, value in extra.items() if name.startswith("param:")}
    return Posterior(
        main["posterior"],
        meta["dims"],
        {name[6:]: value for name, value in extra.items() if name.startswith("coord:")},
        sample_stats=main["sample_stats"],
        observed_data=main["observed_data"],
        constant_data=main["constant_data"],
        log_likelihood=likelihood,
        attrs=meta["attrs"],
        predictor=predictor,
        groups={**groups, **{group: {} for group in meta["empty"]}},
        hierarchy=meta["hierarchy"],
        log_weights=extra.get("log_weights"),
        log_evidence=meta["log_evidence"],
        params=params if meta["has_params"] else None,
        losses=extra.get("losses"),
        gradient_norms=extra.get("gradient_norms"),
        khat=meta["khat"],
    )


def _not_ours(path: Path, error: Exception) -> FileError:
    reason = str(error).strip().splitlines()
    return FileError(
        f"{path} isn't a posterior saved by ppl",
        expected="a netCDF file (or .zarr folder) that posterior.save(path) wrote, whole",
        found=f"{type(error).__name__}: {reason[0][:100]}" if reason else type(error).__name__,
        edit="posterior.save(path) writes one; other people's netCDF opens with arviz.from_netcdf(path)",
    )


class _Store:
    """netCDF through whichever engine is installed."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    @staticmethod
    def of(path: Path) -> _Store:
        if path.suffix == ".zarr":
            if importlib.util.find_spec("zarr") is None:
                raise FileError(
                    "`.zarr` needs the package zarr", edit=f"pip install zarr, or save to {path.stem}.nc"
                )
            return _Zarr("zarr")
        for engine, packages in (("h5netcdf", ("h5netcdf", "h5py")), ("netcdf4", ("netCDF4",))):
            if all(importlib.util.find_spec(package) is not None for package in packages):
                return _Store(engine)
        raise FileError("netCDF needs h5netcdf and h5py (or netCDF4)", edit="pip install h5netcdf h5py")

    def write(self, data: xr.Dataset, path: Path, group: str) -> None:
        data.to_netcdf(path, mode="a" if path.exists() else "w", group=group, engine=self.engine)  # type: ignore[call-overload]

    def read(self, path: Path, group: str) -> xr.Dataset:
        import xarray as xr

        # Undecoded: no units, fill values or calendars are read into our numbers.
        with xr.open_dataset(path, group=group, engine=self.engine, decode_cf=False) as data:
            return data.load()

    def refuse_code(self, path: Path) -> None:
        """netCDF holds no code."""


class _Zarr(_Store):
    def write(self, data: xr.Dataset, path: Path, group: str) -> None:
        data.to_zarr(path, mode="a", group=group, consolidated=False)

    def read(self, path: Path, group: str) -> xr.Dataset:
        import xarray as xr

        with xr.open_zarr(path, group=group, decode_cf=False, consolidated=False, chunks=None) as data:
            return data.load()

    def refuse_code(self, path: Path) -> None:
        """Zarr's metadata can name a codec that unpickles: such a store is refused before it is opened."""
        for name in (".zarray", ".zmetadata", "zarr.json"):
            for file in path.rglob(name):
                try:
                    described = json.loads(file.read_text())
                except (OSError, ValueError) as error:
                    raise _not_ours(path, error) from error
                if _names_pickle(described):
                    raise FileError(
                        f"{path} asks for a codec that would run code",
                        expected="plain arrays",
                        found=f"pickle in {file.relative_to(path)}",
                        edit="don't open files of unknown origin",
                    )


def _names_pickle(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_names_pickle, value))
    if not isinstance(value, dict):
        return False
    named = any("pickle" in str(value.get(key, "")).lower() for key in ("id", "name", "object_codec"))
    return named or any(_names_pickle(v) for k, v in value.items() if k != "attributes")
