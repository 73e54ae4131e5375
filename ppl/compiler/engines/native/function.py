"""A graph as one native function: its text, and what its parameters are."""

from __future__ import annotations

import dataclasses
import functools
import keyword
import math
import re
from dataclasses import dataclass
from typing import Any

from ppl.compiler.engines.native import blocks, columns, regions  # noqa: F401  (two of them fill BLOCKS)
from ppl.compiler.engines.native.decompose import decompose
from ppl.compiler.engines.native.frame import Assumptions, Reader
from ppl.compiler.engines.native.index import Index
from ppl.compiler.engines.native.lower import Lowering, Shared, array_reader, stored_kind
from ppl.compiler.engines.native.pointwise import kind_of
from ppl.compiler.engines.native.products import with_products
from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import Constant
from ppl.compiler.portable import remembered

VARYING = ("flat", "value")
"""Roles of inputs that change from call to call: they arrive in `x`, one after the other."""

NOISE = "noise"
"""Role of an input that a loop fills with random numbers before every call."""

NOT_VECTORISED = "@native(vectorise=False)\n"
"""Stands before the functions of a text of many short loops."""


@dataclass(frozen=True)
class Source:
    """The text of a graph as the native function `lowered(x, out, data…, buffers…, numbers…) -> i64`.

    Args:
        text: the source.
        data: the inputs that are data, in the order of their parameters.
        pointers: the types of the data's parameters, those of constants too.
        buffers: sizes of the work arrays, in the order of their parameters.
        numbers: values of the whole-number parameters, in order.
        uses: names of the special functions called.
        assume: index data → they must lie in [0, this).
        by_columns: data to be stored by columns, as `columns` says: their places in `data` and their widths.
        constants: tensors that the graph itself holds; their parameters follow those of the data.
        size_in, size_out: numbers in `x` and `out`.
        vectorise: is something to be won by vectors?
    """

    text: str
    data: tuple[Node, ...]
    pointers: tuple[str, ...]
    buffers: tuple[int, ...]
    numbers: tuple[int, ...]
    uses: frozenset[str]
    assume: Assumptions
    by_columns: tuple[tuple[int, int], ...]
    constants: tuple[Constant, ...]
    size_in: int
    size_out: int
    vectorise: bool


@functools.lru_cache(maxsize=16)
def to_source(graph: Graph, assume: bool = True) -> Source:
    """The native function of a graph (already vectorised), known if an earlier process had it. Raises `Unsupported`
    where the native engine has no way to run it.

    Args:
        graph: the graph; all its outputs are put into `out`, flattened, one after the other.
        assume: take index data to be in range, without a test at every read.
    """

    def pack(source: Source) -> tuple[tuple[str, Any], ...]:
        """With the places of inputs for nodes."""
        place = {node: i for i, node in enumerate(graph.inputs)}
        fields = {f.name: getattr(source, f.name) for f in dataclasses.fields(Source)}
        fields |= {
            "data": tuple(place[n] for n in source.data),
            "uses": tuple(sorted(source.uses)),
            "assume": tuple((place[n], size) for n, size in source.assume.items()),
        }
        return tuple(fields.items())

    def unpack(packed: tuple[tuple[str, Any], ...]) -> Source:
        fields = dict(packed)
        fields |= {
            "data": tuple(graph.inputs[i] for i in fields["data"]),
            "uses": frozenset(fields["uses"]),
            "assume": {graph.inputs[i]: size for i, size in fields["assume"]},
        }
        return Source(**fields)

    return remembered("native source", (graph, assume), lambda: lowered(graph, assume), pack, unpack)


def lowered(graph: Graph, assume: bool = True) -> Source:
    """`to_source`, worked out anew."""
    shared = Shared(assume={} if assume else None)
    graph = decompose(graph)
    fixed = [n for n in graph.inputs if n.attr("role") not in (*VARYING, NOISE)]
    matrices = frozenset(filter(columns.eligible, fixed))
    graph = with_products(graph, matrices)
    by_columns = columns.chosen(graph, matrices)
    readers: dict[Node, Reader] = {}
    data: dict[Node, str] = {}
    offset = 0
    for node in graph.inputs:
        if node.attr("role") in VARYING:
            readers[node] = array_reader(shared.writer, "x", "f", node, offset)
            kind_of(node.dtype)
            offset += math.prod(node.shape)
        else:
            data[node] = _name(node, len(data))
            if node in by_columns:
                readers[node] = columns.reader(shared.writer, data[node], node)
            else:
                readers[node] = array_reader(shared.writer, data[node], stored_kind(node), node)
    sinks, size_out = [], 0
    for node in graph.outputs:
        sinks.append((node, "out", Index.of(size_out)))
        size_out += math.prod(node.shape)
    lowering = Lowering(shared, graph, readers, {node: node for node in data}, by_columns)
    replaced = zip(lowering.graph.outputs, sinks, strict=True)
    lowering.run([(node, array, at) for node, (_, array, at) in replaced])
    return Source(
        _text(shared, data),
        tuple(data),
        tuple(_pointer(n) for n in (*data, *(node for node, _ in shared.constants.values()))),
        tuple(shared.buffers.values()),
        tuple(shared.writer.numbers),
        frozenset(shared.writer.uses),
        shared.assume or {},
        tuple((i, node.shape[1]) for i, node in enumerate(data) if node in by_columns),
        tuple(shared.constants),
        offset,
        size_out,
        shared.writer.vectorise,
    )


def _name(node: Node, position: int) -> str:
    clean = re.sub(r"\W", "_", str(node.attr("name")))
    return f"d{position}_{clean}" if not keyword.iskeyword(clean) else f"d{position}"


def _pointer(node: Node) -> str:
    return "Floats" if stored_kind(node) == "f" else "Ints"


def _text(shared: Shared, data: dict[Node, str]) -> str:
    parameters = ["x: Floats", "out: Floats"]
    parameters += [f"{name}: {_pointer(node)}" for node, name in data.items()]
    parameters += [f"{name}: {_pointer(node)}" for node, name in shared.constants.values()]
    parameters += [f"{name}: Floats" for name in shared.buffers]
    parameters += [f"{name}: i64" for name in shared.writer.numbers.values()]
    mark = "" if shared.writer.vectorise else NOT_VECTORISED
    return f"{mark}def lowered({', '.join(parameters)}) -> i64:\n{shared.writer.text()}\n    return 0\n"
