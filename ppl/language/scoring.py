"""One site at one index: which entries have a value, fresh draws, and the log density after mask and scale."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import torch
from torch.distributions import Distribution, Independent

from ppl.distributions import constraints
from ppl.errors import DataError, MethodError, PplError, StructureError
from ppl.language.handlers import Message
from ppl.language.traces import widen


def elementary(d: Distribution) -> Distribution:
    """`d` without the wrapper that declares batch axes to be one event: its entries are independent."""
    while isinstance(d, Independent):
        d = d.base_dist
    return d


def missing(value: torch.Tensor, d: Distribution, message: Message) -> torch.Tensor:
    """Which entries (over the batch axes of `d`) have no value yet, that is are nan."""
    if not value.is_floating_point():
        return torch.zeros(d.batch_shape, dtype=torch.bool)
    gaps = torch.isnan(value)
    event = tuple(range(len(d.batch_shape), value.dim()))
    every, some = (gaps.all(event), gaps.any(event)) if event else (gaps, gaps)
    if not torch.equal(every, some):
        raise DataError(
            f"a value of {type(d).__name__} is given in part",
            site=message.name,
            where=message.mark,
            expected="all numbers of an element, or nan for all of them",
            found=f"{int(gaps.sum())} of {gaps.numel()} numbers are nan",
            edit="give the whole element or leave it out",
        )
    return every


def draw(message: Message, seed: int) -> torch.Tensor:
    """A draw that depends on `seed` alone and leaves torch's generator as it was."""
    d = message.distribution
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return d.sample()
        except NotImplementedError:
            raise MethodError(
                f"{type(d).__name__} can't be sampled", site=message.name, where=message.mark
            ) from None
        except PplError as error:
            error.site = error.site or message.name
            error.where = error.where or (message.mark.locate() if message.mark else None)
            raise


def log_prob(d: Distribution, value: torch.Tensor) -> torch.Tensor:
    """log d(value) over the batch axes; minus infinity outside the support, whatever the formula says there."""
    support = d.support
    if constraints.is_dependent(support):
        return d.log_prob(value)
    inside = support.check(value).expand(d.batch_shape)
    if bool(inside.all()):
        return d.log_prob(value)
    if not value.is_floating_point():  # as an index it has to be in range
        lowest = torch.as_tensor(getattr(support, "lower_bound", 0), dtype=value.dtype)
        value = torch.where(widen(inside, value), value, lowest)
    return torch.where(inside, d.log_prob(value), -torch.inf)


def weighed(log_prob: torch.Tensor, message: Message, rescale: Iterable[float]) -> torch.Tensor:
    """Σ scale · log_prob over the entries that the mask keeps; `rescale` makes up for subsampled plates."""
    for role, by in (("mask", message.mask), ("scale", message.scale)):
        if not _fits(tuple(getattr(by, "shape", ())), log_prob.shape):
            raise DataError(
                f"the {role} does not fit the site",
                site=message.name,
                where=message.mark,
                expected=f"for each element a shape that broadcasts to {list(log_prob.shape)}",
                found=f"{list(by.shape)} for one element",
                edit=f"give the {role} the site's own shape, plates first",
            )
    if message.mask is not None:
        log_prob = torch.where(message.mask, log_prob, 0.0)
    for factor in (*rescale, *([] if message.scale is None else [message.scale])):
        # p⁰ = 1, also where p = 0.
        log_prob = torch.where(torch.as_tensor(factor) == 0, 0.0, log_prob * factor)
    return log_prob.sum()


def _fits(shape: tuple[int, ...], target: torch.Size) -> bool:
    try:
        return torch.broadcast_shapes(shape, target) == target
    except RuntimeError:
        return False


# ---------------------------------------------------------------- refusals


def no_density(message: Message) -> StructureError:
    return StructureError(
        f"{type(message.distribution).__name__} has no density: it can be sampled, not scored",
        site=message.name,
        where=message.mark,
        expected="a distribution with log_prob",
        edit="use an objective that needs samples only, or another family",
    )


def no_score(name: str, mark: Any) -> StructureError:
    return StructureError(
        f"score_factor '{name}' has no value: only its gradient is known",
        site=name,
        where=mark,
        expected="methods that use gradients of the log density alone",
        edit="use ppl.factor with the log density itself where you know it",
    )


def hidden_choice(message: Message) -> NoReturn:
    raise StructureError(
        "the log density of a program with a hidden random choice would need an integral",
        site=message.name,
        where=message.mark,
        expected="every random choice visible",
        found=f"block hides '{message.name}'",
        edit=f"leave '{message.name}' out of .block(…), or give it a value inside with .condition(…)",
    )


def no_value(message: Message, index: tuple[int, ...], given: Iterable[str]) -> NoReturn:
    raise DataError(
        f"no value is given for '{message.name}'" + (f" at {list(index)}" if index else ""),
        site=message.name,
        where=message.mark,
        expected="a value for every random choice",
        found="values for " + (", ".join(given) or "nothing"),
        edit=f"add '{message.name}' to the choices, or use generate(…), which draws what is missing",
    )


def not_chosen(message: Message) -> NoReturn:
    raise DataError(
        f"'{message.name}' is observed; its value can't be chosen",
        site=message.name,
        where=message.mark,
        expected="values for random choices",
        found="a value that differs from the data",
        edit=f"leave '{message.name}' out, or change the data with .condition(…)",
    )
