"""Supports: torch's constraints under one name space, those torch lacks, and `constraint_from` for the names
users write.

A constraint says which values are possible: `check(value)` gives one truth value per event, `event_dim` how
many trailing dimensions make up an event. Every `check` here is made of torch operations alone, so it also
runs on tensors without data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import constraints as _torch
from torch.distributions.constraints import (
    Constraint,
    boolean,
    cat,
    dependent,
    dependent_property,
    greater_than,
    greater_than_eq,
    half_open_interval,
    independent,
    integer_interval,
    interval,
    is_dependent,
    less_than,
    multinomial,
    nonnegative,
    nonnegative_integer,
    one_hot,
    positive,
    positive_integer,
    real,
    real_vector,
    stack,
    unit_interval,
)

from ppl.errors import PplError, closest

__all__ = [
    "Constraint",
    "boolean",
    "cat",
    "constraint_from",
    "corr_cholesky",
    "corr_matrix",
    "cov",
    "dependent",
    "dependent_property",
    "fixed_sum_counts",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "mean_and_cov",
    "multinomial",
    "name_of",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "ordered",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_ordered",
    "product",
    "real",
    "real_vector",
    "row_stochastic",
    "simplex",
    "stack",
    "sum_to_zero",
    "unit_interval",
    "unit_vector",
]


def _tolerance(value: Tensor, size: int) -> float:
    """Rounding error to allow in a sum of `size` terms of order one."""
    return 1e3 * max(size, 1) * torch.finfo(value.dtype).eps


class _Named:
    """Prints a constraint by its name."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Ordered(_Named, Constraint):
    """Vectors with x_1 < x_2 < … < x_D."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value == value).all(-1) & (value[..., 1:] > value[..., :-1]).all(-1)


class PositiveOrdered(Ordered):
    """Vectors with 0 < x_1 < x_2 < … < x_D."""

    def check(self, value: Tensor) -> Tensor:
        return super().check(value) & (value > 0).all(-1)


class SumToZero(_Named, Constraint):
    """Vectors with Σ x_i = 0: a hyperplane of dimension D - 1."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        size = 1.0 + value.abs().sum(-1)
        return value.sum(-1).abs() <= _tolerance(value, value.shape[-1]) * size


class UnitVector(_Named, Constraint):
    """The unit sphere in R^D: Σ x_i² = 1."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value.square().sum(-1) - 1.0).abs() <= _tolerance(value, value.shape[-1])


class Simplex(_Named, type(_torch.simplex)):  # type: ignore[misc]
    """Vectors with x_i ≥ 0 and Σ x_i = 1 (a tolerance fit for the dtype)."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        total = (value.sum(-1) - 1.0).abs() <= max(1e-6, _tolerance(value, value.shape[-1]))
        return (value >= 0).all(-1) & total


class RowStochastic(_Named, Constraint):
    """Matrices each of whose rows is a simplex: transition matrices."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        return simplex.check(value).all(-1)


class LowerCholesky(_Named, type(_torch.lower_cholesky)):  # type: ignore[misc]
    """Lower-triangular matrices with a positive diagonal."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        triangular = (value.tril() == value).all(-1).all(-1)
        return triangular & (value.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


class CorrCholesky(_Named, type(_torch.corr_cholesky)):  # type: ignore[misc]
    """Cholesky factors of correlation matrices: lower-triangular, positive diagonal, rows of unit length."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        unit = (value.square().sum(-1) - 1.0).abs() <= _tolerance(value, value.shape[-1])
        return lower_cholesky.check(value) & unit.all(-1)


class Cov(_Named, type(_torch.positive_definite)):  # type: ignore[misc]
    """Symmetric positive definite matrices."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        symmetric = torch.isclose(value, value.mT, atol=1e-6).all(-1).all(-1)
        return symmetric & (torch.linalg.cholesky_ex(value).info == 0)


class CorrMatrix(_Named, Constraint):
    """Correlation matrices: symmetric, positive definite, with a diagonal of ones."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        ones = (value.diagonal(dim1=-2, dim2=-1) - 1.0).abs() <= _tolerance(value, value.shape[-1])
        return cov.check(value) & ones.all(-1)


class MeanAndCov(_Named, Constraint):
    """Matrices of D + 1 rows and D columns: a mean vector (row 0) over a covariance matrix (rows 1 to D)."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        mean = value[..., 0, :]
        return (mean == mean).all(-1) & cov.check(value[..., 1:, :])


class FixedSumCounts(Constraint):
    """Vectors of counts x_i ∈ {0, 1, …} with Σ x_i = total."""

    is_discrete = True
    event_dim = 1

    def __init__(self, total: int | Tensor) -> None:
        self.total = total
        super().__init__()

    def __repr__(self) -> str:
        return f"FixedSumCounts(total={self.total})"

    def check(self, value: Tensor) -> Tensor:
        return ((value >= 0) & (value % 1 == 0)).all(-1) & (value.sum(-1) == self.total)


class ProductSupport(Constraint):
    """Flat vectors made of the events of several constraints, one after the other.

    `parts` are the constraints and `event_shapes` the shapes of their events; each event is flattened row by
    row.
    """

    event_dim = 1

    def __init__(self, parts: Sequence[Constraint], event_shapes: Sequence[Sequence[int]]) -> None:
        self.parts = tuple(parts)
        self.event_shapes = tuple(torch.Size(shape) for shape in event_shapes)
        self.sizes = tuple(math.prod(shape) for shape in self.event_shapes)
        super().__init__()

    def __repr__(self) -> str:
        return f"ProductSupport({', '.join(map(repr, self.parts))})"

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        return any(part.is_discrete for part in self.parts)

    def split(self, value: Tensor) -> list[Tensor]:
        """The parts' events, in their own shapes."""
        lead = value.shape[:-1]
        pieces = zip(value.split(self.sizes, -1), self.event_shapes, strict=True)
        return [piece.reshape(lead + shape) for piece, shape in pieces]

    def check(self, value: Tensor) -> Tensor:
        pieces = zip(self.parts, self.split(value), strict=True)
        valid = [part.check(piece).reshape(value.shape[:-1] + (-1,)) for part, piece in pieces]
        return torch.cat(valid, -1).all(-1)


ordered = Ordered()
positive_ordered = PositiveOrdered()
sum_to_zero = SumToZero()
unit_vector = UnitVector()
simplex = Simplex()
row_stochastic = RowStochastic()
lower_cholesky = LowerCholesky()
corr_cholesky = CorrCholesky()
corr_matrix = CorrMatrix()
cov = Cov()
positive_definite = cov
mean_and_cov = MeanAndCov()
fixed_sum_counts = FixedSumCounts
product = ProductSupport

_NAMES: dict[str, Constraint] = {
    "real": real,
    "real_vector": real_vector,
    "positive": positive,
    "nonnegative": nonnegative,
    "unit": unit_interval,
    "unit_interval": unit_interval,
    "simplex": simplex,
    "row_stochastic": row_stochastic,
    "ordered": ordered,
    "positive_ordered": positive_ordered,
    "sum_to_zero": sum_to_zero,
    "unit_vector": unit_vector,
    "corr_cholesky": corr_cholesky,
    "corr_matrix": corr_matrix,
    "cov": cov,
    "positive_definite": cov,
    "lower_cholesky": lower_cholesky,
    "boolean": boolean,
    "nonnegative_integer": nonnegative_integer,
    "positive_integer": positive_integer,
}


def _infinite(bound: object, sign: float) -> bool:
    return bound is None or (isinstance(bound, (int, float)) and bound == sign * math.inf)


def _interval_from(lower: object, upper: object) -> Constraint:
    """The interval between two bounds (numbers, tensors, or None and ±inf for no bound)."""
    for bound in (lower, upper):
        if not (bound is None or isinstance(bound, (int, float, Tensor))):
            raise PplError(
                "a bound is neither a number nor a tensor",
                expected="(lower, upper)",
                found=repr((lower, upper)),
                edit="constraint=(0.0, 1.0)",
            )
    if isinstance(lower, (int, float)) and isinstance(upper, (int, float)) and not lower < upper:
        raise PplError(
            "an interval must have its lower bound below its upper bound",
            expected="lower < upper",
            found=f"({lower}, {upper})",
            edit=f"constraint=({min(lower, upper)}, {max(lower, upper)})",
        )
    if _infinite(lower, -1):
        return real if _infinite(upper, 1) else less_than(upper)
    return greater_than(lower) if _infinite(upper, 1) else interval(lower, upper)


def constraint_from(spec: str | tuple[object, object] | Constraint) -> Constraint:
    """The constraint that `spec` names.

    Args:
        spec: a name ("real", "positive", "unit", "simplex", "ordered", "positive_ordered", "sum_to_zero",
            "unit_vector",
            "row_stochastic", "corr_cholesky", "corr_matrix", "cov", "lower_cholesky", …), a pair (lower,
            upper) of numbers, tensors or None (no bound), or a constraint, which is handed back.

    Raises:
        PplError: the name is unknown (the closest names are listed), or the pair isn't an interval.

    >>> constraint_from("ordered").check(torch.tensor([1.0, 2.0, 3.0]))
    tensor(True)
    >>> constraint_from((0.0, None))
    GreaterThan(lower_bound=0.0)
    """
    if isinstance(spec, Constraint):
        return spec
    if isinstance(spec, str):
        if spec in _NAMES:
            return _NAMES[spec]
        near = closest(spec, _NAMES) or sorted(_NAMES)
        raise PplError(
            f"`{spec}` is not the name of a constraint",
            expected=", ".join(near),
            found=repr(spec),
            edit=f'constraint="{near[0]}"',
        )
    if isinstance(spec, (tuple, list)) and len(spec) == 2:
        return _interval_from(*spec)
    raise PplError(
        "a constraint is a name, a pair of bounds or a constraint object",
        expected='"positive", (lower, upper), ppl.distributions.constraints.ordered, …',
        found=repr(spec),
        edit='constraint="real"',
    )


def name_of(constraint: Constraint) -> str | None:
    """The name by which `constraint_from` knows a constraint (torch's own included), or None.

    >>> name_of(positive), name_of(_torch.simplex), name_of(interval(0.0, 2.0))
    ('positive', 'simplex', None)
    """
    if isinstance(constraint, independent):
        flat = constraint.base_constraint is real and constraint.reinterpreted_batch_ndims == 1
        return "real_vector" if flat else None
    own = [name for name, known in _NAMES.items() if type(known) is type(constraint)]
    torchs = [name for name, known in _NAMES.items() if type(constraint) in type(known).__bases__]
    return next((name for name in own or torchs if _bounds(_NAMES[name]) == _bounds(constraint)), None)


def _bounds(constraint: Constraint) -> tuple[object, object]:
    """The ends of an interval; a tensor is equal to nothing but itself."""
    ends = (getattr(constraint, name, None) for name in ("lower_bound", "upper_bound"))
    lower, upper = (id(end) if isinstance(end, Tensor) else end for end in ends)
    return lower, upper
