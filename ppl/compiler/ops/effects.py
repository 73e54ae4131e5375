"""Effects: what a program does besides computing. They keep program order in `Graph.effects`.

`sample(params…)` is a random choice and its value; `observe(value, params…)` scores a value;
`factor(log_weight)` adds to the log
density; `deterministic(value)` names a value; `score_factor(x, score)` is a factor known by its gradient. What
a gradient strategy reads, a mask and a scale may
follow the parameters. `draw` is `sample` on physical tensors: what an engine runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ppl.compiler.graph import Node, Plate, Type, intern_node, union_plates
from ppl.compiler.ops.batching import Batched, sizes
from ppl.compiler.ops.core import REMAKE, Operand, define
from ppl.errors import Mark

EFFECTS = ("sample", "observe", "factor", "deterministic", "score_factor")


@dataclass(frozen=True)
class Site:
    """What is known of a site besides its operands. `spec` describes the distribution (see
    `compiler.specs`).
    """

    name: str
    spec: Any = None
    dims: tuple[str, ...] = ()
    grad: str = "auto"
    event_rank: int = 0
    reads: int = 0  # how many operands belong to the gradient strategy: a baseline, a control variate
    has_mask: bool = False
    has_scale: bool = False
    fixed: bool = False  # set by do()
    options: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        return " ".join(
            part
            for part in (f'"{self.name}"', repr(self.spec) if self.spec is not None else "", self.details())
            if part
        )

    def details(self) -> str:
        """What is unusual about the site, as words behind its distribution; empty for most."""
        words = []
        if self.dims:
            words.append(f"dims ({', '.join(self.dims)})")
        if self.grad != "auto":
            words.append(f"grad {self.grad}")
        if self.fixed:
            words.append("fixed")
        return " ".join([*words, *(k if v is True else f"{k} {v!r}" for k, v in self.options)])


def effect(
    kind: str,
    site: Site,
    args: Sequence[Node],
    type_: Type,
    context: tuple[Plate, ...],
    mask: Node | None = None,
    scale: Operand | None = None,
    mark: Mark | None = None,
    reads: Sequence[Node] = (),
) -> Node:
    """An effect node. `context` are the plates open where the statement stands."""
    extras: list[Operand] = [
        *reads,
        *([mask] if mask is not None else []),
        *([scale] if scale is not None else []),
    ]
    site = replace(site, reads=len(reads), has_mask=mask is not None, has_scale=scale is not None)
    return _build(kind, (*args, *extras), site, type_, context, mark)


def _build(
    kind: str,
    args: tuple[Operand, ...],
    site: Site,
    type_: Type,
    context: tuple[Plate, ...],
    mark: Mark | None,
) -> Node:
    attrs = (("context", context), ("site", site))
    return intern_node(kind, args, attrs, type_, union_plates(args, context), None, mark)


def _remake(node: Node, args: tuple[Operand, ...]) -> Node:
    return _build(node.op, args, node.attr("site"), node.type, node.attr("context"), node.mark)


def _no_derivative(out: Node, g: Operand, *args: Operand, **_: Any) -> list[None]:
    """A value drawn is a constant: what a derivative makes of it is up to its strategy."""
    return [None for _ in args]


for _kind in EFFECTS:
    REMAKE[_kind] = _remake
    define(_kind, lambda *_, **__: None, kind="effect", batch=None, vjp=_no_derivative)


@dataclass(frozen=True)
class Effect:
    """An effect node read apart."""

    node: Node
    site: Site
    value: Node | None
    params: tuple[Node, ...]
    mask: Node | None
    scale: Operand | None
    reads: tuple[Node, ...] = ()

    @staticmethod
    def of(node: Node) -> Effect:
        site: Site = node.attr("site")
        args = list(node.args)
        scale = args.pop() if site.has_scale else None
        mask = args.pop() if site.has_mask else None
        value = args.pop(0) if node.op != "sample" else None
        params, reads = (args[: len(args) - site.reads], args[len(args) - site.reads :])
        return Effect(node, site, value, tuple(params), mask, scale, tuple(reads))  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        return self.site.name

    @property
    def context(self) -> tuple[Plate, ...]:
        return self.node.attr("context")

    def replaced(self, **fields: Any) -> Node:
        """The effect with other `kind`, `site`, `value`, `params`, `mask`, `scale`, `reads` or `type`."""
        kind = fields.get("kind", self.node.op)
        value = fields.get("value", self.value)
        args = [*([value] if value is not None else []), *fields.get("params", self.params)]
        return effect(
            kind,
            fields.get("site", self.site),
            args,
            fields.get("type", self.node.type),
            fields.get("context", self.context),
            fields.get("mask", self.mask),
            fields.get("scale", self.scale),
            self.node.mark,
            fields.get("reads", self.reads),
        )

    @property
    def bare(self) -> Effect:
        """The effect with a node that doesn't depend on what the strategy reads."""
        return replace(self, node=self.replaced(reads=())) if self.reads else self


# ---------------------------------------------------------------- drawing


def _draw(*params: Any, site: Site, lead: tuple[int, ...], shape: tuple[int, ...], dtype: torch.dtype) -> Any:
    from ppl.compiler.specs import draw

    if params and params[0].device.type == "meta":
        return torch.empty(lead + shape, dtype=dtype, device="meta")
    return draw(site.spec, params, lead, shape).to(dtype)


define("draw", _draw, kind="random", batch=None)


def batch_effect(node: Node, args: Sequence[Any]) -> Node:
    """A `sample` becomes a `draw` for all its elements; the other effects have no value to run."""
    e = Effect.of(node)
    if node.op != "sample":
        return node
    bs = [a for a in args if isinstance(a, Batched)][: len(e.params)]
    params = tuple(b.aligned(node.plates, expand=True) for b in bs)
    lead = sizes(node.plates)
    attrs = (("dtype", node.dtype), ("lead", lead), ("shape", node.shape), ("site", e.site))
    return intern_node("draw", params, attrs, Type(lead + node.shape, node.dtype), (), None, node.mark)


def _remake_draw(node: Node, args: tuple[Operand, ...]) -> Node:
    return intern_node("draw", args, node.attrs, node.type, (), None, node.mark)


REMAKE["draw"] = _remake_draw
