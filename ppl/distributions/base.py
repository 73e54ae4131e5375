"""What the univariate families of this room share: broadcasting, `expand`, and guards that keep gradients
finite.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

Number = float | int | Tensor


def broadcast(*params: Number) -> tuple[Tensor, ...]:
    """Parameters as floating tensors of one shape.

    Plain numbers take the dtype of the floating tensors among `params` (else the default dtype) and stay real
    tensors while the others may be symbolic, so that a constant is still a constant in a recorded graph.

    >>> [tuple(p.shape) for p in broadcast(0.0, torch.ones(3))]
    [(3,), (3,)]
    """
    dtypes = [p.dtype for p in params if isinstance(p, Tensor) and p.is_floating_point()]
    dtype = dtypes[0] if dtypes else torch.get_default_dtype()
    for other in dtypes[1:]:
        dtype = torch.promote_types(dtype, other)
    cuda = next((p.device for p in params if isinstance(p, Tensor) and p.is_cuda), None)
    tensors = [p if isinstance(p, Tensor) else torch.tensor(p, dtype=dtype, device=cuda) for p in params]
    tensors = [t if t.is_floating_point() else t.to(dtype) for t in tensors]
    return tuple(torch.broadcast_tensors(*tensors))


def as_float(value: Number, like: Tensor) -> Tensor:
    """`value` as a floating tensor of the dtype of `like`."""
    return value.to(like.dtype) if isinstance(value, Tensor) else torch.tensor(value, dtype=like.dtype)


def guarded(value: Tensor, inside: Tensor, safe: float) -> Tensor:
    """`value` where `inside`, else `safe`: what to compute with, so that the untaken branch has a finite
    gradient.
    """
    return torch.where(inside, value, safe)


def only(inside: Tensor, log_prob: Tensor) -> Tensor:
    """`log_prob` inside the support, minus infinity outside."""
    return torch.where(inside, log_prob, -torch.inf)


def open_uniform(shape: torch.Size, like: Tensor) -> Tensor:
    """Uniform draws strictly between 0 and 1."""
    info = torch.finfo(like.dtype)
    return torch.rand(shape, dtype=like.dtype, device=like.device).clamp(info.tiny, 1 - info.eps / 2)


class Univariate(Distribution):
    """A scalar family with tensor parameters named in `fields`, in the order of the constructor.

    A subclass sets `fields`, stores each parameter under its name and defines `log_prob`. If it defines
    `log_cdf` and `log_survival` it gets `cdf`; if it defines `icdf` it gets a reparameterised sampler;
    otherwise it defines one.
    """

    fields: ClassVar[tuple[str, ...]] = ()

    def _set(self, validate_args: bool | None, **params: Number) -> None:
        """Stores the parameters, broadcast together, and finishes torch's construction."""
        for name, tensor in zip(params, broadcast(*params.values()), strict=True):
            setattr(self, name, tensor)
        shape = getattr(self, self.fields[0]).shape
        super().__init__(shape, validate_args=validate_args)

    @property
    def _first(self) -> Tensor:
        return getattr(self, self.fields[0])

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        shape = torch.Size(batch_shape)
        new = type(self)(**{f: getattr(self, f).expand(shape) for f in self.fields}, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def cdf(self, value: Tensor) -> Tensor:
        log_cdf = getattr(self, "log_cdf", None)
        if log_cdf is None:
            raise NotImplementedError(f"{type(self).__name__} has no cdf")
        return torch.exp(log_cdf(value))

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """Inverse-cdf draws; the gradient with respect to the parameters is that of `icdf`."""
        return self.icdf(open_uniform(self._extended_shape(sample_shape), self._first))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        with torch.no_grad():
            return self.rsample(sample_shape)
