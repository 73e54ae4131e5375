"""Data from files: JSON, CSV, netCDF."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ppl.errors import DataError


def read_data(path: Path) -> dict[str, Any]:
    """Values by name.

    JSON: an object of numbers and nested lists, null for a missing number. CSV: a column is a vector, an empty cell or
    NA a missing number; columns of words become whole numbers, their order of appearance. netCDF: the variables.
    """
    readers = {".json": _json, ".csv": _csv, ".nc": _netcdf}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: data are read from .json, .csv and .nc files", found=f"{path.suffix or 'no ending'}",
                        edit=f"{path.stem}.json")  # fmt: skip
    if not path.is_file():
        raise DataError(f"there is no file {path}", edit="--data FILE")
    return reader(path)


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON: {error}", edit='{"y": [1, 2, 3]}') from None
    if not isinstance(read, dict):
        raise DataError(f"{path} holds {type(read).__name__}, not names with values", edit='{"y": [1, 2, 3]}')
    return {name: _numbers(value, f"{path}: {name}") for name, value in read.items()}


def _numbers(value: Any, where: str) -> Any:
    if value is None:
        return math.nan
    if isinstance(value, list):
        return [_numbers(v, where) for v in value]
    if isinstance(value, int | float | bool | str):
        return value
    raise DataError(
        f"{where} is not a number or a list of them", found=f"{value!r}"[:60], edit='"y": [1, 2, 3]'
    )


def _csv(path: Path) -> dict[str, Any]:
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is not a table: {error}", edit="a first line of names, then a line for each row"
        ) from None
    columns: dict[str, Any] = {}
    for name in table.columns:
        column = table[name]
        if column.dtype == object or str(column.dtype) in ("str", "string", "category"):
            codes, _ = pd.factorize(column)
            columns[str(name)] = codes.tolist()
        else:
            columns[str(name)] = column.tolist()
    return columns


def _netcdf(path: Path) -> dict[str, Any]:
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            return {str(name): variable.values for name, variable in dataset.data_vars.items()}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read as netCDF: {error}") from None
