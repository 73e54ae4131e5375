"""What a guide must know of a site's support: its name, or its bounds as numbers or data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.graph import Graph, Node, inline, topological
from ppl.compiler.ops import make_input
from ppl.compiler.ops.effects import EFFECTS
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.specs import Leaf, put_together, take_apart
from ppl.compiler.tracer import trace
from ppl.distributions import constraints
from ppl.distributions.constraints import Constraint, constraint_from
from ppl.errors import MethodError
from ppl.language.formula import formula
from ppl.language.structure import Statement

Bound = float | torch.Tensor | None

_CHOICES = (*EFFECTS, "scan", "switch", "draw")
"""Operators whose results data alone do not decide."""


@dataclass(frozen=True)
class Support:
    """`name` as `ppl.param` takes it; or an interval of `bounds` (a tensor has a bound for every element, loops
    leading); or, where neither says it, the constraint itself.
    """

    constraint: Constraint
    name: str | None = None
    bounds: tuple[Bound, Bound] | None = None

    @property
    def discrete(self) -> bool:
        return bool(self.constraint.is_discrete)


def support_of(statement: Statement, shape: Sequence[int]) -> Support:
    """The support of a site's values; tensors of bounds are expanded to `shape`, that of all elements.

    Raises:
        MethodError: it depends on random values.
    """
    e = statement.effect
    spec: list[object] = []

    def read(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        support = put_together(e.site.spec, tensors).support
        while isinstance(support, constraints.independent):
            support = support.base_constraint
        held: list[torch.Tensor] = []
        spec[:] = [take_apart(support, held)]
        return tuple(held)

    graph = trace(read, [make_input(f"p{i}", p.shape, p.dtype) for i, p in enumerate(e.params)])
    nodes = inline(graph, list(e.params))
    record: object = spec[0]
    if not nodes:
        return _named(put_together(record, []))
    values = [_number(n, statement, shape) for n in nodes]
    constraint = put_together(record, values)
    fields = {k for k, v in getattr(record, "fields", ()) if isinstance(v, Leaf)}
    if fields - {"lower_bound", "upper_bound"}:
        raise _unknown(statement, nodes)
    return _named(constraint)


def _named(constraint: Constraint) -> Support:
    name = constraints.name_of(constraint)
    if name is not None:
        return Support(constraint, name)
    if constraint.is_discrete or not (
        hasattr(constraint, "lower_bound") or hasattr(constraint, "upper_bound")
    ):
        return Support(constraint)
    bounds = getattr(constraint, "lower_bound", None), getattr(constraint, "upper_bound", None)
    return Support(constraint_from(bounds), bounds=bounds)


def _number(node: Node, statement: Statement, shape: Sequence[int]) -> float | torch.Tensor:
    """A bound that data decide: one number if all elements share it, else a tensor of `shape`."""
    recorded, plates = statement.scope.recorded, statement.effect.context
    nodes = topological([node])
    inputs = [n for n in nodes if n.op == "input"]
    if any(n.op in _CHOICES for n in nodes) or any(n not in recorded.data for n in inputs):
        raise _unknown(statement, [node])
    graph = vectorise(Graph(tuple(inputs), (node,)), plates)
    value = compile_torch(graph)(*[recorded.data[n] for n in inputs])[0]
    first = value.reshape(-1)[0]
    if bool((value == first).all()):
        return first.item()
    if len(plates) != len(statement.boxes):  # it differs from element to element, inside a scan
        raise _unknown(statement, [node])
    own = value.shape[len(plates) :]
    gap = (1,) * (len(shape) - len(plates) - len(own))
    return value.reshape(value.shape[: len(plates)] + gap + own).expand(tuple(shape))


def _unknown(statement: Statement, nodes: Sequence[Node]) -> MethodError:
    bounds = ", ".join(formula(n, statement.scope) for n in nodes)
    return MethodError(
        f"the support of '{statement.name}' is not known before inference: it depends on {bounds}",
        site=statement.name,
        where=statement.effect.node.mark,
        expected="bounds that are numbers or data",
        found=f"a support that moves with {bounds}",
        edit="sample it on a fixed support and map it there, or write the guide by hand",
    )
