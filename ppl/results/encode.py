"""Values ↔ what a file can hold: arrays of any dtype as plain numbers or text, facts as JSON. Nothing is
pickled, either way.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from ppl.errors import PplError

_TAG = "__ppl__"


def encode_array(array: np.ndarray) -> tuple[np.ndarray, bool]:
    """An array as netCDF and zarr can store it, to the bit.

    Returns: the stored form, and whether it has one more axis (real, imaginary) than the array. Bool stays
    (xarray stores it as int8 and says so), float16 widens to float32, times become int64, text becomes
    objects that are str.
    Errors: `PplError` for long double and for arrays of Python objects.
    """
    kind = array.dtype.kind
    if kind == "c" and array.dtype.itemsize <= 16:
        real = np.dtype(f"f{array.dtype.itemsize // 2}")
        return np.stack([array.real, array.imag], axis=-1).astype(real), True
    if kind in "iub" or (kind == "f" and array.dtype.itemsize in (4, 8)):
        return array, False
    if array.dtype == np.float16:
        return array.astype(np.float32), False
    if kind in "mM":
        return array.view(np.int64), False
    if kind == "U":
        return array.astype(object), False
    raise PplError(
        "a file can't hold this array",
        expected="numbers, booleans, complex numbers, times or text",
        found=f"dtype {array.dtype}",
        edit="convert it first: array.astype(float)",
    )


def decode_array(stored: np.ndarray, dtype: str) -> np.ndarray:
    """The array that `encode_array` was given, from its stored form and its dtype (numpy's `dtype.str`)."""
    target = plain_dtype(dtype)
    if target.kind == "c":
        parts = np.ascontiguousarray(stored, dtype=np.dtype(f"f{target.itemsize // 2}"))
        return parts.view(parts.dtype.str.replace("f", "c")[:2] + str(target.itemsize))[..., 0].astype(target)
    if target.kind in "mM":
        return np.asarray(stored).astype(np.int64).view(target)
    return np.asarray(stored).astype(target)


def plain_dtype(text: str) -> np.dtype:
    """A dtype named in a file. Errors: ValueError for one that isn't of plain values."""
    dtype = np.dtype(text)
    if dtype.kind not in "biufcmMU":
        raise ValueError(f"a file may not hold arrays of dtype {dtype}")
    return dtype


def to_json(value: Any) -> str:
    """Facts as JSON. Tuples, complex numbers, numpy scalars and arrays come back as they were; other objects
    come back as their text.

    >>> from_json(to_json({"a": (1, 2.5), "b": np.float32(3)}))
    {'a': (1, 2.5), 'b': np.float32(3.0)}
    """
    return json.dumps(_plain(value))


def from_json(text: str) -> Any:
    """The inverse of `to_json`. Errors: ValueError for text that isn't JSON."""
    return _rich(json.loads(text))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        return value
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, tuple):
        return {_TAG: "tuple", "items": [_plain(v) for v in value]}
    if isinstance(value, dict):
        if all(isinstance(k, str) for k in value) and _TAG not in value:
            return {k: _plain(v) for k, v in value.items()}
        return {_TAG: "dict", "items": [[_plain(k), _plain(v)] for k, v in value.items()]}
    if type(value) is complex:
        return {_TAG: "complex", "items": [value.real, value.imag]}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufcmMU":
        array = np.asarray(value)
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {_TAG: kind, "dtype": array.dtype.str, "shape": list(array.shape), "data": data}
    return str(value)


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return [_rich(v) for v in value]
    if not isinstance(value, dict):
        return value
    tag = value.get(_TAG)
    if tag is None:
        return {k: _rich(v) for k, v in value.items()}
    if tag == "tuple":
        return tuple(_rich(v) for v in value["items"])
    if tag == "dict":
        return {_rich(k): _rich(v) for k, v in value["items"]}
    if tag == "complex":
        return complex(*value["items"])
    dtype = plain_dtype(str(value["dtype"]))
    array = np.frombuffer(base64.b64decode(value["data"]), dtype=dtype).reshape(value["shape"]).copy()
    return array[()] if tag == "scalar" else array
