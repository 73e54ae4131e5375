"""One site at one index: which numbers are known, fresh draws, and the log density under mask and scale."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch.distributions import Distribution, Independent

from ppl.distributions import constraints
from ppl.errors import DataError, MethodError, PplError
from ppl.language.handlers import Message


def elementary(d: Distribution) -> Distribution:
    """`d` without the wrapper that declares batch axes to be one event: its entries are independent."""
    while isinstance(d, Independent):
        d = d.base_dist
    return d


def missing(value: torch.Tensor | None, d: Distribution) -> torch.Tensor:
    """Which numbers of a value have not been given: those that are nan."""
    if value is None:
        return torch.ones(d.batch_shape + d.event_shape, dtype=torch.bool)
    return torch.isnan(value) if value.is_floating_point() else torch.zeros(value.shape, dtype=torch.bool)


def events(numbers: torch.Tensor, d: Distribution) -> torch.Tensor:
    """Which elements (over the batch axes of `d`) have one of these numbers."""
    axes = tuple(range(len(d.batch_shape), numbers.dim()))
    return numbers.any(axes) if axes else numbers


@contextlib.contextmanager
def keyed(seed: int) -> Iterator[None]:
    """Torch's generators start from `seed` inside, and go on outside as if nothing had happened."""
    if torch.cuda.is_initialized():
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
        return
    # torch.manual_seed would also note a stack for every kind of device: forty times slower.
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)


def draw(message: Message, fresh: torch.Tensor, seed: int) -> torch.Tensor:
    """A draw for the elements with `fresh` numbers; it depends on `seed` alone."""
    d = message.distribution
    inner = elementary(d)
    if fresh.numel() and not torch.equal(events(fresh, inner), ~events(~fresh, inner)):
        raise DataError(
            f"an element of {type(inner).__name__} is known in part; the rest can't be drawn given it",
            site=message.name,
            where=message.mark,
            expected="all numbers of an element, or nan for all of them",
            found=f"{int(fresh.sum())} of {fresh.numel()} numbers missing",
            edit=f"give the missing numbers of '{message.name}' too",
        )
    with keyed(seed):
        try:
            return d.sample()
        except NotImplementedError as error:
            integers = any(
                isinstance(v, torch.Tensor) and not v.is_floating_point() for v in vars(inner).values()
            )
            raise MethodError(
                f"{type(d).__name__} can't be sampled",
                site=message.name,
                where=message.mark,
                found=str(error) or "it has no sample()",
                edit="give it floating-point parameters, for instance 1.0 * j"
                if integers
                else "give the site a value",
            ) from None
        except PplError as error:
            error.site = error.site or message.name
            error.where = error.where or (message.mark.locate() if message.mark else None)
            raise


def log_prob(d: Distribution, value: torch.Tensor) -> torch.Tensor:
    """log d(value) over the batch axes; minus infinity outside the support, whatever the formula says."""
    support = d.support
    if constraints.is_dependent(support):
        return d.log_prob(value)
    assert support is not None
    inside = support.check(value).expand(d.batch_shape)
    if bool(inside.all()):
        return d.log_prob(value)
    if not value.is_floating_point():  # as an index it has to be in range
        lowest = torch.as_tensor(getattr(support, "lower_bound", 0), dtype=value.dtype)
        value = torch.where(inside.reshape(inside.shape + (1,) * (value.dim() - inside.dim())), value, lowest)
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
