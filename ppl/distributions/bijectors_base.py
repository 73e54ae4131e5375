"""The registry of bijectors and what this room's own have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import biject_to as _torch_biject_to
from torch.distributions.transforms import Transform

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.errors import PplError

__all__ = ["Bijection", "Shape", "biject_to", "register_bijector", "tiny"]

Shape = tuple[int, ...]


def tiny(x: Tensor) -> float:
    """The smallest normal number of a tensor's dtype: what logarithms are clamped at."""
    return torch.finfo(x.dtype).tiny


class Bijection(Transform):
    """What this room's bijectors share.

    A subclass gives `_call(u)`, `_inverse(x)` and `_log_det(u, x)`, the log-determinant of an event. Without
    parameters, equal types are equal maps.
    """

    bijective = True
    sign = 1

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def _log_det(self, u: Tensor, x: Tensor) -> Tensor:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |dy/dx|: torch's names, with x unconstrained and y in the support."""
        return self._log_det(x, y)


_FACTORIES: dict[type[Constraint], Callable[[Any], Transform]] = {}


def register_bijector(constraint: Constraint | type[Constraint], factory: Callable[[Any], Transform]) -> None:
    """Says which bijector serves a type of constraint; `factory` gets the constraint and gives a torch
    `Transform`.
    """
    _FACTORIES[constraint if isinstance(constraint, type) else type(constraint)] = factory


def biject_to(constraint: Constraint) -> Transform:
    """The bijector from unconstrained space onto `constraint`.

    Args:
        constraint: a support; `constraints.constraint_from` makes one of a name.

    Returns:
        A `Transform` with `log_abs_det_jacobian`, `inv`, `forward_shape` and `inverse_shape`.

    Raises:
        PplError: the support is discrete, or no bijector is known for it.

    >>> biject_to(constraints.ordered)(torch.zeros(3))
    tensor([0., 1., 2.])
    """
    factory = _FACTORIES.get(type(constraint))
    if factory is not None:
        return factory(constraint)
    if constraints.is_dependent(constraint):
        raise PplError(
            "this support depends on the distribution's parameters and has no bijector by itself",
            expected="the support of a distribution with its parameters",
            found=repr(constraint),
            edit="biject_to(d.support)",
        )
    if constraint.is_discrete:
        raise PplError(
            "a discrete support has no bijector from unconstrained space",
            expected="a continuous support",
            found=repr(constraint),
            edit="sum the site out, or use a method that handles discrete sites",
        )
    try:
        return _torch_biject_to(constraint)
    except NotImplementedError:
        raise PplError(
            "no bijector is known for this support",
            expected=", ".join(sorted(kind.__name__.lstrip("_") for kind in _FACTORIES)),
            found=repr(constraint),
            edit="register_bijector(constraint, factory)",
        ) from None
