"""Gaussian processes in discrete time: random walk, autoregression, and any normal of banded precision."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.distributions.linear import LOG_2PI, Joint
from ppl.distributions.registry import register
from ppl.distributions.shapes import broadcast_shapes
from ppl.errors import ParameterError

__all__ = ["AutoregressiveNormal", "BandedNormal", "GaussianRandomWalk"]


def _normal(z: Tensor, log_scale: Tensor) -> Tensor:
    return -0.5 * z.square() - log_scale - 0.5 * LOG_2PI


def _need_steps(family: str, num_steps: int, least: int) -> None:
    if not isinstance(num_steps, int) or num_steps < least:
        raise ParameterError(
            f"num_steps of {family} is the length of the series",
            expected=f"a whole number of at least {least}",
            found=repr(num_steps),
        )


@register(
    strategies=("reparam", "score"),
    example=lambda: [GaussianRandomWalk(0.5, 3), GaussianRandomWalk(torch.tensor([0.5, 2.0]), 2, drift=0.3)],
)
class GaussianRandomWalk(Joint):
    """x_t = x_{t-1} + drift + scale · ε_t for t = 2 … T; x_1 ~ init, or drift + scale · ε_1 if init is None.

    Args:
        scale: > 0, (…).  num_steps: T, the length of a value.  init: a scalar distribution.  drift: (…).

    >>> GaussianRandomWalk(1.0, 3).variance
    tensor([1., 2., 3.])
    """

    parameters: ClassVar[dict[str, int]] = {"scale": 0, "drift": 0}
    scale: Tensor
    drift: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "scale": constraints.positive,
        "drift": constraints.real,
    }
    support = constraints.real_vector

    def __init__(
        self,
        scale: float | Tensor,
        num_steps: int,
        init: Distribution | None = None,
        drift: float | Tensor = 0.0,
        validate_args: bool | None = None,
    ) -> None:
        _need_steps("GaussianRandomWalk", num_steps, 1)
        if init is not None and init.event_shape:
            raise ParameterError(
                "init of GaussianRandomWalk is the law of one number",
                expected="a distribution with event shape ()",
                found=str(tuple(init.event_shape)),
            )
        self._set((num_steps,), validate_args, scale=scale, drift=drift)
        self.init = init
        if init is not None:
            batch = broadcast_shapes(self.batch_shape, init.batch_shape)
            self.init = init if init.batch_shape == batch else init.expand(batch)
            self._batch_shape = batch

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.init is None or self.init.has_rsample

    def expand(self, batch_shape: Any, _instance: Any = None) -> GaussianRandomWalk:
        new = super().expand(batch_shape)
        new.init = None if self.init is None else self.init.expand(batch_shape)
        return new

    def _log_prob(self, value: Tensor) -> Tensor:
        steps = value[..., 1:] - value[..., :-1]
        if self.init is None:
            steps = torch.cat([value[..., :1], steps], -1)
        scale = self.scale.unsqueeze(-1)
        walk = _normal((steps - self.drift.unsqueeze(-1)) / scale, scale.log()).sum(-1)
        return walk if self.init is None else walk + self.init.log_prob(value[..., 0])

    def _walk(self, sample_shape: Any, start: Tensor | None) -> Tensor:
        noise = self._noise(sample_shape, self.scale)
        steps = self.drift.unsqueeze(-1) + self.scale.unsqueeze(-1) * noise
        if start is not None:
            steps = torch.cat([start.unsqueeze(-1), steps[..., 1:]], -1)
        return steps.cumsum(-1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self._walk(sample_shape, None if self.init is None else self.init.rsample(sample_shape))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self._walk(sample_shape, None if self.init is None else self.init.sample(sample_shape))

    def _steps_before(self) -> Tensor:
        first = 1 if self.init is None else 0
        return torch.arange(first, first + self.event_shape[0]).to(self.scale)

    @property
    def mean(self) -> Tensor:
        start = 0.0 if self.init is None else self.init.mean.unsqueeze(-1)
        return self._event(start + self.drift.unsqueeze(-1) * self._steps_before())

    @property
    def variance(self) -> Tensor:
        start = 0.0 if self.init is None else self.init.variance.unsqueeze(-1)
        return self._event(start + self.scale.square().unsqueeze(-1) * self._steps_before())


@register(
    strategies=("reparam", "score"),
    example=lambda: [
        AutoregressiveNormal(torch.tensor([0.6, -0.2]), 0.5, 3),
        AutoregressiveNormal(torch.tensor([0.9]), 0.5, 3, loc=1.0, init_scale=2.0),
    ],
)
class AutoregressiveNormal(Joint):
    """AR(p): x_t = loc + Σ_k φ_k (x_{t-k} - loc) + scale · ε_t, with x_t = loc before the start.

    With `init_scale` the first p values are independent N(loc, init_scale²) instead, and the recursion starts
    after them. The precision matrix has p bands below its diagonal, so the density costs O(T p).

    Args:
        coefficients: φ_1 … φ_p, (…, p).  scale: > 0, (…).  num_steps: T > p, the length of a value.
        loc: (…).  init_scale: > 0, (…), or None.
    Source: Box, Jenkins, Reinsel 2008, Time series analysis, section 3.2.

    >>> AutoregressiveNormal(torch.tensor([0.5]), 1.0, 3).variance
    tensor([1.0000, 1.2500, 1.3125])
    """

    parameters: ClassVar[dict[str, int]] = {"coefficients": 1, "scale": 0, "loc": 0, "init_scale": 0}
    coefficients: Tensor
    scale: Tensor
    loc: Tensor
    init_scale: Tensor | None
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "coefficients": constraints.real_vector,
        "scale": constraints.positive,
        "loc": constraints.real,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        coefficients: Tensor,
        scale: float | Tensor,
        num_steps: int,
        loc: float | Tensor = 0.0,
        init_scale: float | Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        order = coefficients.shape[-1] if coefficients.dim() else 0
        _need_steps("AutoregressiveNormal", num_steps, order + 1)
        given = {} if init_scale is None else {"init_scale": init_scale}
        self._set((num_steps,), validate_args, coefficients=coefficients, scale=scale, loc=loc, **given)
        self.order = order
        if init_scale is None:
            self.init_scale = None

    def _log_prob(self, value: Tensor) -> Tensor:
        steps, order = self.event_shape[0], self.order
        deviation = value - self.loc.unsqueeze(-1)
        predicted = torch.zeros_like(deviation)
        for k in range(1, order + 1):
            # The deviations k steps before; none before the start.
            before = F.pad(deviation[..., : steps - k], (k, 0))
            predicted = predicted + self.coefficients[..., k - 1 : k] * before
        scale = self.scale.unsqueeze(-1)
        noise = (deviation - predicted) / scale
        if self.init_scale is None:
            return _normal(noise, scale.log()).sum(-1)
        first = self.init_scale.unsqueeze(-1)
        start = _normal(deviation[..., :order] / first, first.log()).sum(-1)
        return start + _normal(noise[..., order:], scale.log()).sum(-1)

    def _step(self, t: int) -> tuple[Tensor, int]:
        """The scale of the noise of step t and how many values before it matter."""
        if self.init_scale is not None and t < self.order:
            return self.init_scale, 0
        return self.scale, min(self.order, t)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        noise = self._noise(sample_shape, self.scale)
        past: list[Tensor] = []
        for t in range(self.event_shape[0]):
            scale, reach = self._step(t)
            x = noise[..., t] * scale
            for k in range(1, reach + 1):
                x = x + self.coefficients[..., k - 1] * past[-k]
            past.append(x)
        return self.loc.unsqueeze(-1) + torch.stack(past, -1)

    @property
    def mean(self) -> Tensor:
        return self._event(self.loc.unsqueeze(-1))

    @property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance, (…, T, T): the response of each value to each noise, by the
        recursion.
        """
        steps = self.event_shape[0]
        noise = torch.eye(steps).to(self.scale)
        rows: list[Tensor] = []
        for t in range(steps):
            scale, reach = self._step(t)
            row = noise[t] * scale.unsqueeze(-1)
            for k in range(1, reach + 1):
                row = row + self.coefficients[..., k - 1 : k] * rows[-k]
            rows.append(row.expand(self.batch_shape + (steps,)))
        return torch.stack(rows, -2)

    @property
    def variance(self) -> Tensor:
        return self.scale_tril.square().sum(-1)


@register(
    strategies=("reparam", "score"),
    example=lambda: BandedNormal(
        torch.tensor([0.5, -1.0, 0.0]), torch.tensor([[1.0, 1.2, 0.9], [0.3, -0.4, 0.0]])
    ),
)
class BandedNormal(Joint):
    """A normal whose precision matrix has a banded Cholesky factor: Q = L Lᵀ with L_ij = 0 for i - j > b.

    log p = -½ |Lᵀ(x - loc)|² + Σ_j log L_jj - D/2 log 2π, in O(D b).

    Args:
        loc: (…, D).
        precision_band: L by diagonals, (…, b + 1, D): element [k, j] is L[j + k, j], row 0 the (positive)
            diagonal;
            elements beyond the matrix (j + k ≥ D) are ignored. This is the lower form of SciPy's
            `cholesky_banded`.
    Source: Rue and Held 2005, Gaussian Markov random fields, section 2.4.

    >>> BandedNormal(torch.zeros(2), torch.ones(1, 2)).log_prob(torch.zeros(2))
    tensor(-1.8379)
    """

    parameters: ClassVar[dict[str, int]] = {"loc": 1, "precision_band": 2}
    loc: Tensor
    precision_band: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {"loc": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, precision_band: Tensor, validate_args: bool | None = None) -> None:
        self._set(loc.shape[-1:], validate_args, loc=loc, precision_band=precision_band)
        rows = self.precision_band.shape[-2]
        self._need("precision_band", self.precision_band.shape[-2:], (rows, self.event_shape[0]))
        if not 1 <= rows <= self.event_shape[0]:
            raise ParameterError(
                "precision_band of BandedNormal has more diagonals than the matrix",
                expected=f"1 to {self.event_shape[0]} rows",
                found=str(rows),
            )

    def _log_prob(self, value: Tensor) -> Tensor:
        size, band = self.event_shape[0], self.precision_band
        deviation = value - self.loc
        z = band[..., 0, :] * deviation
        for k in range(1, band.shape[-2]):
            z = z + F.pad(band[..., k, : size - k] * deviation[..., k:], (0, k))
        return _normal(z, -band[..., 0, :].log()).sum(-1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        # Back substitution in Lᵀ d = ε.
        noise, band = self._noise(sample_shape, self.loc), self.precision_band
        size = self.event_shape[0]
        solved: list[Tensor] = []
        for j in range(size - 1, -1, -1):
            x = noise[..., j]
            for k in range(1, min(band.shape[-2], size - j)):
                x = x - band[..., k, j] * solved[-k]
            solved.append(x / band[..., 0, j])
        return self.loc + torch.stack(solved[::-1], -1)

    @property
    def precision_tril(self) -> Tensor:
        """L as a dense matrix, (…, D, D)."""
        band, size = self.precision_band, self.event_shape[0]
        parts = [torch.diag_embed(band[..., k, : size - k], offset=-k) for k in range(band.shape[-2])]
        return torch.stack(parts).sum(0)

    @property
    def mean(self) -> Tensor:
        return self._event(self.loc)

    @property
    def variance(self) -> Tensor:
        identity = torch.eye(self.event_shape[0]).to(self.loc)
        inverse = torch.linalg.solve_triangular(self.precision_tril, identity, upper=False)
        return self._event(inverse.square().sum(-2))
