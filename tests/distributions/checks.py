"""Facts every family must satisfy, as functions of a `Family` or of a distribution. Used for ours, torch's
and users'.

Continuous univariate densities are tabulated on a double-exponential grid, which gives their integral, cdf
and moments without any help from the family itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ppl.distributions import Family, biject_to, family_of, has_cdf, log_cdf, log_survival

FACTORIES = (
    torch.tensor,
    torch.arange,
    torch.zeros,
    torch.ones,
    torch.full,
    torch.eye,
    torch.linspace,
    torch.empty,
)


@contextmanager
def unvalidated() -> Iterator[None]:
    """torch's validation off, as it is while a program is recorded."""
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


# ---- tabulated densities -------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """One batch element's law: points, their masses (weights included) and the running total."""

    x: np.ndarray
    mass: np.ndarray

    @property
    def cumulative(self) -> np.ndarray:
        return np.cumsum(self.mass) - 0.5 * self.mass

    def expect(self, f: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(np.sum(f(self.x) * self.mass))


def _points(d: Distribution, n: int) -> tuple[Tensor, Tensor]:
    """Grid of shape (n, *batch) over the support and log dx."""
    t = torch.linspace(-4.2, 4.2, n)
    u = (math.pi / 2 * torch.sinh(t)).view((-1,) + (1,) * len(d.batch_shape)).expand((n,) + d.batch_shape)
    du = (math.pi / 2 * torch.cosh(t)).view((-1,) + (1,) * len(d.batch_shape)) * (t[1] - t[0])
    if isinstance(d.support, type(constraints.real)):
        return torch.sinh(u), torch.log(torch.cosh(u) * du)
    transform = biject_to(d.support)
    x = transform(u)
    return x, transform.log_abs_det_jacobian(u, x) + torch.log(du)


def counts(d: Distribution) -> Tensor:
    """The values of a discrete family, cut where a count has no upper end."""
    if getattr(d, "has_enumerate_support", False):
        return d.enumerate_support()
    low = getattr(d.support, "lower_bound", None)
    low = -300 if low is None else int(torch.as_tensor(low).min())
    return torch.arange(low, 700.0).view((-1,) + (1,) * len(d.batch_shape)).expand((-1,) + d.batch_shape)


def tables(d: Distribution, n: int = 24_001) -> list[Table]:
    """The law of every batch element of a univariate family."""
    with torch.no_grad():
        if d.support.is_discrete:
            x = counts(d)
            mass = torch.exp(d.log_prob(x))
        else:
            x, log_dx = _points(d, n)
            mass = torch.exp(d.log_prob(x) + log_dx)
            mass = torch.where(torch.isfinite(x) & torch.isfinite(log_dx), mass, 0.0)
    x, mass = x.reshape(x.shape[0], -1).double(), mass.reshape(x.shape[0], -1).double()
    columns = [(x[:, i].numpy(), mass[:, i].numpy()) for i in range(x.shape[1])]
    # A decreasing bijector runs through the support backwards.
    return [Table(a, m) if a[0] <= a[-1] else Table(a[::-1], m[::-1]) for a, m in columns]


def check_normalised(d: Distribution, tolerance: float = 1e-6) -> None:
    for table in tables(d):
        total = table.mass.sum()
        assert abs(total - 1) < tolerance, f"{d} integrates to {total}"


def check_moments(d: Distribution, tolerance: float = 2e-4) -> None:
    """`mean` and `variance`, where the family knows them and they are finite, against the table."""
    for name in ("mean", "variance"):
        try:
            claimed = getattr(d, name)
        except NotImplementedError:
            continue
        if claimed is None:
            continue
        claims = claimed.expand(d.batch_shape).reshape(-1).tolist()
        for claim, table in zip(claims, tables(d), strict=True):
            if not math.isfinite(claim):
                continue
            x = np.where(table.mass > 0, table.x, 0.0)
            mean = float(np.sum(x * table.mass))
            found = mean if name == "mean" else float(np.sum((x - mean) ** 2 * table.mass))
            assert abs(found - claim) < tolerance * (1 + abs(claim)), f"{d}: {name} {claim}, found {found}"


# ---- cdf -----------------------------------------------------------------------------------------


def check_cdf(d: Distribution, tolerance: float = 2e-5) -> None:
    """log F and log(1 − F) against the table; `cdf` agrees with them; F + (1 − F) = 1."""
    if not has_cdf(d):
        return
    levels = torch.tensor([0.003, 0.05, 0.3, 0.5, 0.8, 0.97, 0.999])
    columns = []
    for table in tables(d):
        at = np.searchsorted(table.cumulative, levels.numpy()).clip(0, len(table.x) - 1)
        columns.append(table.x[at])
    x = torch.tensor(np.stack(columns, -1)).reshape((-1,) + d.batch_shape)
    if d.support.is_discrete:
        x = torch.floor(x)
    lower, upper = torch.exp(log_cdf(d, x)), torch.exp(log_survival(d, x))
    assert torch.allclose(lower + upper, torch.ones_like(lower), atol=1e-9), (
        f"{d}: cdf and survival don't add to 1"
    )
    flat = x.reshape(x.shape[0], -1).numpy()
    for i, table in enumerate(tables(d)):
        if d.support.is_discrete:
            expected = np.array([table.mass[table.x <= v].sum() for v in flat[:, i]])
        else:
            expected = np.interp(flat[:, i], table.x, table.cumulative)
        found = lower.reshape(x.shape[0], -1)[:, i].numpy()
        assert np.allclose(found, expected, atol=tolerance), f"{d}: cdf {found}, integrated {expected}"
    try:
        direct = d.cdf(x)
    except NotImplementedError:
        return
    assert torch.allclose(direct, lower, atol=1e-7), f"{d}: cdf and log_cdf differ"


def check_icdf(d: Distribution) -> None:
    """F(F⁻¹(u)) = u for a continuous family."""
    u = torch.tensor([1e-4, 0.02, 0.4, 0.5, 0.77, 0.999]).view((-1,) + (1,) * len(d.batch_shape))
    u = u.expand((-1,) + d.batch_shape)
    x = d.icdf(u)
    if d.support.is_discrete:
        assert (d.cdf(x) >= u - 1e-9).all() and (d.cdf(x - 1) < u + 1e-9).all()
    else:
        assert torch.allclose(torch.exp(log_cdf(d, x)), u, atol=1e-9), f"{d}: {log_cdf(d, x).exp()} for {u}"


# ---- sampling ------------------------------------------------------------------------------------


def check_samples(d: Distribution, n: int = 4000, seed: int = 0) -> None:
    """Kolmogorov–Smirnov (continuous) or χ² (discrete) of draws against the table, p > 1e-4 for each batch
    element.
    """
    torch.manual_seed(seed)
    draws = d.sample((n,))
    assert draws.shape == (n,) + d.batch_shape
    assert bool(d.support.check(draws).all()), f"{d} draws values outside its support"
    flat = draws.reshape(n, -1).double().numpy()
    for i, table in enumerate(tables(d)):
        if d.support.is_discrete:
            p = _chi_square(flat[:, i], table)
        else:
            u = np.interp(flat[:, i], table.x, table.cumulative)
            p = scipy.stats.kstest(u, "uniform").pvalue
        assert p > 1e-4, f"{d}: draws don't follow the density (p = {p:.2g})"


def _chi_square(draws: np.ndarray, table: Table) -> float:
    big = table.mass * len(draws) >= 8
    expected = np.append(table.mass[big], max(0.0, 1 - table.mass[big].sum())) * len(draws)
    observed = np.array([(draws == v).sum() for v in table.x[big]])
    observed = np.append(observed, len(draws) - observed.sum())
    if expected[-1] < 5:
        if expected[-1] < 1e-3:
            assert observed[-1] == 0
        expected, observed = expected[:-1], observed[:-1]
        expected = expected * observed.sum() / expected.sum()
    return 1.0 if len(expected) < 2 else float(scipy.stats.chisquare(observed, expected).pvalue)


# ---- recording -----------------------------------------------------------------------------------


class _Symbolic(TorchDispatchMode):
    """Real tensors beside symbolic (meta) ones become symbolic too, as constants do in a recording."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        leaves = torch.utils._pytree.tree_leaves((args, kwargs))
        if any(isinstance(a, Tensor) and a.is_meta for a in leaves):
            args, kwargs = torch.utils._pytree.tree_map(
                lambda a: a.to("meta") if isinstance(a, Tensor) and not a.is_meta else a, (args, kwargs)
            )
        return func(*args, **kwargs)


class _NoMetaFactories(TorchFunctionMode):
    """A constant made on the device of a symbolic parameter would lose its value."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in FACTORIES and str(kwargs.get("device")) == "meta":
            raise AssertionError(f"{func.__name__} takes its device from a parameter")
        return func(*args, **kwargs)


def check_traceable(family: Family) -> None:
    """Construction, `support` and `log_prob` on tensors without data; no value is read, no constant lost."""
    real = family.examples()
    with unvalidated(), torch.device("meta"):
        symbolic = family.examples()
    for d, s in zip(real, symbolic, strict=True):
        value = some_values(d)
        with unvalidated(), _Symbolic():
            support = s.support
            with _NoMetaFactories():
                out = s.log_prob(value.to("meta"))
        assert out.is_meta and out.shape == d.log_prob(value).shape
        assert support.is_discrete == d.support.is_discrete and support.event_dim == d.support.event_dim


def some_values(d: Distribution, n: int = 5, seed: int = 1) -> Tensor:
    """A few values in the support (draws, or for improper families images of normal draws)."""
    torch.manual_seed(seed)
    if family_of(d).proper:
        return d.sample((n,))
    shape = torch.Size((n,)) + d.batch_shape + d.event_shape
    if family_of(d).atoms:
        return d.sample((n,))
    transform = biject_to(d.support)
    u = torch.randn(transform.inverse_shape(shape))
    return transform(u)


# ---- gradients -----------------------------------------------------------------------------------


class _Leaves(TorchFunctionMode):
    """Makes every floating constant of an example a leaf that wants a gradient, shifted by `shift[i]`."""

    def __init__(self, shift: dict[int, float] | None = None):
        super().__init__()
        self.shift, self.leaves = shift or {}, []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = args[0] if args else None
        if func is torch.tensor and out.is_floating_point() and not isinstance(given, int) and out.numel():
            out = (out + self.shift.get(len(self.leaves), 0.0)).detach().requires_grad_()
            self.leaves.append(out)
        return out


def with_leaves(
    family: Family, which: int, shift: dict[int, float] | None = None
) -> tuple[Distribution, list[Tensor]]:
    """The example number `which` with its parameters as leaves, leaf i shifted by shift[i]."""
    mode = _Leaves(shift)
    with unvalidated(), mode:
        d = family.examples()[which]
    return d, mode.leaves


def check_gradient(family: Family, h: float = 1e-5, tolerance: float = 2e-5) -> None:
    """∂ log p / ∂ parameters and, for continuous families, ∂ log p / ∂ x against central differences."""
    for which, plain in enumerate(family.examples()):
        value = some_values(plain)
        d, leaves = with_leaves(family, which)
        x = value.clone().requires_grad_() if not d.support.is_discrete and not family_of(d).atoms else value
        total = d.log_prob(x).sum()
        if not total.requires_grad:
            continue
        wanted = [*leaves, x] if x.requires_grad else leaves
        found = torch.autograd.grad(total, wanted, allow_unused=True)
        for i, grad in enumerate(found[: len(leaves)]):
            up, down = (with_leaves(family, which, {i: s})[0].log_prob(value).sum() for s in (h, -h))
            slope = ((up - down) / (2 * h)).item()
            mine = 0.0 if grad is None else grad.sum().item()
            assert math.isfinite(mine), f"{plain}: gradient {mine} of parameter {i}"
            if not math.isfinite(slope):  # a point mass: moving the parameter leaves the value
                continue
            assert abs(mine - slope) < tolerance * (1 + abs(slope)), (
                f"{plain}: parameter {i}: {mine}, differences {slope}"
            )
        if x.requires_grad and not d.event_shape:
            slope = (d.log_prob(value + h) - d.log_prob(value - h)) / (2 * h)
            mine = torch.zeros_like(x) if found[-1] is None else found[-1]
            assert torch.isfinite(mine).all(), f"{plain}: gradient in x {mine}"
            slope = slope.expand(mine.shape)
            ok = torch.isfinite(slope)
            assert torch.allclose(mine[ok], slope[ok], rtol=1e-3, atol=1e-4), f"{plain}: {mine} {slope}"


def check_pathwise(family: Family, groups: int = 16, size: int = 400) -> None:
    """E f(x) differentiated through `rsample` against the derivative of the tabulated expectation, within 5
    s.e.

    f = sin(x/2) + tanh(x) is bounded, so every family has these expectations.
    """
    for which, plain in enumerate(family.examples()):
        if not {"reparam", "implicit", "rejection"} & set(family_of(plain).strategies):
            continue
        if plain.event_shape or not family_of(plain).proper or not plain.has_rsample:
            continue
        torch.manual_seed(2)
        d, leaves = with_leaves(family, which)
        rows = []
        for _ in range(groups):
            x = d.rsample((size,))
            value = (torch.sin(x / 2) + torch.tanh(x)).mean(0).sum()
            grads = torch.autograd.grad(value, leaves, allow_unused=True, retain_graph=True)
            rows.append([0.0 if g is None else g.sum().item() for g in grads])
        mean, error = np.mean(rows, 0), np.std(rows, 0, ddof=1) / math.sqrt(groups)
        for i in range(len(leaves)):
            h = 1e-3
            up, down = (
                sum(
                    t.expect(lambda x: np.sin(x / 2) + np.tanh(x))
                    for t in tables(with_leaves(family, which, {i: s})[0])
                )
                for s in (h, -h)
            )
            slope = (up - down) / (2 * h)
            assert abs(mean[i] - slope) < 5 * error[i] + 2e-4, (
                f"{plain}: leaf {i}: {mean[i]} ± {error[i]}, exact {slope}"
            )


def check_expand(d: Distribution) -> None:
    """`expand` repeats the law along a new axis."""
    wide = d.expand((3,) + d.batch_shape)
    assert wide.batch_shape == (3,) + d.batch_shape and wide.event_shape == d.event_shape
    value = some_values(d, n=1)
    assert torch.allclose(wide.log_prob(value), d.log_prob(value).expand((3,) + d.batch_shape))
    if family_of(d).proper:
        assert wide.sample().shape == (3,) + d.batch_shape + d.event_shape
    assert wide.support.is_discrete == d.support.is_discrete
