"""The Graph: our own small typed IR.

A node is frozen and hash-consed: equal nodes are one object, so comparing is `is` and common subexpressions
are shared for free.
Every node has the shape and dtype of *one element*, and the plates it varies over. A plate is thus an
implicit named axis, not a
region: `mul(x, y)` of an `x` that varies over `school` and a `y` that does not is a node that varies over
    `school`. Four operators
move between implicit and explicit axes (`plate_index`, `plate_slice`, `plate_stack`, `plate_sum`). Only
`scan` and `switch`
are regions; their bodies are graphs of their own.

A graph is pure. Data are inputs; only scalars and uniform tensors (`full`) live inside it.
"""

from __future__ import annotations

import hashlib
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ppl.errors import Mark

Scalar = bool | int | float


@dataclass(frozen=True, slots=True, order=True)
class Plate:
    """A named axis of independent elements. `depth` orders nested plates, outermost first."""

    depth: int
    name: str
    size: int

    def __str__(self) -> str:
        return f"{self.name}:{self.size}"


@dataclass(frozen=True, slots=True)
class Type:
    """Shape and dtype of one element."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def __str__(self) -> str:
        short = str(self.dtype).removeprefix("torch.").replace("float", "f").replace("int", "i")
        return f"{short}[{', '.join(map(str, self.shape))}]"


class Node:
    """One value of a graph. Build nodes with `ppl.compiler.ops`, not with this constructor."""

    __slots__ = ("__weakref__", "args", "attrs", "mark", "op", "outs", "plates", "type")

    op: str
    args: tuple[Node | Scalar, ...]
    attrs: tuple[tuple[str, Any], ...]
    type: Type
    plates: tuple[Plate, ...]
    outs: tuple[Type, ...] | None
    mark: Mark | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.type.dtype

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The arguments that are nodes (the others are Python scalars)."""
        return tuple(a for a in self.args if isinstance(a, Node))

    def attr(self, name: str, default: Any = None) -> Any:
        for key, value in self.attrs:
            if key == name:
                return value
        return default

    @property
    def is_float(self) -> bool:
        return self.type.dtype.is_floating_point

    def __repr__(self) -> str:
        plates = f" over {', '.join(map(str, self.plates))}" if self.plates else ""
        return f"<{self.op} {self.type}{plates}>"


_TABLE: weakref.WeakValueDictionary[Any, Node] = weakref.WeakValueDictionary()


def _key_of(value: Any) -> Any:
    """Python equates 1, 1.0, True and 0.0, -0.0; the graph must not."""
    if isinstance(value, float):
        return (float, value, math.copysign(1.0, value)) if value == value else (float, "nan")
    if isinstance(value, bool | int):
        return (type(value), value)
    if isinstance(value, tuple):
        return tuple(_key_of(v) for v in value)
    return value


def intern_node(
    op: str,
    args: tuple[Node | Scalar, ...],
    attrs: tuple[tuple[str, Any], ...],
    type_: Type,
    plates: tuple[Plate, ...],
    outs: tuple[Type, ...] | None = None,
    mark: Mark | None = None,
) -> Node:
    """The one node with these fields (the source mark is not part of a node's identity)."""
    key = (
        op,
        tuple(a if isinstance(a, Node) else _key_of(a) for a in args),
        _key_of(attrs),
        type_,
        plates,
        outs,
    )
    node = _TABLE.get(key)
    if node is None:
        node = Node()
        node.op, node.args, node.attrs, node.type = op, args, attrs, type_
        node.plates, node.outs, node.mark = plates, outs, mark
        _TABLE[key] = node
    return node


def union_plates(args: Iterable[Node | Scalar], extra: tuple[Plate, ...] = ()) -> tuple[Plate, ...]:
    """The plates a value built from `args` varies over, outermost first."""
    result = extra
    for arg in args:
        if isinstance(arg, Node) and arg.plates and arg.plates != result:
            result = arg.plates if not result else tuple(sorted(set(result) | set(arg.plates)))
    return result


@dataclass(frozen=True)
class Graph:
    """Inputs, outputs and, in program order, the effects: `sample`, `observe`, `factor`, `deterministic`.

    `names` labels the outputs. A graph without effects is a pure function of its inputs.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    effects: tuple[Node, ...] = ()
    names: tuple[str, ...] = field(default=(), compare=False)

    def __hash__(self) -> int:
        return hash((self.inputs, self.outputs, self.effects))

    @property
    def roots(self) -> tuple[Node, ...]:
        return self.effects + self.outputs

    def nodes(self) -> list[Node]:
        """All nodes in an order where arguments come first (deterministic)."""
        return topological(self.inputs + self.roots)

    def regions(self) -> Iterator[Graph]:
        for node in self.nodes():
            yield from bodies(node)

    def __len__(self) -> int:
        return sum(1 for n in self.nodes() if n.op != "input") + sum(len(g) for g in self.regions())

    def __str__(self) -> str:
        from ppl.compiler.text import to_text

        return to_text(self)

    @property
    def digest(self) -> str:
        """A stable hash of the structure: equal across processes and independent of data values."""
        return hashlib.blake2b(str(self).encode(), digest_size=16).hexdigest()


def bodies(node: Node) -> tuple[Graph, ...]:
    """The sub-graphs of a region node."""
    return tuple(
        b for _, v in node.attrs for b in (v if isinstance(v, tuple) else (v,)) if isinstance(b, Graph)
    )


def topological(roots: Sequence[Node], stop: Iterable[Node] = ()) -> list[Node]:
    """Nodes reachable from `roots` without passing through `stop`, arguments first; iterative, so depth
    is no limit.
    """
    done: set[Node] = set(stop)
    order: list[Node] = []
    for root in roots:
        if root in done:
            continue
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, position = stack.pop()
            if node in done:
                continue
            args = node.args
            while position < len(args):
                arg = args[position]
                position += 1
                if isinstance(arg, Node) and arg not in done:
                    stack.append((node, position))
                    stack.append((arg, 0))
                    break
            else:
                done.add(node)
                order.append(node)
    return order


def rebuild(node: Node, args: tuple[Node | Scalar, ...]) -> Node:
    """`node` with other arguments of the same element types; the plates follow from the arguments."""
    if args == node.args and all(a is b for a, b in zip(args, node.args, strict=True) if isinstance(a, Node)):
        return node
    from ppl.compiler.ops import remake

    return remake(node, args)


Visit = Callable[[Node, tuple[Any, ...]], "Node | None"]


def substitute(roots: Sequence[Node], memo: dict[Node, Node], visit: Visit | None = None) -> list[Node]:
    """Rebuild `roots` bottom-up. `memo` maps nodes to their replacements (and is filled); `visit(node,
    new_args)` may
    return a replacement, or None for the plain rebuild."""
    for node in topological(roots, memo):
        args = tuple(memo[a] if isinstance(a, Node) else a for a in node.args)
        new = visit(node, args) if visit is not None else None
        memo[node] = rebuild(node, args) if new is None else new
    return [memo[r] for r in roots]


def inline(graph: Graph, args: Sequence[Node]) -> list[Node]:
    """The outputs of `graph` as a function of `args`."""
    if len(args) != len(graph.inputs):
        raise ValueError(f"graph takes {len(graph.inputs)} inputs, got {len(args)}")
    return substitute(graph.outputs, dict(zip(graph.inputs, args, strict=True)))
