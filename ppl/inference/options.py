"""Checks on what `infer` and the methods are told: counts, names, devices. Each refusal names the option
and the nearest valid one.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch

from ppl.errors import DataError, MethodError, closest, user_mark
from ppl.inference.random import check_seed

COMMON = (
    "draws",
    "warmup",
    "chains",
    "seed",
    "device",
    "engine",
    "dtype",
    "coords",
    "keep",
    "progress",
    "save_to",
    "resume",
    "draws_to",
)


def named_options(cls: Any) -> Any:
    """A decorator for a dataclass of options: an unknown option is a `MethodError` with the nearest
    known one.

    >>> @named_options
    ... @dataclasses.dataclass(frozen=True)
    ... class Options:
    ...     steps: int = 10
    >>> try:
    ...     Options(step=3)
    ... except MethodError as error:
    ...     print(error.edit)
    steps=…
    """
    plain = cls.__init__

    @functools.wraps(plain)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        known = [f.name for f in dataclasses.fields(cls)]
        for name in kwargs:
            if name not in known:
                raise unknown_option(name, kwargs[name], cls.__name__, known)
        plain(self, *args, **kwargs)

    cls.__init__ = __init__
    return cls


def unknown_option(
    name: str, value: Any, method: str, known: Collection[str], common: Collection[str] = ()
) -> MethodError:
    near = closest(name, [*known, *common])
    return MethodError(
        f"'{name}' is not an option of {method}" + (" or of infer" if common else ""),
        where=user_mark(),
        expected=f"{method}: {', '.join(known)}" + (f"; infer: {', '.join(common)}" if common else ""),
        found=f"{name}={value!r}"[:80],
        edit=f"{near[0]}=…" if near else f"remove {name}=",
    )


def require(method: str, name: str, value: Any, good: bool, expected: str, edit: str) -> None:
    """Raises `MethodError` for an option out of range, unless it is good."""
    if not good:
        raise MethodError(
            f"{method}: `{name}` is out of range",
            where=user_mark(),
            expected=expected,
            found=f"{name}={value!r}",
            edit=f"{name}={edit}",
        )


def is_whole(value: object) -> bool:
    """Whether it is an int, and not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_real(value: object) -> bool:
    """Whether it is a finite number, and not a truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def count(name: str, value: Any, least: int, default: int) -> int:
    """`value` as an int of at least `least`."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    whole = isinstance(value, float) and value == round(value) >= least
    raise MethodError(
        f"{name} must be a whole number, {least} or more",
        expected=f"an int ≥ {least}",
        found=f"{name}={value!r}",
        edit=f"{name}={int(value) if whole else default}",
    )


def counts(settings: Mapping[str, Any]) -> dict[str, int]:
    """draws, warmup, chains and seed, checked."""
    return {
        "draws": count("draws", settings["draws"], 1, 1000),
        "warmup": count("warmup", settings["warmup"], 0, 1000),
        "chains": count("chains", settings["chains"], 1, 4),
        "seed": check_seed(settings["seed"]),
    }


def as_data(data: Any) -> dict[str, Any]:
    """The data by name; None: no data."""
    if data is None or isinstance(data, Mapping):
        return dict(data or {})
    raise DataError(
        "data must be given by name",
        expected="a dictionary from the names of sites to values",
        found=type(data).__name__,
        edit='data={"y": y}, with the name of the observed site',
    )


def is_loader(data: Any) -> bool:
    """Whether data are batches, one after another: a `DataLoader`, or whatever else is iterated and no array."""
    if isinstance(data, list | tuple):
        return len(data) > 0 and isinstance(data[0], Mapping | list | tuple | torch.Tensor | np.ndarray)
    array = hasattr(data, "shape") or hasattr(data, "columns")
    return hasattr(data, "__iter__") and not isinstance(data, Mapping | str | bytes) and not array


def as_device(device: Any) -> str:
    """A device torch knows and has; "auto" is the CPU."""
    name = "cpu" if device == "auto" else str(device)
    try:
        kind = torch.device(name).type
    except RuntimeError:
        kind = ""
    if kind == "cpu" or (kind and kind != "meta" and torch.get_device_module(kind).is_available()):
        return name
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    raise MethodError(
        f"there is no device '{name}' here",
        expected=", ".join(f'"{d}"' for d in ("auto", *there)),
        found=f"device={device!r}",
        edit=f'device="{there[-1]}"',
    )


def as_dtype(dtype: Any) -> torch.dtype | None:
    """A real floating-point dtype; "auto" is None."""
    if dtype == "auto" or dtype is None:
        return None
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if isinstance(found, torch.dtype) and found in (torch.float32, torch.float64):
        return found
    raise MethodError(
        "dtype must be a floating-point type that inference can use",
        expected='"auto", "float64", "float32"',
        found=f"dtype={dtype!r}",
        edit='dtype="float64"',
    )
