"""Graphs as plain data, and what was made of a graph once, kept on disk for the next process.

What a graph is, all of it but source marks, is the key; the answer is as good as a fresh one as long as this package
and torch are the same. A graph that holds anything of the user's own (a Python function, an operator that is not
declared in this package) has no key, and is worked on anew every time.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch._ops import OpOverload

from ppl.compiler.graph import Graph, Node, Plate, Type, intern_node
from ppl.compiler.native import cache as disk
from ppl.compiler.ops import OPERATORS, Constant
from ppl.compiler.ops.opaque import Slot

Plain = Any
"""Numbers, strings, bytes, None and tuples of plain values, the first of which says what it is."""

T = TypeVar("T")

_SIMPLE = {bool, int, float, str, bytes, type(None)}
_FORMAT = 2  # of marshal: later ones write equal values differently


class NotPortable(Exception):
    """Something means nothing in another process."""


# ---------------------------------------------------------------- there and back


def plain(value: Any) -> Plain:
    """A graph, what may stand in an attribute of a node, or part of a key, as plain data. Raises `NotPortable`."""
    kind = type(value)
    if kind in _SIMPLE:
        return value
    if kind is tuple:
        return ("tuple", *map(plain, value))
    if kind is torch.dtype:
        return ("dtype", str(value).removeprefix("torch."))
    if kind is Plate:
        return ("plate", value.depth, value.name, value.size)
    if kind is Type:
        return ("type", value.shape, plain(value.dtype))
    if kind is Constant:
        return ("constant", value.shape, plain(value.dtype), value.content)
    if kind is Graph:
        return _of_graph(value)
    if kind is Slot:
        return ("slot", value.index)
    if kind is OpOverload and value.namespace == "aten":
        return ("aten", value._opname, value._overloadname)
    raise NotPortable(f"{kind.__name__} {value!r}")


def whole(value: Plain) -> Any:
    """What `plain` made the data of."""
    if type(value) is not tuple:
        return value
    kind, *rest = value
    return _WHOLE[kind](*rest)


def _of_graph(graph: Graph) -> Plain:
    if graph.effects:
        raise NotPortable("random choices")
    place: dict[Node, int] = {}
    rows = []
    for node in graph.nodes():
        operator = OPERATORS.get(node.op)
        if operator is not None and not operator.home.startswith("ppl."):
            raise NotPortable(f"operator '{node.op}'")
        args = tuple((place[a],) if isinstance(a, Node) else plain(a) for a in node.args)
        attrs = tuple((name, plain(value)) for name, value in node.attrs)
        outs = None if node.outs is None else plain(node.outs)
        rows.append((node.op, args, attrs, plain(node.type), plain(node.plates), outs))
        place[node] = len(place)
    inputs, outputs = (tuple(place[n] for n in some) for some in (graph.inputs, graph.outputs))
    return ("graph", tuple(rows), inputs, outputs, graph.names)


def _graph(rows: Plain, inputs: Plain, outputs: Plain, names: tuple[str, ...]) -> Graph:
    """Inputs are the nodes that others know. The rest are not shared: they have lost their marks, which equal nodes
    of this process may have.
    """
    nodes: list[Node] = []
    for op, args, attrs, type_, plates, outs in rows:
        node = Node()
        node.op, node.mark = op, None
        node.args = tuple(nodes[a[0]] if type(a) is tuple else a for a in args)
        node.attrs = tuple((name, whole(value)) for name, value in attrs)
        node.type, node.plates, node.outs = whole(type_), whole(plates), whole(outs)
        nodes.append(intern_node(op, (), node.attrs, node.type, node.plates) if op == "input" else node)
    return Graph(tuple(nodes[i] for i in inputs), tuple(nodes[i] for i in outputs), (), names)


def _dtype(name: str) -> torch.dtype:
    found: torch.dtype = getattr(torch, name)
    return found


_WHOLE: dict[str, Callable[..., Any]] = {
    "tuple": lambda *items: tuple(map(whole, items)),
    "dtype": _dtype,
    "plate": Plate,
    "type": lambda shape, dtype: Type(shape, whole(dtype)),
    "constant": lambda shape, dtype, content: Constant(shape, whole(dtype), content),
    "graph": _graph,
    "slot": Slot,
    "aten": lambda name, overload: getattr(getattr(torch.ops.aten, name), overload),
}


# ---------------------------------------------------------------- on disk


def remembered(
    what: str, of: Any, make: Callable[[], T], pack: Callable[[T], Any], unpack: Callable[[Any], T]
) -> T:
    """`make()`, or what it gave in an earlier process.

    Args:
        what: the kind of result.
        of: all that it depends on, as something that `plain` takes.
        pack: the result as something that `plain` takes (it is not kept where it does not); unpack: the way back.
    """
    key = _key(what, of)
    if key is None:
        return make()
    found = disk.read(key)
    if found is not None:
        return unpack(whole(marshal.loads(found[1])))
    made = make()
    try:
        content = marshal.dumps(plain(pack(made)), _FORMAT)
    except NotPortable:
        return made
    disk.write(key, {"what": what}, content)
    return made


def _key(what: str, of: Any) -> str | None:
    if disk.folder() is None:
        return None
    try:
        text = repr((what, plain(of)))
    except NotPortable:
        return None
    return blake2b(_package() + text.encode(), digest_size=16).hexdigest()


@cache
def _package() -> bytes:
    """A digest of what works on graphs: this package's files, torch, Python."""
    root = Path(__file__).resolve().parents[1]
    words = [sys.version, torch.__version__, *sorted(_files(str(root)))]
    return blake2b("\0".join(words).encode(), digest_size=16).digest()


def _files(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.name.endswith(".py"):
            about = entry.stat()
            yield f"{entry.path} {about.st_mtime_ns} {about.st_size}"
