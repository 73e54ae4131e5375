"""Interval arithmetic on the Graph: between which numbers all values of a node lie.

What is not known is all real numbers, so that an answer may be too wide and is never too narrow. An end may be open:
exp(x) lies in (0, ∞) and x² in [0, ∞), of which only the second has 0 in it.

Source: Moore, Kearfott & Cloud, "Introduction to interval analysis" (2009).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from ppl.compiler.estimators import supports
from ppl.compiler.graph import Node, bodies, topological
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect

INFINITY = math.inf


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`; `below` and `above` say that the ends themselves are not in it."""

    low: float = -INFINITY
    high: float = INFINITY
    below: bool = False
    above: bool = False

    def __contains__(self, x: float) -> bool:
        low = self.low < x or (self.low == x and not self.below)
        return low and (x < self.high or (x == self.high and not self.above))

    def within(self, other: Interval) -> bool:
        """Whether it lies inside the other."""
        low = self.low > other.low or (self.low == other.low and (self.below or not other.below))
        return low and (
            self.high < other.high or (self.high == other.high and (self.above or not other.above))
        )

    @property
    def ends(self) -> tuple[tuple[float, bool], tuple[float, bool]]:
        return (self.low, self.below), (self.high, self.above)

    @property
    def single(self) -> bool:
        return self.low == self.high


Known = Mapping[Node, Interval]
"""Between which numbers inputs lie."""

REAL = Interval()
POSITIVE = Interval(0.0, INFINITY, below=True)
NONNEGATIVE = Interval(0.0)
UNIT = Interval(0.0, 1.0, True, True)


def hull(parts: Iterable[Interval]) -> Interval:
    """The least interval with all of these in it."""
    parts = list(parts)
    return _spanned([e for p in parts for e in p.ends[:1]], [e for p in parts for e in p.ends[1:]])


def _spanned(lows: Iterable[tuple[float, bool]], highs: Iterable[tuple[float, bool]]) -> Interval:
    """From the least of the lower ends to the greatest of the upper ones; a closed end before an open one."""
    low, below = min(lows)
    high, not_above = max((h, not o) for h, o in highs)
    return Interval(low, high, below, not not_above)


# ---------------------------------------------------------------- operators


def _add(x: Interval, y: Interval) -> Interval:
    return Interval(x.low + y.low, x.high + y.high, x.below or y.below, x.above or y.above)


def _neg(x: Interval) -> Interval:
    return Interval(-x.high, -x.low, x.above, x.below)


def _mul(x: Interval, y: Interval) -> Interval:
    ends = []
    for a, a_open in x.ends:
        for b, b_open in y.ends:
            closed_zero = (a == 0 and not a_open) or (b == 0 and not b_open)
            ends.append((0.0 if 0.0 in (a, b) else a * b, (a_open or b_open) and not closed_zero))
    return _spanned(ends, ends)


def _reciprocal(x: Interval) -> Interval:
    if 0.0 in x or x.low < 0.0 < x.high:
        return REAL
    if x.low >= 0:
        return Interval(
            0.0 if x.high == INFINITY else 1.0 / x.high,
            INFINITY if x.low == 0 else 1.0 / x.low,
            x.above or x.high == INFINITY,
            x.below,
        )
    return _neg(_reciprocal(_neg(x)))


def _even(x: Interval, n: float) -> Interval:
    """xⁿ of an even n above 0."""
    if x.low >= 0:
        return Interval(_power(x.low, n), _power(x.high, n), x.below, x.above)
    if x.high <= 0:
        return _even(_neg(x), n)
    high = max((-x.low, not x.below), (x.high, not x.above))
    return Interval(0.0, _power(high[0], n), False, not high[1])


def _power(x: float, n: float) -> float:
    try:
        return float(x**n)
    except (OverflowError, ZeroDivisionError):
        return INFINITY


def _pow(x: Interval, y: Interval) -> Interval:
    if not y.single:
        return POSITIVE if x.within(POSITIVE) else NONNEGATIVE if x.low >= 0 else REAL
    n = y.low
    if n < 0:
        return _reciprocal(_pow(x, Interval(-n, -n)))
    if n == 0:
        return Interval(1.0, 1.0)
    if n % 2 == 0:
        return _even(x, n)
    if x.low >= 0:
        return Interval(_power(x.low, n), _power(x.high, n), x.below, x.above)
    return REAL


def _monotone(
    f: Callable[[float], float], domain: Interval = REAL, limits: tuple[float, float] = (-INFINITY, INFINITY)
) -> Callable[[Interval], Interval]:
    """The rule of an increasing function, which comes close to its limits and doesn't reach them."""

    def at(x: float, default: float) -> float:
        try:
            return f(x)
        except (OverflowError, ValueError, ZeroDivisionError):
            return default

    def rule(x: Interval) -> Interval:
        low = at(max(x.low, domain.low), limits[0])
        high = at(min(x.high, domain.high), limits[1])
        return Interval(low, high, x.below or low == limits[0], x.above or high == limits[1])

    return rule


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x > -700 else 0.0


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _abs(x: Interval) -> Interval:
    return _even(x, 1.0)


def _maximum(x: Interval, y: Interval) -> Interval:
    low, below = max(x.ends[0], y.ends[0])
    return Interval(low, hull([x, y]).high, below, hull([x, y]).above)


def _fixed(found: Interval) -> Callable[..., Interval]:
    return lambda *_: found


def _bounded(x: Interval) -> Interval:
    return Interval(-1.0, 1.0)


RULES: dict[str, Callable[..., Interval]] = {
    "add": _add,
    "sub": lambda x, y: _add(x, _neg(y)),
    "neg": _neg,
    "mul": _mul,
    "div": lambda x, y: _mul(x, _reciprocal(y)),
    "reciprocal": _reciprocal,
    "pow": _pow,
    "abs": _abs,
    "exp": _monotone(math.exp, limits=(0.0, INFINITY)),
    "exp2": _monotone(lambda x: 2.0**x, limits=(0.0, INFINITY)),
    "expm1": _monotone(math.expm1, limits=(-1.0, INFINITY)),
    "log": _monotone(math.log, NONNEGATIVE),
    "log2": _monotone(math.log2, NONNEGATIVE),
    "log10": _monotone(math.log10, NONNEGATIVE),
    "log1p": _monotone(math.log1p, Interval(-1.0)),
    "sqrt": _monotone(math.sqrt, NONNEGATIVE),
    "rsqrt": lambda x: _reciprocal(RULES["sqrt"](x)),
    "sigmoid": _monotone(_sigmoid, limits=(0.0, 1.0)),
    "tanh": _monotone(math.tanh, limits=(-1.0, 1.0)),
    "softplus": _monotone(_softplus, limits=(0.0, INFINITY)),
    "log_sigmoid": _fixed(Interval(-INFINITY, 0.0, above=True)),
    "atan": _monotone(math.atan),
    "sinh": _monotone(math.sinh),
    "cosh": _fixed(Interval(1.0)),
    "sin": _bounded,
    "cos": _bounded,
    "erf": _monotone(math.erf, limits=(-1.0, 1.0)),
    "erfc": _fixed(Interval(0.0, 2.0, True, True)),
    "erfcx": _fixed(POSITIVE),
    "ndtr": _fixed(UNIT),
    "log_ndtr": _fixed(Interval(-INFINITY, 0.0, above=True)),
    "softmax": _fixed(UNIT),
    "log_softmax": _fixed(Interval(-INFINITY, 0.0, above=True)),
    "i0": _fixed(Interval(1.0)),
    "hypot": _fixed(NONNEGATIVE),
    "relu": lambda x: Interval(max(x.low, 0.0), max(x.high, 0.0), x.below and x.low >= 0, x.above),
    "maximum": _maximum,
    "minimum": lambda x, y: _neg(_maximum(_neg(x), _neg(y))),
    "where": lambda c, x, y: hull([x, y]),
}
"""The interval of a result, of the operands' intervals."""

_SAME = {
    "plate_slice", "plate_stack", "take", "select", "slice", "reshape", "permute", "transpose", "expand", "flip",
    "gather", "index", "to", "detach", "continuous", "density", "surrogate", "amax", "amin", "diagonal", "implicit",
    "implicit_gamma", "implicit_dirichlet", "cummax",
}  # fmt: skip
"""Operators whose results are among the numbers of their first operand."""


class Ranges:
    """The intervals of nodes.

    Args:
        known: of inputs, what is known of them.
    """

    def __init__(self, known: Known | None = None) -> None:
        self._known: dict[Node, Interval] = dict(known or {})

    def __getitem__(self, node: Node) -> Interval:
        if node in self._known:
            return self._known[node]
        for n in topological([node], self._known):
            self._known[n] = self._of(n)
        return self._known[node]

    def operand(self, a: Operand) -> Interval:
        return self[a] if isinstance(a, Node) else Interval(float(a), float(a))

    def inside(self, region: Node) -> list[Ranges]:
        """Of a region's bodies: what is known inside each."""
        found = [Ranges() for _ in bodies(region)]
        outer = region.nodes if region.op == "scan" else region.nodes[1:]
        for ranges, body in zip(found, bodies(region), strict=True):
            ranges._known.update((i, self[o]) for i, o in zip(body.inputs, outer, strict=True))
        if region.op == "scan":
            found[0]._settle(region)
        return found

    def _settle(self, scan: Node) -> None:
        """Carries as wide as their steps make them: an end that moves is as far as its sign lets it be."""
        body, k = bodies(scan)[0], scan.attr("carries")
        fixed = dict(self._known)
        for _ in range(4 * k + 1):
            self._known = dict(fixed)
            wider = False
            for c, out in zip(body.inputs[:k], body.outputs[:k], strict=True):
                if not self[out].within(fixed[c]):
                    fixed[c], wider = _widened(fixed[c], self[out]), True
            if not wider:
                return
        self._known = {**fixed, **dict.fromkeys(body.inputs[:k], REAL)}

    def _of(self, node: Node) -> Interval:
        op = node.op
        if op == "full":
            return self.operand(node.attr("value"))
        if op == "constant":
            return of_numbers(node.attr("value").tensor())
        if op in ("iota", "plate_index"):
            return NONNEGATIVE
        if op == "sample":
            return _of_sample(node, self)
        if op == "item":
            return self._item(node)
        if op in RULES:
            if op == "mul" and node.args[0] is node.args[1]:
                return _even(self.operand(node.args[0]), 2.0)
            if op == "div" and self._is_share(node):
                return UNIT
            return RULES[op](*map(self.operand, node.args))
        if op == "clamp":
            return self._clamped(node)
        if op == "diagonal" and _is_factor(node.nodes[0]):
            return POSITIVE
        if op in _SAME:
            return self[node.nodes[0]]
        if op == "cat":
            return hull(map(self.operand, node.args))
        return self._total(node)

    def _is_share(self, node: Node) -> bool:
        """Whether it is x / (x + y) of positive numbers."""
        x, whole = node.args
        if not (isinstance(whole, Node) and whole.op == "add" and x in whole.args):
            return False
        return all(self.operand(a).within(POSITIVE) for a in whole.args)

    def _clamped(self, node: Node) -> Interval:
        x, low, high = self[node.nodes[0]], node.attr("low"), node.attr("high")
        if low is not None and x.low < low:
            x = Interval(low, max(low, x.high), False, x.above and x.high > low)
        if high is not None and x.high > high:
            x = Interval(min(high, x.low), high, x.below and x.low < high, False)
        return x

    def _total(self, node: Node) -> Interval:
        """Sums and products of several numbers."""
        if node.op in ("sum", "plate_sum", "cumsum"):
            x = self[node.nodes[0]]
            several = node.op == "sum" and math.prod(node.nodes[0].shape) > math.prod(node.shape)
            # A sum of several squares is 0 in a point only, which no path through it meets.
            if x.low >= 0:
                return Interval(x.low, INFINITY, x.below or (several and x.low == 0))
            return Interval(-INFINITY, x.high, above=x.above) if x.high <= 0 else REAL
        if node.op in ("matmul", "prod", "cumprod"):
            parts = [self[n] for n in node.nodes]
            if all(p.within(POSITIVE) for p in parts):
                return POSITIVE
            return NONNEGATIVE if all(p.low >= 0 for p in parts) else REAL
        return REAL

    def _item(self, node: Node) -> Interval:
        region, index = node.nodes[0], node.attr("index")
        if region.op == "switch":
            return hull(
                inner[b.outputs[index]] for inner, b in zip(self.inside(region), bodies(region), strict=True)
            )
        if region.op != "scan":
            return REAL
        k, body = region.attr("carries"), bodies(region)[0]
        (inner,) = self.inside(region)
        if index >= len(body.outputs):
            return inner[body.inputs[index - len(body.outputs)]]
        found = inner[body.outputs[index]]
        return hull([found, self[region.nodes[index]]]) if index < k else found


def _is_factor(node: Node) -> bool:
    """Whether it is a Cholesky factor, whose diagonal is positive, if it is a number at all."""
    while node.op in ("expand", "to", "detach", "where"):
        args = node.args
        if node.op == "where" and (isinstance(args[2], Node) or args[2] == args[2]):
            return False
        inner = args[1] if node.op == "where" else args[0]
        if not isinstance(inner, Node):
            return False
        node = inner
    return node.op == "cholesky"


def _widened(old: Interval, new: Interval) -> Interval:
    both = hull([old, new])
    low, below = (both.low, both.below) if both.low == old.low else (-INFINITY, False)
    high, above = (both.high, both.above) if both.high == old.high else (INFINITY, False)
    if both.low >= 0 > low:
        low, below = 0.0, both.low > 0 or both.below
    if both.high <= 0 < high:
        high, above = 0.0, both.high < 0 or both.above
    return Interval(low, high, below, above)


def _of_sample(node: Node, ranges: Ranges) -> Interval:
    """The support of a choice; of one that is continuous without its ends, which have no probability."""
    e = Effect.of(node)
    kind = supports.kind(e.site.spec, e.params)
    if kind == "simplex":
        return UNIT
    if kind == "positive_ordered":
        return Interval(0.0, INFINITY, True, True)
    found = None if kind is not None else supports.region(e.site.spec, e.params)
    if found is None:
        return REAL
    low, high = (
        ranges.operand(b) if isinstance(b, Node) else Interval(b, b) for b in (found.low, found.high)
    )
    open_ends = not found.whole and node.is_float
    return Interval(low.low, high.high, open_ends or low.below, open_ends or high.above)


def of_numbers(x: torch.Tensor) -> Interval:
    """The least interval with all elements of a tensor in it."""
    if x.numel() == 0 or x.is_complex():
        return REAL
    low, high = float(x.min()), float(x.max())
    return Interval(low, high) if low <= high else REAL
