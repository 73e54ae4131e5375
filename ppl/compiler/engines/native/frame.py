"""Reading elements of nodes: what one element of a node is, in terms of elements of its arguments.

A view is arithmetic on the index, a pointwise operator an expression: both cost no memory. What must be stored
(reductions, scatters, factorisations …) is a *root*: its elements are read from where its statement put them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ppl.compiler.engines.native.index import Index, linear
from ppl.compiler.engines.native.pointwise import RULES, Unsupported, constant, kind_of
from ppl.compiler.engines.native.writer import Value, Writer
from ppl.compiler.graph import Node, Scalar
from ppl.compiler.ops import OPERATORS

Reader = Callable[[Sequence[Index]], Value]
Assumptions = dict[Node, int]
"""Input of whole numbers → they are assumed to lie in [0, this)."""


class Frame:
    """The nodes of one graph (the function's, or the body of a region) as text in a writer.

    Args:
        writer: the text.
        readers: how to read the graph's inputs and its roots.
        assume: gathers what must hold of index data, which is then not tested in the text; None: test it.
        data: inputs of the graph that are data, or parts of them → those data.
        held: reads a tensor that the graph itself holds.
        on_read: told of every element of an input or root that is read, and of every expression.
    """

    def __init__(
        self,
        writer: Writer,
        readers: dict[Node, Reader],
        assume: Assumptions | None,
        data: dict[Node, Node] | None = None,
        held: Callable[[Node, Sequence[Index]], Value] | None = None,
    ) -> None:
        self.writer = writer
        self.readers = readers
        self.assume = assume
        self.data = {} if data is None else data
        self.held = held
        self.on_read: Callable[[Node, Sequence[Index]], None] | None = None

    def read(self, node: Node | Scalar, idx: Sequence[Index]) -> Value:
        """Element `idx` of a node, as a value in the text."""
        if not isinstance(node, Node):
            return constant(node)
        if node.op == "full":
            return constant(node.attr("value"), kind_of(node.dtype))
        if node.op == "cat" and concatenated(self, node, idx) is not None:
            return self.compute(node, idx)
        key = (self, node, tuple(idx))
        known = self.writer.recall(key)
        if known is not None:
            return known
        if self.on_read is not None:
            self.on_read(node, idx)
        reader = self.readers.get(node)
        value = self.compute(node, idx) if reader is None else reader(idx)
        return self.writer.remember(key, value)

    def compute(self, node: Node, idx: Sequence[Index]) -> Value:
        """Element `idx` of a node from its arguments, even if the node is a root."""
        if node.op == "constant" and self.held is not None:
            return self.held(node, idx)
        if node.op in READ:
            return READ[node.op](self, node, idx)
        if node.op in OPERATORS and OPERATORS[node.op].kind in ("pointwise", "cast"):
            return self._pointwise(node, idx)
        raise Unsupported(f"operator '{name_of(node)}'")

    def _pointwise(self, node: Node, idx: Sequence[Index]) -> Value:
        rule = RULES.get(node.op)
        if rule is None:
            raise Unsupported(f"operator '{node.op}'")
        operands = [self.read(a, fit(idx, a)) for a in node.args]
        kind = kind_of(node.dtype)
        level = max((v.level for v in operands), default=0)
        text = rule(node, operands, kind, partial(self.writer.use, level=level))
        if len(operands) == 1 and text == operands[0].text:
            return operands[0]
        return self.writer.let(text, kind, level)

    def data_behind(self, node: Node) -> Node | None:
        """The data of which a node is a view."""
        while node.op in VIEWS:
            node = node.nodes[0]
        return node if node.op == "constant" else self.data.get(node)

    def index(self, node: Node, idx: Sequence[Index], size: int) -> Index:
        """Element `idx` of an integer node as an index below `size`. Index data are assumed to be in range
        (who binds the data looks); otherwise negative numbers count from the end, and what is out of range is
        moved into it.
        """
        value = self.read(node, idx)
        if value.const is not None:
            position = int(value.const)
            return Index.of(min(max(position + size if position < 0 else position, 0), size - 1))
        if size == 1:
            return Index()
        if not self._in_range(node, size):
            key = ("wrapped", value.text, size)
            known = self.writer.recall(key)
            if known is None:
                n, text = self.writer.number(size), value.text
                wrapped = f"min(max(select({text} < 0, {text} + {n}, {text}), 0), {n} - 1)"
                known = self.writer.remember(key, self.writer.let(wrapped, "i", value.level))
            value = known
        return self.writer.atom(value, size)

    def _in_range(self, node: Node, size: int) -> bool:
        """Whether all elements of an index are known, or may be assumed, to lie in [0, size)."""
        source = self.data_behind(node)
        if source is None:
            return False
        if source.op == "constant":
            places = source.attr("value").tensor()
            return bool(((places >= 0) & (places < size)).all())
        if self.assume is None:
            return False
        self.assume[source] = min(size, self.assume.get(source, size))
        return True


def name_of(node: Node) -> str:
    """The operator's name; of a call of torch's, the name of torch's function."""
    attrs = dict(node.attrs)
    if node.op == "vmapped":
        attrs = {**attrs, **dict(attrs.get("attrs") or ())}
    function = attrs.get("func")
    return str(function) if function is not None else str(attrs.get("op") or node.op)


VIEWS = ("reshape", "expand", "permute", "slice", "select", "flip", "wrap_index")


def fit(idx: Sequence[Index], operand: Node | Scalar) -> tuple[Index, ...]:
    """The index into an operand that is broadcast to where `idx` points."""
    if not isinstance(operand, Node):
        return ()
    own = idx[len(idx) - len(operand.shape) :]
    return tuple(Index() if n == 1 else i for i, n in zip(own, operand.shape, strict=True))


# ---------------------------------------------------------------- views


def _argument(node: Node) -> Node:
    return node.nodes[0]


def _reshape(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    x = _argument(node)
    return f.read(x, unravel(f, linear(idx, node.shape), x.shape))


def unravel(f: Frame, position: Index, shape: Sequence[int]) -> tuple[Index, ...]:
    """The index of the element at a row-major position."""
    wide = [d for d, n in enumerate(shape) if n != 1]
    result = [Index()] * len(shape)
    step = 1
    for d in wide:
        step *= shape[d]
    for d in wide:
        step //= shape[d]
        result[d], position = f.writer.divide(position, step, shape[d])
    return tuple(result)


def _expand(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    return f.read(_argument(node), fit(idx, _argument(node)))


def _permute(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    inner = [Index()] * len(idx)
    for position, d in enumerate(node.attr("dims")):
        inner[d] = idx[position]
    return f.read(_argument(node), inner)


def _slice(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    inner = list(idx)
    x = _argument(node)
    start, _, step = _range(node, x.shape[node.attr("dim")])
    d = node.attr("dim") % len(idx)
    inner[d] = idx[d].scaled(step).plus(start)
    return f.read(x, inner)


def _range(node: Node, size: int) -> tuple[int, int, int]:
    return slice(node.attr("start"), node.attr("stop"), node.attr("step")).indices(size)


def _select(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    x = _argument(node)
    d, at = node.attr("dim") % len(x.shape), node.attr("index")
    inner = list(idx)
    inner.insert(d, Index.of(at % x.shape[d]))
    return f.read(x, inner)


def _flip(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    inner = list(idx)
    for d in node.attr("dims"):
        inner[d] = idx[d].scaled(-1).plus(node.shape[d] - 1)
    return f.read(_argument(node), inner)


def _diagonal(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    x, offset = _argument(node), node.attr("offset")
    rank = len(x.shape)
    d1, d2 = node.attr("dim1") % rank, node.attr("dim2") % rank
    outer = iter(idx[:-1])
    inner = [Index() if d in (d1, d2) else next(outer) for d in range(rank)]
    inner[d1], inner[d2] = idx[-1].plus(max(0, -offset)), idx[-1].plus(max(0, offset))
    return f.read(x, inner)


# ---------------------------------------------------------------- values by position


def _iota(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    position = idx[0].scaled(node.attr("step"))
    if position.is_const:
        return constant(position.const, "i")
    return Value(f"({f.writer.index_text(position)})", "i", f.writer.index_level(position))


def _guarded(f: Frame, conditions: list[tuple[str, int]], value: Value) -> Value:
    """`value` where all conditions hold, else zero."""
    if not conditions:
        return value
    level = max(value.level, *(lv for _, lv in conditions))
    test = " & ".join(f"({c})" for c, _ in conditions)
    zero = {"f": "0.0", "i": "0", "b": "False"}[value.kind]
    return f.writer.let(f"select({test}, {value.text}, {zero})", value.kind, level)


def _at_least(f: Frame, index: Index, least: int) -> list[tuple[str, int]] | None:
    """The condition index >= least: none needed, impossible (None), or a test."""
    low, high = index.bounds(f.writer.sizes)
    if low >= least:
        return []
    if high < least:
        return None
    return [(f"{f.writer.index_text(index)} >= {f.writer.number(least)}", f.writer.index_level(index))]


def _within(f: Frame, index: Index, least: int, most: int) -> list[tuple[str, int]] | None:
    below, above = _at_least(f, index, least), _at_least(f, index.scaled(-1), -most)
    return None if below is None or above is None else below + above


def _zero(node: Node) -> Value:
    return constant(0, kind_of(node.dtype))


def undecided(f: Frame, node: Node, idx: Sequence[Index]) -> bool:
    """Whether it takes a test to say if element `idx` of an embedded slice is zero."""
    d = node.attr("dim") % len(idx)
    start, _, step = _range(node, node.attr("size"))
    return _within(f, idx[d], start, start + (node.nodes[0].shape[d] - 1) * step) not in (None, [])


def _slice_embed(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    g, d = _argument(node), node.attr("dim") % len(idx)
    start, _, step = _range(node, node.attr("size"))
    count = g.shape[d]
    if count == 0:
        return _zero(node)
    conditions = _within(f, idx[d], start, start + (count - 1) * step)
    if conditions is None:
        return _zero(node)
    inner = list(idx)
    if count == 1 and step == 1:
        inner[d] = Index()
    elif step != 1:
        quotient, rest = f.writer.divide(_clamped(f, idx[d], start, start + (count - 1) * step), step, count)
        exact = _within(f, rest, 0, 0)
        if exact is None:
            return _zero(node)
        conditions, inner[d] = conditions + exact, quotient
    else:
        inner[d] = _clamped(f, idx[d], start, start + count - 1)
    return _guarded(f, conditions, f.read(g, inner))


def _clamped(f: Frame, index: Index, start: int, stop: int) -> Index:
    """index − start, moved into [0, stop − start]: what is read there is not used outside."""
    shifted = index.plus(-start)
    low, high = shifted.bounds(f.writer.sizes)
    if low >= 0 and high <= stop - start:
        return shifted
    key = ("clamped", index, start, stop)
    known = f.writer.recall(key)
    if known is None:
        text = f"min(max({f.writer.index_text(shifted)}, 0), {f.writer.number(stop - start)})"
        known = f.writer.remember(key, f.writer.let(text, "i", f.writer.index_level(index)))
    return f.writer.atom(known, stop - start + 1)


def concatenated(f: Frame, node: Node, idx: Sequence[Index]) -> tuple[Node, tuple[Index, ...]] | None:
    """The part of a concatenation that holds element `idx`, and the index there, if that is plain."""
    d = node.attr("dim") % len(idx)
    low, high = idx[d].bounds(f.writer.sizes)
    start = 0
    for part in node.nodes:
        stop = start + part.shape[d]
        if start <= low and high < stop:
            return part, tuple(i.plus(-start) if axis == d else i for axis, i in enumerate(idx))
        start = stop
    return None


def _cat(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    found = concatenated(f, node, idx)
    if found is None:
        raise Unsupported("operator 'cat' read before it was stored")
    return f.read(*found)


def _triangle(sign: int) -> Callable[[Frame, Node, Sequence[Index]], Value]:
    def read(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
        gap = idx[-2].plus(idx[-1].scaled(-1)).scaled(sign)  # row − column for the lower triangle
        conditions = _at_least(f, gap, -sign * node.attr("diagonal", 0))
        if conditions is None:
            return _zero(node)
        return _guarded(f, conditions, f.read(_argument(node), idx))

    return read


def _diagonal_embed(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    g, offset, rank = _argument(node), node.attr("offset"), len(idx)
    d1, d2 = node.attr("dim1") % rank, node.attr("dim2") % rank
    row, col = idx[d1], idx[d2]
    gap = col.plus(row.scaled(-1))
    conditions = _within(f, gap, offset, offset)
    place = row.plus(-max(0, -offset))
    count = g.shape[-1]
    inside = None if conditions is None or count == 0 else _within(f, place, 0, count - 1)
    if conditions is None or inside is None:
        return _zero(node)
    outer = [i for d, i in enumerate(idx) if d not in (d1, d2)]
    return _guarded(f, conditions + inside, f.read(g, [*outer, _clamped(f, place, 0, count - 1)]))


# ---------------------------------------------------------------- reading at computed places


def _wrap_index(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    position = f.index(_argument(node), idx, node.attr("size"))
    if position.is_const:
        return constant(position.const, "i")
    return Value(position.terms[0][0], "i", f.writer.index_level(position))


def _take(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    x, i = node.nodes
    d = node.attr("dim") % len(x.shape)
    rank = len(i.shape)
    inner = list(idx[rank:])  # the axes of an index tensor stand first
    inner.insert(d, f.index(i, idx[:rank], x.shape[d]))
    return f.read(x, inner)


def _index(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    x, indices = node.nodes[0], node.nodes[1:]
    positions = node.attr("positions")
    rank = max(len(i.shape) for i in indices)
    adjacent = positions == tuple(range(positions[0], positions[0] + len(positions)))
    front = positions[0] if adjacent else 0
    at = idx[front : front + rank]
    rest = iter([*idx[:front], *idx[front + rank :]])
    chosen = {p: f.index(i, fit(at, i), x.shape[p]) for p, i in zip(positions, indices, strict=True)}
    return f.read(x, [chosen[d] if d in chosen else next(rest) for d in range(len(x.shape))])


def _gather(f: Frame, node: Node, idx: Sequence[Index]) -> Value:
    x, i = node.nodes
    inner = list(idx)
    d = node.attr("dim") % len(idx)
    inner[d] = f.index(i, idx, x.shape[d])
    return f.read(x, inner)


READ: dict[str, Callable[[Frame, Node, Sequence[Index]], Value]] = {
    "reshape": _reshape,
    "expand": _expand,
    "permute": _permute,
    "slice": _slice,
    "select": _select,
    "flip": _flip,
    "diagonal": _diagonal,
    "iota": _iota,
    "slice_embed": _slice_embed,
    "cat": _cat,
    "tril": _triangle(1),
    "triu": _triangle(-1),
    "diagonal_embed": _diagonal_embed,
    "wrap_index": _wrap_index,
    "take": _take,
    "index": _index,
    "gather": _gather,
}
"""Operators that are read element by element; operator → element of the node at an index."""
