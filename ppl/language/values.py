"""Checks on values that users give to sites: shape, whole numbers, support, missing elements; and on masks and weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.distributions import Distribution, constraints

from ppl.distributions import family_of
from ppl.distributions.bijectors import biject_to
from ppl.errors import DataError, ParameterError, PplError
from ppl.language.arrays import as_tensor
from ppl.language.checks import Loops, located, tensors_of, verdict
from ppl.language.handlers import Message
from ppl.language.wording import describe, place, short


def full_value(value: Any, message: Message, loops: Loops, dtype: torch.dtype) -> torch.Tensor:
    """A value for all elements of a site, checked against its shape: loops (plates, scans) first, then
    the site's own axes.
    """
    d = message.distribution
    tensor = as_values(value, message, dtype)
    check_shape(tensor.shape, message, loops)
    if family_of(d).value_dtype == "int64":
        return _whole(tensor, message)
    tensor = tensor if tensor.is_floating_point() else tensor.to(dtype)
    _finite(tensor, message)
    return tensor


def as_values(value: Any, message: Message, dtype: torch.dtype) -> torch.Tensor:
    try:
        return as_tensor(value, dtype)
    except DataError as error:
        error.headline = f"the value for '{message.name}': {error.headline}"
        raise located(error, message) from None


def check_shape(found: Sequence[int], message: Message, loops: Loops, element: str = "") -> None:
    """Refuse the shape of a value unless it is the loops' sizes and then the site's own shape."""
    d = message.distribution
    own = tuple(d.batch_shape) + tuple(d.event_shape)
    expected = tuple(n for _, n in loops) + own
    if tuple(found) == expected:
        return
    names = [f"{name}={n}" for name, n in loops] + [str(n) for n in own]
    raise DataError(
        f"the value for '{message.name}' has the wrong shape",
        site=message.name,
        where=message.mark,
        expected=f"shape [{', '.join(names)}]" + element,
        found=f"shape {list(found)}",
        edit=_shape_edit(message.name.rpartition("/")[2], tuple(found), expected, loops),
    )


def _shape_edit(name: str, found: tuple[int, ...], expected: tuple[int, ...], loops: Loops) -> str:
    axes = ", ".join(map(str, expected))
    if len(found) == len(expected) and sorted(found) == sorted(expected):
        return f"{name}.T" if len(found) == 2 else f"{name}.permute(…): the axes are in another order"
    if np.prod(found) == np.prod(expected):
        return f"{name}.reshape({axes})" if expected else f"{name}.reshape(())"
    if len(found) == len(expected) and loops and found[0] != expected[0]:
        return f"give {expected[0]} values, or make '{loops[0][0]}' of size {found[0]}"
    if not expected and found:
        return f'for i in ppl.plate("i", {found[0]}): …, with {name}[i] in the body'
    return f"give values of shape [{axes}]"


def _whole(tensor: torch.Tensor, message: Message) -> torch.Tensor:
    """Data of a family of whole numbers as int64; nan are left for `holes` to refuse."""
    if not tensor.is_floating_point():
        return tensor.to(torch.int64)
    if bool(torch.isnan(tensor).any()):
        return tensor
    bad = (tensor != tensor.round()) | (tensor.abs() >= 2.0**63)
    if bool(bad.any()):
        index = tuple(int(i) for i in bad.nonzero()[0])
        fraction = bool(torch.isfinite(tensor[index])) and bool(tensor[index] != tensor[index].round())
        name = message.name.rpartition("/")[2]
        raise DataError(
            f"the value for '{message.name}' must be whole numbers"
            if fraction
            else f"the value for '{message.name}' is too large",
            site=message.name,
            where=message.mark,
            expected=f"integers, as {type(message.distribution).__name__} draws them"
            if fraction
            else "integers below 2**63",
            found=f"{short(tensor[index])}{place(index, name)}",
            edit=f"{name}.round(), or a continuous family" if fraction else "correct the data",
        )
    return tensor.to(torch.int64)


def _finite(tensor: torch.Tensor, message: Message) -> None:
    bad = torch.isinf(tensor)
    if bool(bad.any()):
        index = tuple(int(i) for i in bad.nonzero()[0])
        name = message.name.rpartition("/")[2]
        raise DataError(
            f"the value for '{message.name}' is infinite",
            site=message.name,
            where=message.mark,
            expected="finite numbers",
            found=f"{short(tensor[index])}{place(index, name)}",
            edit="correct the data; where a value is missing put nan",
        )


def weights(value: Any, role: str, message: Message, loops: Loops, dtype: torch.dtype) -> torch.Tensor:
    """A mask or scale for all elements. Given: one number; the loops' sizes and then what broadcasts to the
    site's batch shape; or the latter alone, the same for all elements of the loops.
    """
    try:
        tensor = as_tensor(value, dtype)
    except DataError as error:
        error.headline = f"the {role} for '{message.name}': {error.headline}"
        raise located(error, message) from None
    source = (
        message.distribution.batch_shape
        if message.distribution is not None
        else getattr(message.log_weight, "shape", ())
    )
    own, sizes = tuple(source), tuple(n for _, n in loops)
    leading, rest = tuple(tensor.shape[: len(sizes)]), tuple(tensor.shape[len(sizes) :])
    fits = len(leading) == len(sizes) and all(n in (1, m) for n, m in zip(leading, sizes, strict=True))
    fits = fits and _broadcasts(rest, own)
    if not fits and _broadcasts(tuple(tensor.shape), own):
        rest, fits = tuple(tensor.shape), True
    if not fits:
        names = [f"{name}={n}" for name, n in loops] + [str(n) for n in own]
        raise DataError(
            f"the {role} for '{message.name}' has the wrong shape",
            site=message.name,
            where=message.mark,
            expected=f"shape [{', '.join(names)}], or one value",
            found=f"shape {list(tensor.shape)}",
            edit=f"give the {role} the shape of the site",
        )
    bad = (tensor != 0) & (tensor != 1) if role == "mask" else ~(tensor >= 0) | torch.isinf(tensor)
    if bool(bad.any()):
        index = tuple(int(i) for i in bad.nonzero()[0]) if bad.dim() else ()
        raise DataError(
            f"the {role} for '{message.name}' is not {'true or false' if role == 'mask' else 'a weight'}",
            site=message.name,
            where=message.mark,
            expected="a boolean for each element" if role == "mask" else "finite numbers ≥ 0",
            found=f"{short(tensor[index])}{place(index)}",
            edit="mask != 0; to weigh elements use .scale(…)" if role == "mask" else "correct the weights",
        )
    tensor = tensor.to(torch.bool) if role == "mask" else tensor.to(dtype)
    return tensor.expand(*sizes, *rest) if tensor.dim() else tensor


def check_weight(weight: torch.Tensor | None, message: Message) -> None:
    """Refuse a factor whose log weight is known to be nan or +∞."""
    if weight is not None and bool((torch.isnan(weight) | (weight == torch.inf)).any()):
        raise ParameterError(
            f"the log weight of factor '{message.name}' is not a number below infinity",
            site=message.name,
            where=message.mark,
            expected="a finite log weight, or -inf to rule the point out",
            found=short(weight),
            edit="find the nan or the division by zero in what gives the weight",
        )


def holes(tensor: torch.Tensor, message: Message) -> torch.Tensor | None:
    """The flat places of missing (nan) elements, or None."""
    if not tensor.is_floating_point():
        return None
    mask = torch.isnan(tensor)
    if not bool(mask.any()):
        return None
    d = message.distribution
    support: Any = d.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if family_of(d).discrete or support.event_dim > 0:
        raise DataError(
            f"missing values of {type(d).__name__} can't be imputed",
            site=message.name,
            where=message.mark,
            expected="nan only where each element is a continuous value by itself",
            found=f"{int(mask.sum())} nan; the support of one element is: {describe(support)}",
            edit="leave the incomplete elements out, or put any possible value there and .mask(…) it",
        )
    return mask.reshape(-1).nonzero().reshape(-1)


def check_all_elements(value: Any, message: Message, loops: Sequence[tuple[str, int, int]]) -> None:
    """Refuse data that have as many elements as a subsampled plate draws: in each step it draws others.

    Args:
        loops: (name, all elements, elements drawn) of the open loops.
    """
    found = tuple(getattr(value, "shape", ()))
    for axis, (name, size, drawn) in enumerate(loops):
        if drawn != size and axis < len(found) and found[axis] == drawn:
            expected = ", ".join(f"{n}={k}" for n, k, _ in loops)
            raise DataError(
                f"the value for '{message.name}' has {drawn} elements, as many as plate '{name}' draws in a step",
                site=message.name,
                where=message.mark,
                expected=f"values for all {size} elements, shape [{expected}{', …' if len(found) > len(loops) else ''}]",
                found=f"shape {list(found)}",
                edit=f'give all {size} values, or ppl.plate("{name}", {drawn}) for data of {drawn} elements',
            )


def require_complete(message: Message, holes: torch.Tensor | None) -> None:
    """Refuse missing elements in a minibatch."""
    if holes is not None:
        raise DataError(
            f"a batch has missing elements of '{message.name}'",
            site=message.name,
            where=message.mark,
            expected="complete data in every batch",
            found=f"{len(holes)} nan",
            edit="leave the incomplete elements out of the data set",
        )


def require_all_elements(message: Message, subsampled: Sequence[str]) -> None:
    """Refuse missing elements in subsampled plates: they would be latent in some steps only."""
    if subsampled:
        raise DataError(
            f"data of '{message.name}' have missing elements in the subsampled plate '{subsampled[0]}'",
            site=message.name,
            where=message.mark,
            expected="complete data where a plate draws some of its elements",
            found="nan",
            edit=f"leave the incomplete elements out, or put any possible value there and .mask({message.name}=…)",
        )


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return len(shape) <= len(target) and all(
        n in (1, m) for n, m in zip(shape[::-1], target[::-1], strict=False)
    )


class _Side:
    """One bound of an interval: it can be known where the other is random."""

    def __init__(self, support: Any, upper: bool) -> None:
        self.support, self.upper = support, upper

    def check(self, value: torch.Tensor) -> torch.Tensor:
        return value <= self.support.upper_bound if self.upper else value >= self.support.lower_bound


def _parts(support: Any) -> list[Any]:
    base = support
    while isinstance(base, constraints.independent):
        base = base.base_constraint
    bounds = [getattr(base, "lower_bound", None), getattr(base, "upper_bound", None)]
    if all(isinstance(b, torch.Tensor) for b in bounds):
        return [_Side(base, False), _Side(base, True)]
    return [support]


def check_support(
    d: Distribution,
    value: torch.Tensor,
    missing: torch.Tensor | None,
    message: Message,
    tracer: Any,
    element: torch.Tensor | None = None,
) -> bool:
    """Refuse observed values outside the support, wherever the support's bounds are known before
    inference. Whether they were.

    `element` is the same value as the statement sees it, for supports with bounds that differ from
    element to element.
    """
    support: Any = d.support
    if constraints.is_dependent(support):
        return True
    traced = any(tracer.is_traced(v) for v in tensors_of(support))
    tried = torch.where(torch.isnan(value), filler(d, tracer), value) if missing is not None else value
    if traced and element is not None:
        tried = element
    decided = True
    for part in _parts(support) if traced else [support]:
        good = verdict(part, tried, tracer)
        decided = decided and good is not None
        if good is None or bool(good.all()):
            continue
        index = (
            tuple(int(i) for i in (~good).nonzero()[0])
            if good.dim() and good.shape == value.shape[: good.dim()]
            else ()
        )
        if missing is not None and traced and bool(torch.isnan(value[index]).any()):
            continue
        name, words = message.name.rpartition("/")[2], describe(support)
        raise DataError(
            f"the value for '{message.name}' lies outside the support of {type(d).__name__}",
            site=message.name,
            where=message.mark,
            expected=f"values {words}" if words.startswith(("<", ">", "≤", "≥", "in ")) else words,
            found=f"{short(value[index])}{place(index, name)}",
            edit="correct the data, or choose a family with that support",
        )
    return decided or not guardable(d)


def guardable(d: Distribution) -> bool:
    """Whether the density can be set to zero outside the support: where the support is one of single
    numbers, not all of them.
    """
    support: Any = d.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return (
        not constraints.is_dependent(support) and support.event_dim == 0 and support is not constraints.real
    )


def filler(d: Distribution, tracer: Any) -> torch.Tensor:
    """Some value inside a univariate support, to stand in the place of a missing one."""
    support: Any = d.support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if any(tracer.is_traced(v) for v in tensors_of(support)):
        raise DataError(
            "missing values need a support whose bounds are known",
            expected="bounds that are numbers or data",
            found=f"{type(d).__name__} with a random bound",
            edit="leave the incomplete elements out of the data",
        )
    try:
        return biject_to(support)(torch.zeros(())).detach()
    except (PplError, NotImplementedError):
        return torch.zeros(())


def with_nan(tensor: torch.Tensor, missing: torch.Tensor | None) -> torch.Tensor:
    if missing is None:
        return tensor
    flat = tensor.reshape(-1).clone()
    flat[missing] = torch.nan
    return flat.reshape(tensor.shape)
