"""Nodes computed by calls of library functions: factorisations, triangular systems, running sums."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ppl.compiler.engines.native.index import Index, linear
from ppl.compiler.engines.native.lower import BLOCKS, Lowering
from ppl.compiler.engines.native.pointwise import Unsupported
from ppl.compiler.graph import Node

LONGEST_SORT = 256
"""Insertion sort takes n² steps."""


def filled(lowering: Lowering, node: Node, array: str | None = None, batch: Sequence[int] = ()) -> str:
    """All elements of a node in a buffer, broadcast to leading axes `batch`."""
    shape = (*batch, *node.shape[len(node.shape) - 2 :]) if batch else node.shape
    name = array or lowering.shared.buffer(math.prod(shape))

    def along(rest: Sequence[int], idx: tuple[Index, ...]) -> None:
        if not rest:
            own = idx[len(idx) - len(node.shape) :]
            value = lowering.frame.read(
                node, [Index() if n == 1 else i for i, n in zip(own, node.shape, strict=True)]
            )
            lowering.store(name, linear(idx, shape), value)
            return
        with lowering.writer.loop(rest[0]) as i:
            along(rest[1:], (*idx, i))

    along(shape, ())
    return name


def result(lowering: Lowering, node: Node, array: str) -> None:
    """From here on the node is read from an array."""
    lowering.arrays[node] = array
    lowering.home[node] = lowering.writer.level
    lowering.frame.readers[node] = lowering._reader(node)


def call(lowering: Lowering, function: str, *arguments: object) -> None:
    lowering.writer.routine(function, [a for a in arguments if type(a) is int])
    texts = [lowering.writer.number(a) if type(a) is int else str(a) for a in arguments]
    lowering.writer.line(f"{function}({', '.join(texts)})")


def _at(lowering: Lowering, array: str, index: Index, size: int) -> str:
    """The array from element index · size on."""
    text = lowering.writer.index_text(index.scaled(size))
    return array if text == "0" else f"{array}[{text}:]"


def _cholesky(lowering: Lowering, node: Node) -> None:
    n = node.shape[-1]
    source = filled(lowering, node.nodes[0])
    out = lowering.shared.buffer(math.prod(node.shape))
    with lowering.writer.loop(math.prod(node.shape[:-2])) as b:
        place = (_at(lowering, source, b, n * n), _at(lowering, out, b, n * n))
        call(lowering, "cholesky", *place, n)
    result(lowering, node, out)


def _solve(lowering: Lowering, node: Node) -> None:
    batch, (n, m) = node.shape[:-2], node.shape[-2:]
    a, b = (filled(lowering, x, batch=batch) for x in node.nodes)
    out = lowering.shared.buffer(math.prod(node.shape))
    function = "solve_upper" if node.attr("upper") else "solve_lower"
    with lowering.writer.loop(math.prod(batch)) as i:
        left, right = _at(lowering, a, i, n * n), _at(lowering, b, i, n * m)
        call(lowering, function, left, right, _at(lowering, out, i, n * m), n, m, node.attr("unitriangular"))
    result(lowering, node, out)


def _solve_any(lowering: Lowering, node: Node) -> None:
    batch, (n, m) = node.shape[:-2], node.shape[-2:]
    a, b = (filled(lowering, x, batch=batch) for x in node.nodes)
    out = lowering.shared.buffer(math.prod(node.shape))
    with lowering.writer.loop(math.prod(batch)) as i:
        left, right = _at(lowering, a, i, n * n), _at(lowering, b, i, n * m)
        call(lowering, "solve_any", left, right, _at(lowering, out, i, n * m), n, m)
    result(lowering, node, out)


def _determinant(function: str) -> Callable[[Lowering, Node], None]:
    def block(lowering: Lowering, node: Node) -> None:
        n = node.nodes[0].shape[-1]
        source = filled(lowering, node.nodes[0])
        out, unused = lowering.shared.buffer(math.prod(node.shape)), lowering.shared.buffer(1)
        lowering.writer.routine(function, [n])
        with lowering.writer.loop(math.prod(node.shape)) as i:
            matrix, size = _at(lowering, source, i, n * n), lowering.writer.number(n)
            lowering.writer.line(
                f"{out}[{lowering.writer.index_text(i)}] = {function}({matrix}, {unused}, {size})"
            )
        result(lowering, node, out)

    return block


def _sizes(node: Node) -> tuple[int, int, int]:
    """Sizes before, of and after the axis that the operator works along."""
    shape = node.nodes[0].shape
    d = node.attr("dim") % len(shape) if shape else 0
    return math.prod(shape[:d]), shape[d] if shape else 1, math.prod(shape[d + 1 :])


def _running(function: str) -> Callable[[Lowering, Node], None]:
    def block(lowering: Lowering, node: Node) -> None:
        array = filled(lowering, node.nodes[0])
        call(lowering, function, array, *_sizes(node))
        result(lowering, node, array)

    return block


def _extreme(sign: str) -> Callable[[Lowering, Node], None]:
    def block(lowering: Lowering, node: Node) -> None:
        if node.attr("dim") is None:
            raise Unsupported(f"operator '{node.op}' over all axes")
        array = filled(lowering, node.nodes[0])
        out = lowering.shared.buffer(math.prod(node.shape))
        call(lowering, "place_of_extreme", array, out, *_sizes(node), sign)
        result(lowering, node, out)

    return block


def _argsort(lowering: Lowering, node: Node) -> None:
    sizes = _sizes(node)
    if sizes[1] > LONGEST_SORT:
        raise Unsupported(f"sorting {sizes[1]} numbers (at most {LONGEST_SORT})")
    array = filled(lowering, node.nodes[0])
    out = lowering.shared.buffer(math.prod(node.shape))
    call(lowering, "order_of", array, out, *sizes, "(-1.0)" if node.attr("descending") else "1.0")
    result(lowering, node, out)


BLOCKS |= {
    "cholesky": _cholesky,
    "solve_triangular": _solve,
    "solve": _solve_any,
    "logabsdet": _determinant("log_abs_det"),
    "detsign": _determinant("det_sign"),
    "cumsum": _running("running_sum"),
    "cumprod": _running("running_product"),
    "logcumsumexp": _running("running_logsumexp"),
    "argmax": _extreme("1.0"),
    "argmin": _extreme("(-1.0)"),
    "argsort": _argsort,
}
