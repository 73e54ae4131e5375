"""Arrays that users give, as tensors: lists, NumPy, pandas, masked arrays; what is not numeric is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ppl.errors import DataError

_LARGEST = (1 << 63) - 1


def is_array(value: Any) -> bool:
    """Tensors, NumPy arrays and what carries one (pandas Series); not numbers, lists or modules."""
    return isinstance(value, torch.Tensor | np.ndarray | np.generic) or (
        hasattr(value, "to_numpy") and hasattr(value, "dtype")
    )


def as_tensor(value: Any, dtype: torch.dtype) -> torch.Tensor:
    """`value` as a tensor: real numbers as `dtype`, whole ones as int64; a bool `dtype` forces bool."""
    tensor = value if isinstance(value, torch.Tensor) else _from_array(value)
    if tensor.is_complex():
        raise DataError(
            "complex numbers are not data",
            expected="real numbers",
            found=f"dtype {str(tensor.dtype)[6:]}",
            edit="give the real and the imaginary parts",
        )
    if dtype is torch.bool:
        return tensor.to(torch.bool)
    if tensor.is_floating_point():
        return tensor.to(dtype)
    return tensor if tensor.dtype is torch.bool else tensor.to(torch.int64)


def _from_array(value: Any) -> torch.Tensor:
    if isinstance(value, np.ndarray) and hasattr(
        value, "mask"
    ):  # a masked array: its masked entries are missing values
        value = np.ma.filled(value.astype(np.float64), np.nan)
    try:
        array = np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except ValueError:
        raise DataError(
            "the rows have different lengths",
            expected="an array",
            found=f"{value!r}"[:80],
            edit="pad the rows with nan, or give each its own site",
        ) from None
    if (
        array.dtype.kind == "O"
        and array.ndim
        and all(v is None or isinstance(v, int | float | np.number) for v in array.reshape(-1))
    ):
        array = array.astype(np.float64)  # None becomes nan: a missing value
    if array.dtype.kind not in "biufc":
        found = (
            "None"
            if value is None
            else f"text, {value!r}"[:60]
            if array.dtype.kind in "US"
            else f"dtype {array.dtype}, {value!r}"[:80]
        )
        edit = (
            "leave the name out: a site without data is latent" if value is None else "encode it as numbers"
        )
        raise DataError(
            "this is not numeric data",
            expected="numbers: a tensor, an array, a list or a number",
            found=found,
            edit=edit,
        )
    if array.dtype.kind == "u" and array.size and int(array.max()) > _LARGEST:
        raise DataError(
            "a whole number is too large",
            expected="numbers below 2**63",
            found=str(array.max()),
            edit="give it as a float",
        )
    return torch.from_numpy(np.array(array, order="C"))
