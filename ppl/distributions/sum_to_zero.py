"""Normals on the plane of vectors that sum to zero: exchangeable, and smooth over a graph."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint
from ppl.distributions.linear import LOG_2PI, Joint, cholesky, half_log_det
from ppl.distributions.registry import register
from ppl.distributions.special import constant
from ppl.errors import ParameterError

__all__ = ["IntrinsicCAR", "SumToZeroNormal"]


@register(
    strategies=("reparam", "score"),
    example=lambda: [SumToZeroNormal(3, 0.5), SumToZeroNormal(2, torch.tensor([0.5, 2.0]))],
)
class SumToZeroNormal(Joint):
    """A standard normal on the plane Σ x_i = 0, scaled: covariance scale² (I - 1 1ᵀ/D).

    log p = -½ |x/scale|² - (D - 1)(log scale + ½ log 2π), against the surface measure of the plane.

    Args:
        dim: D ≥ 2.  scale: > 0, (…).

    >>> SumToZeroNormal(2, 1.0).log_prob(torch.zeros(2))
    tensor(-0.9189)
    """

    parameters: ClassVar[dict[str, int]] = {"scale": 0}
    scale: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {"scale": constraints.positive}
    support = constraints.sum_to_zero
    has_rsample = True

    def __init__(self, dim: int, scale: float | Tensor = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ParameterError(
                "SumToZeroNormal needs a dimension of at least 2", expected="dim ≥ 2", found=str(dim)
            )
        self._set((dim,), validate_args, scale=scale)

    def _log_prob(self, value: Tensor) -> Tensor:
        free = self.event_shape[0] - 1
        squares = (value / self.scale.unsqueeze(-1)).square().sum(-1)
        return -0.5 * squares - free * (self.scale.log() + 0.5 * LOG_2PI)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        noise = self._noise(sample_shape, self.scale)
        return self.scale.unsqueeze(-1) * (noise - noise.mean(-1, keepdim=True))

    @property
    def mean(self) -> Tensor:
        return self._event(torch.zeros_like(self.scale).unsqueeze(-1))

    @property
    def variance(self) -> Tensor:
        return self._event((self.scale.square() * (1.0 - 1.0 / self.event_shape[0])).unsqueeze(-1))


def _check_connected(node1: Tensor, node2: Tensor, size: int) -> None:
    """Refuses edges that leave the graph or don't connect it; indices that aren't data yet can't be looked
    at.
    """
    if node1.is_meta or node2.is_meta:
        return
    edges = list(zip(node1.tolist(), node2.tolist(), strict=True))
    if any(a == b or not 0 <= a < size or not 0 <= b < size for a, b in edges):
        raise ParameterError(
            "an edge of IntrinsicCAR joins a node to itself or to one that doesn't exist",
            expected=f"pairs of different nodes 0 … {size - 1}",
        )
    near: list[list[int]] = [[] for _ in range(size)]
    for a, b in edges:
        near[a].append(b)
        near[b].append(a)
    seen, todo = {0}, [0]
    while todo:
        fresh = set(near[todo.pop()]) - seen
        seen |= fresh
        todo += fresh
    if len(seen) < size:
        raise ParameterError(
            "the graph of IntrinsicCAR is not connected, so a sum-to-zero constraint doesn't make it proper",
            expected=f"all {size} nodes reachable from node 0",
            found=f"{len(seen)} reachable",
            edit="one IntrinsicCAR for each connected part",
        )


@register(
    strategies=("reparam", "score"),
    example=lambda: IntrinsicCAR(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 3]), 4, 0.7),
)
class IntrinsicCAR(Joint):
    """Intrinsic conditional autoregression on a connected graph, made proper by Σ x_i = 0.

    log p = -½ Σ_edges (x_i - x_j)²/scale² + ½ log|Q|₊ - (D - 1)(log scale + ½ log 2π) against the surface
    measure of the plane, Q the graph's Laplacian and |·|₊ the product of its nonzero eigenvalues.

    Args:
        node1, node2: the ends of each edge, whole numbers from 0, (E,).  num_nodes: D.  scale: > 0, (…).
    Source: Besag, York, Mollié 1991; Rue and Held 2005, section 3.3.

    >>> IntrinsicCAR(torch.tensor([0]), torch.tensor([1]), 2).log_prob(torch.tensor([1.0, -1.0]))
    tensor(-2.5724)
    """

    parameters: ClassVar[dict[str, int]] = {"scale": 0}
    scale: Tensor
    arg_constraints: ClassVar[dict[str, Constraint]] = {"scale": constraints.positive}
    support = constraints.sum_to_zero
    has_rsample = True

    def __init__(
        self,
        node1: Tensor,
        node2: Tensor,
        num_nodes: int,
        scale: float | Tensor = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        self._set((num_nodes,), validate_args, scale=scale)
        _check_connected(node1, node2, num_nodes)
        self.node1, self.node2 = node1, node2
        eye = torch.eye(num_nodes, dtype=self.scale.dtype)
        edges = eye[node1] - eye[node2]
        # The constant direction gets eigenvalue 1, so that |Q + 1 1ᵀ/D| = |Q|₊.
        self._root = cholesky(edges.mT @ edges + 1.0 / num_nodes)

    def _log_prob(self, value: Tensor) -> Tensor:
        free = self.event_shape[0] - 1
        steps = (value[..., self.node1] - value[..., self.node2]) / self.scale.unsqueeze(-1)
        log_det = constant(half_log_det(self._root), self.scale)
        return log_det - 0.5 * steps.square().sum(-1) - free * (self.scale.log() + 0.5 * LOG_2PI)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        noise = self._noise(sample_shape, self.scale).unsqueeze(-1)
        x = torch.linalg.solve_triangular(self._root.mT.to(noise), noise, upper=True).squeeze(-1)
        return self.scale.unsqueeze(-1) * (x - x.mean(-1, keepdim=True))

    @property
    def mean(self) -> Tensor:
        return self._event(torch.zeros_like(self.scale).unsqueeze(-1))

    @property
    def variance(self) -> Tensor:
        inverse = torch.cholesky_inverse(self._root).diagonal() - 1.0 / self.event_shape[0]
        return self._event(self.scale.square().unsqueeze(-1) * inverse.to(self.scale))
