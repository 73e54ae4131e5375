"""Graphs as text: one node a line, numbered in a deterministic order, so that equal graphs print (and hash) alike."""

from __future__ import annotations

from typing import Any

from ppl.compiler.graph import Graph, Node


def to_text(graph: Graph, indent: str = "", marks: bool = False) -> str:
    """The graph as text; with `marks` every node shows the source line that made it."""
    names: dict[Node, str] = {}
    rows = []
    for i, node in enumerate(graph.inputs):
        names[node] = f"%{node.attr('name')}.{i}"
    rows.append(indent + "graph(" + ", ".join(f"{names[n]}: {_type(n)}" for n in graph.inputs) + "):")
    count = 0
    for node in graph.nodes():
        if node in names:
            continue
        names[node] = f"%{node.attr('name')}!" if node.op == "input" else f"%{count}"
        count += 1
        args = ", ".join(names[a] if isinstance(a, Node) else repr(a) for a in node.args)
        attrs, inner = _attrs(node, indent + "    ", marks)
        place = f"  # {node.mark}" if marks and node.mark is not None else ""
        call = ", ".join(part for part in (args, attrs) if part)
        rows.append(f"{indent}  {names[node]}: {_type(node)} = {node.op}({call}){place}")
        rows.extend(inner)
    effects = f" effects [{', '.join(names[e] for e in graph.effects)}]" if graph.effects else ""
    rows.append(f"{indent}  return {', '.join(names[o] for o in graph.outputs)}{effects}")
    return "\n".join(rows)


def _type(node: Node) -> str:
    kind = str(node.type) if node.outs is None else "(" + ", ".join(map(str, node.outs)) + ")"
    return kind + (f"@{'.'.join(map(str, node.plates))}" if node.plates else "")


def _attrs(node: Node, indent: str, marks: bool) -> tuple[str, list[str]]:
    shown, inner = [], []
    for key, value in node.attrs:
        parts = value if isinstance(value, tuple) and value and all(isinstance(v, Graph) for v in value) else (value,)
        if all(isinstance(p, Graph) for p in parts):
            shown.append(f"{key}=<{len(parts)} graph{'s' if len(parts) != 1 else ''}>")
            inner.extend(to_text(p, indent, marks) for p in parts)
        else:
            shown.append(f"{key}={_value(value)}")
    return ", ".join(shown), inner


def _value(value: Any) -> str:
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, float):
        return value.hex() if value == value and abs(value) != float("inf") else repr(value)
    return str(value)
