"""Graphs as text: one node a line, numbered in a deterministic order, so that equal graphs print (and hash)
alike.

What a node is stands in its line in full: two graphs that differ in anything but source marks differ in their
text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch._ops import OpOverload

from ppl.compiler.graph import Graph, Node, Plate
from ppl.compiler.ops.effects import EFFECTS, Effect, Site
from ppl.compiler.specs import spec_text


def to_text(graph: Graph, indent: str = "", marks: bool = False, head: str = "graph") -> str:
    """The graph as text; with `marks` every node shows the source line that made it.

    >>> import torch
    >>> from ppl.compiler.ops import make, make_input
    >>> x = make_input("x", (3,), torch.float64)
    >>> print(to_text(Graph((x,), (make("mul", x, 2.0),))))
    graph(%x.0: f64[3]):
      %0: f64[3] = mul(%x.0, 2.0)
      return %0
    """
    names: dict[Node, str] = {}
    rows = []
    for i, node in enumerate(graph.inputs):
        names[node] = f"%{node.attr('name')}.{i}"
    rows.append(f"{indent}{head}(" + ", ".join(f"{names[n]}: {_type(n)}" for n in graph.inputs) + "):")
    count = 0
    for node in graph.nodes():
        if node in names:
            continue
        names[node] = f"%{node.attr('name')}!" if node.op == "input" else f"%{count}"
        count += 1
        args = [names[a] if isinstance(a, Node) else repr(a) for a in node.args]
        place = f"  # {node.mark}" if marks and node.mark is not None else ""
        rows.append(f"{indent}  {names[node]}: {_type(node)} = {_call(node, args)}{place}")
        for label, body in _bodies(node):
            rows.append(to_text(body, indent + "    ", marks, label))
    outputs = ", ".join(names[o] for o in graph.outputs)
    effects = f"effects [{', '.join(names[e] for e in graph.effects)}]" if graph.effects else ""
    rows.append(indent + "  " + " ".join(part for part in ("return", outputs, effects) if part))
    return "\n".join(rows)


def _type(node: Node) -> str:
    kind = str(node.type) if node.outs is None else "(" + ", ".join(map(str, node.outs)) + ")"
    return kind + (f"@{'.'.join(map(str, node.plates))}" if node.plates else "")


def _call(node: Node, args: Sequence[str]) -> str:
    if node.op in EFFECTS:
        return _effect(node, args)
    if node.op == "draw":
        site: Site = node.attr("site")
        return _words(
            "draw",
            f'"{site.name}"',
            _spec(site, args),
            _every("lead", node.attr("lead")),
            _every("shape", node.attr("shape")),
            site.details(),
        )
    if node.op == "scan":
        k, m = node.attr("carries"), node.attr("xs")
        parts = (("from", args[:k]), ("over", args[k : k + m]), ("with", args[k + m :]))
        operands = [_every(word, names) for word, names in parts if names]
        return _words(
            "scan",
            f'"{node.attr("name")}"',
            f"{node.attr('length')} steps",
            "reverse" if node.attr("reverse") else "",
            *operands,
        )
    if node.op == "switch":
        return _words(
            "switch", f'"{node.attr("name")}"', f"on {args[0]}", _every("with", args[1:]) if args[1:] else ""
        )
    return f"{node.op}({', '.join([*args, *(f'{k}={_value(v)}' for k, v in node.attrs)])})"


def _bodies(node: Node) -> list[tuple[str, Graph]]:
    if node.op == "scan":
        return [("step", node.attr("body"))]
    if node.op == "switch":
        return [(f"branch {k}", branch) for k, branch in enumerate(node.attr("branches"))]
    return []


def _effect(node: Node, args: Sequence[str]) -> str:
    """`sample "theta" Normal(loc=%2, scale=%3) over school`: operands stand where they belong in the
    distribution."""
    e = Effect.of(node)
    rest = list(args)
    scale = rest.pop() if e.site.has_scale else None
    mask = rest.pop() if e.site.has_mask else None
    value = f"= {rest.pop(0)}" if e.value is not None else ""
    rest, reads = rest[: len(e.params)], rest[len(e.params) :]
    spec = _spec(e.site, rest)
    return _words(
        node.op,
        f'"{e.name}"',
        spec,
        f"({', '.join(rest)})" if rest and e.site.spec is None else "",
        value,
        f"over {', '.join(p.name for p in e.context)}" if e.context else "",
        f"reading {', '.join(reads)}" if reads else "",
        f"mask {mask}" if mask is not None else "",
        f"scale {scale}" if scale is not None else "",
        e.site.details(),
    )


def _spec(site: Site, names: Sequence[str]) -> str:
    # A site that do() fixed keeps its distribution, whose tensors are no operands any more.
    return "" if site.spec is None else spec_text(site.spec, ["·"] * 99 if site.fixed else names)


def _every(word: str, values: Sequence[Any]) -> str:
    return f"{word} ({', '.join(map(str, values))})"


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        inside = ", ".join(_value(v) for v in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return str(value) if isinstance(value, Plate | OpOverload) else spec_text(value, ())
