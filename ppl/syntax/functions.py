"""The functions of the language: names, arguments, and what is known of their results. How they are computed is in
`mathematics.py`; nothing here loads torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ppl.syntax.values import (
    ANY,
    NONNEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    Interval,
    Mismatch,
    Shape,
    Size,
    Value,
    broadcast,
    same,
)

CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}

ALIASES = {"inv_logit": "sigmoid", "logsumexp": "log_sum_exp"}
"""Other systems' names for ours."""


class Unfit(Exception):
    """Arguments that don't go together: `sizes` if two axes differ, else a headline."""

    def __init__(self, headline: str, sizes: Mismatch | None = None) -> None:
        self.headline, self.sizes = headline, sizes
        super().__init__(headline)


@dataclass(frozen=True, slots=True)
class Signature:
    """A function: the words for its arguments, the fewest and most of them, names that may be given, the result."""

    arguments: str
    least: int
    most: int
    result: Callable[[Sequence[Value]], Value]
    keywords: tuple[str, ...] = ()
    needs: Interval = REAL
    """What the first argument has to be; an error if nothing of it is."""
    along: Signature | None = None
    """The function where an axis is named, if that is another one: `max(x, axis=0)` and `max(x, 0)`."""
    sizes: tuple[int, int] = (0, 0)
    """From which argument to before which they are sizes, and so whole numbers."""


_ALL, _REST = (0, 20), (1, 20)


def _ends(f: Callable[[float], float], interval: Interval) -> Interval:
    """The image of an interval under a function that never falls."""
    values = []
    for end in (interval.low, interval.high):
        try:
            values.append(f(end))
        except (ValueError, OverflowError):
            values.append(math.inf if end > 0 else -math.inf)
    return Interval(values[0], values[1], interval.open_low, interval.open_high)


def _pointwise(
    bounds: Callable[[Interval], Interval] | Interval, needs: Interval = REAL, n: int = 1
) -> Signature:
    def result(arguments: Sequence[Value]) -> Value:
        interval = bounds if isinstance(bounds, Interval) else bounds(arguments[0].interval)
        return Value("real", interval, _shape(arguments))

    return Signature(", ".join("xyz"[:n]), n, n, result, needs=needs)


def _shape(arguments: Sequence[Value]) -> Shape:
    shape = broadcast([a.shape for a in arguments])
    if isinstance(shape, Mismatch):
        raise Unfit("these don't have one shape", shape)
    return shape


def _reduction(bounds: Callable[[Value], Interval], kind: str | None = None) -> Signature:
    def result(arguments: Sequence[Value]) -> Value:
        (x, *axis) = arguments
        shape: Shape = ()
        if axis:
            at = axis[0].interval
            rank = x.rank
            if rank is None or at.low != at.high:
                shape = None
            elif not -rank <= at.low < rank:
                raise Unfit(f"there is no axis {at.low:g}: it has {rank}")
            else:
                assert x.shape is not None
                gone = int(at.low) % rank
                shape = tuple(s for a, s in enumerate(x.shape) if a != gone)
        return Value(kind or ("int" if x.kind == "bool" else x.kind), bounds(x), shape)

    return Signature("x, axis=", 1, 2, result, ("axis",))


def _sum(x: Value) -> Interval:
    low = 0.0 if x.interval.low >= 0 else -math.inf
    high = 0.0 if x.interval.high <= 0 else math.inf
    return Interval(low, high, x.interval.open_low and low == 0.0, False)


def _same_shape(bounds: Interval | None = None, structure: str = "") -> Signature:
    def result(arguments: Sequence[Value]) -> Value:
        x = arguments[0]
        interval = x.interval if bounds is None else bounds
        last = len(arguments) == 1 or arguments[1].interval == Interval(-1.0, -1.0)
        return Value("real" if bounds is not None else x.kind, interval, x.shape, structure if last else "")

    return Signature("x, axis=", 1, 2, result, ("axis",))


def _extreme(pick: Callable[[float, float], float]) -> Signature:
    def result(arguments: Sequence[Value]) -> Value:
        if len(arguments) == 1:
            return replace(arguments[0], shape=(), structure="")
        interval = arguments[0].interval
        for other in arguments[1:]:
            interval = Interval(
                pick(interval.low, other.interval.low), pick(interval.high, other.interval.high)
            )
        kind = "int" if all(a.kind == "int" for a in arguments) else "real"
        return Value(kind, interval, _shape(arguments))

    return Signature("x, …, axis=", 1, 9, result, ("axis",), along=_reduction(lambda x: x.interval))


def _sizes(arguments: Sequence[Value], names: Sequence[str | int | None]) -> Shape:
    return tuple(names)


def _square(kind: str = "real", structure: str = "", interval: Interval = REAL) -> Signature:
    """A function of a square matrix that gives one."""

    def result(arguments: Sequence[Value]) -> Value:
        return Value(kind, interval, _matrix(arguments[0]), structure)

    return Signature("A", 1, 1, result)


def _matrix(x: Value) -> Shape:
    if x.rank is not None and x.rank < 2:
        raise Unfit("this takes a matrix")
    if x.shape is not None and isinstance(joined := same(x.shape[-2], x.shape[-1]), Mismatch):
        raise Unfit("this takes a square matrix", joined)
    return x.shape


def _of_matrix(interval: Interval = REAL) -> Signature:
    """A number of a square matrix."""

    def result(arguments: Sequence[Value]) -> Value:
        shape = _matrix(arguments[0])
        return Value("real", interval, shape[:-2] if shape is not None else None)

    return Signature("A", 1, 1, result)


def _dot(arguments: Sequence[Value]) -> Value:
    return Value("real", REAL, (_shape(arguments) or (None,))[:-1])


def _outer(arguments: Sequence[Value]) -> Value:
    a, b = arguments
    if a.shape is None or b.shape is None:
        return Value("real", shape=None)
    return Value("real", shape=(*a.shape, *b.shape))


def matmul(arguments: Sequence[Value]) -> Value:
    """`a @ b`: sums over the last axis of a and the first (of a matrix: the last but one) of b."""
    a, b = arguments
    if a.shape is None or b.shape is None:
        return Value("real", shape=None)
    if not a.shape or not b.shape:
        raise Unfit("`@` takes vectors and matrices; numbers are multiplied with `*`")
    inner = same(a.shape[-1], b.shape[-2] if len(b.shape) > 1 else b.shape[-1])
    if isinstance(inner, Mismatch):
        raise Unfit("the sizes between don't agree", inner)
    rows = a.shape[:-1]
    columns = (b.shape[-1],) if len(b.shape) > 1 else ()
    low = 0.0 if a.interval.low >= 0 and b.interval.low >= 0 else -math.inf
    return Value("real", Interval(low), (*rows, *columns))


def _solve(arguments: Sequence[Value]) -> Value:
    _matrix(arguments[0])
    return Value("real", shape=arguments[1].shape)


def _transpose(arguments: Sequence[Value]) -> Value:
    x = arguments[0]
    if x.shape is None or len(x.shape) < 2:
        return x
    return replace(x, shape=(*x.shape[:-2], x.shape[-1], x.shape[-2]), structure="")


def _diag(arguments: Sequence[Value]) -> Value:
    x = arguments[0]
    if x.shape is None:
        return x
    shape: Shape = (*x.shape, x.shape[-1]) if len(x.shape) == 1 else x.shape[:-1]
    return Value("real", REAL if len(x.shape) == 1 else x.interval, shape)


def _known(kind: str) -> Signature:
    """What the checker doesn't follow: an objective's traces and the like."""
    return Signature("…", 1, 9, lambda arguments: Value(kind, shape=()), ("keep", "by", "stop_gradient"))


def _filled(interval: Interval) -> Signature:
    return Signature(
        "sizes", 1, 6, lambda sizes: Value("real", interval, tuple(map(_as_size, sizes))), sizes=_ALL
    )


def _as_size(value: Value) -> Size:
    """A size that is written out."""
    known = value.kind == "int" and value.interval.low == value.interval.high
    return int(value.interval.low) if known and 0 <= value.interval.low < math.inf else None


def _choice(arguments: Sequence[Value]) -> Value:
    _, a, b = arguments
    return Value(
        "real" if "real" in (a.kind, b.kind) else a.kind, a.interval.hull(b.interval), _shape(arguments)
    )


def _stacked(arguments: Sequence[Value]) -> Value:
    shape = _shape(arguments)
    return Value("real", REAL, (len(arguments), *shape) if shape is not None else None)


_WHOLE = Interval(0.0)
_EVEN = Interval(1.0)
_CIRCLE = Interval(-1.0, 1.0)
_ANGLE = Interval(-math.pi, math.pi)
_LOGS = Interval(-math.inf, 0.0)


def _same(i: Interval) -> Interval:
    return i


FUNCTIONS: dict[str, Signature] = {
    "exp": _pointwise(lambda i: replace(_ends(math.exp, i), open_low=True)),
    "exp2": _pointwise(POSITIVE),
    "log": _pointwise(lambda i: _ends(math.log, i), NONNEGATIVE),
    "log2": _pointwise(REAL, NONNEGATIVE),
    "log10": _pointwise(REAL, NONNEGATIVE),
    "log1p": _pointwise(lambda i: _ends(math.log1p, i), Interval(-1.0)),
    "log1m": _pointwise(REAL, Interval(-math.inf, 1.0)),
    "expm1": _pointwise(lambda i: _ends(math.expm1, i)),
    "sqrt": _pointwise(lambda i: _ends(math.sqrt, Interval(max(i.low, 0.0), i.high, i.open_low)), NONNEGATIVE),
    "rsqrt": _pointwise(POSITIVE, NONNEGATIVE),
    "square": _pointwise(NONNEGATIVE),
    "reciprocal": _pointwise(lambda i: POSITIVE if i.low >= 0 else REAL),
    "abs": _pointwise(lambda i: Interval(0.0, max(abs(i.low), abs(i.high)), i.open_low and i.low >= 0)),
    "sign": _pointwise(_CIRCLE),
    "floor": _pointwise(lambda i: _ends(lambda x: math.floor(x) if math.isfinite(x) else x, i)),
    "ceil": _pointwise(lambda i: _ends(lambda x: math.ceil(x) if math.isfinite(x) else x, i)),
    "round": _pointwise(lambda i: _ends(lambda x: round(x) if math.isfinite(x) else x, i)),
    "sin": _pointwise(_CIRCLE), "cos": _pointwise(_CIRCLE), "tan": _pointwise(REAL),
    "asin": _pointwise(_ANGLE, _CIRCLE), "acos": _pointwise(Interval(0.0, math.pi), _CIRCLE), "atan": _pointwise(_ANGLE),
    "atan2": _pointwise(_ANGLE, n=2),
    "sinh": _pointwise(REAL), "cosh": _pointwise(_EVEN), "tanh": _pointwise(_CIRCLE),
    "asinh": _pointwise(REAL), "acosh": _pointwise(NONNEGATIVE, _EVEN), "atanh": _pointwise(REAL, _CIRCLE),
    "sigmoid": _pointwise(UNIT), "logit": _pointwise(REAL, UNIT),
    "softplus": _pointwise(POSITIVE), "log_sigmoid": _pointwise(_LOGS), "relu": _pointwise(NONNEGATIVE),
    "erf": _pointwise(_CIRCLE), "erfc": _pointwise(Interval(0.0, 2.0)),
    "Phi": _pointwise(UNIT), "inv_Phi": _pointwise(REAL, UNIT),
    "lgamma": _pointwise(REAL), "digamma": _pointwise(REAL), "lbeta": _pointwise(REAL, n=2),
    "log_diff_exp": _pointwise(REAL, n=2), "log_add_exp": _pointwise(REAL, n=2),
    "softmax": _same_shape(UNIT, "simplex"), "log_softmax": _same_shape(_LOGS),
    "cumsum": Signature("x, axis=", 1, 2, lambda a: Value(a[0].kind, _sum(a[0]), a[0].shape), ("axis",)),
    "cumprod": Signature("x, axis=", 1, 2, lambda a: Value(a[0].kind, NONNEGATIVE if a[0].interval.low >= 0 else REAL,
                                                           a[0].shape), ("axis",)),
    "sort": Signature("x", 1, 1, lambda a: replace(a[0], structure="")),
    "sum": _reduction(_sum), "mean": _reduction(lambda x: x.interval, "real"),
    "prod": _reduction(lambda x: NONNEGATIVE if x.interval.low >= 0 else REAL),
    "var": _reduction(lambda x: NONNEGATIVE, "real"), "sd": _reduction(lambda x: NONNEGATIVE, "real"),
    "any": _reduction(lambda x: UNIT, "bool"), "all": _reduction(lambda x: UNIT, "bool"),
    "min": _extreme(min), "max": _extreme(max),
    "log_sum_exp": _reduction(lambda x: REAL, "real"), "log_mean_exp": _reduction(lambda x: REAL, "real"),
    "size": Signature("x, axis=", 1, 2, lambda a: Value("int", _WHOLE), ("axis",)),
    "dot": Signature("a, b", 2, 2, _dot), "norm": Signature("x", 1, 1, lambda a: Value("real", NONNEGATIVE)),
    "outer": Signature("a, b", 2, 2, _outer), "matmul": Signature("a, b", 2, 2, matmul),
    "transpose": Signature("A", 1, 1, _transpose), "inverse": _square(), "cholesky": _square("real", "lower_cholesky"),
    "solve": Signature("A, b", 2, 2, _solve),
    "triangular_solve": Signature("L, b, upper=", 2, 3, _solve, ("upper",)),
    "log_det": _of_matrix(), "det": _of_matrix(), "trace": _of_matrix(), "diag": Signature("x", 1, 1, _diag),
    "zeros": _filled(Interval(0.0, 0.0)), "ones": _filled(Interval(1.0, 1.0)),
    "full": Signature("value, sizes", 2, 7, lambda a: Value("real", a[0].interval, tuple(map(_as_size, a[1:]))), sizes=_REST),
    "eye": Signature("n", 1, 1, lambda a: Value("real", UNIT, (_as_size(a[0]),) * 2, "identity"), sizes=_ALL),
    "arange": Signature("start, stop", 1, 2, lambda a: Value("int", REAL, (None,)), sizes=_ALL),
    "linspace": Signature("start, stop, n", 3, 3, lambda a: Value("real", a[0].interval.hull(a[1].interval), (None,)),
                          sizes=(2, 3)),
    "stack": Signature("parts", 1, 20, _stacked),
    "concat": Signature("parts, axis=", 1, 20, lambda a: Value(a[0].kind, REAL, (None,) * (a[0].rank or 1)), ("axis",)),
    "reshape": Signature("x, sizes", 2, 7, lambda a: replace(a[0], shape=(None,) * (len(a) - 1), structure=""), sizes=_REST),
    "clip": Signature("x, lower, upper", 3, 3, lambda a: Value("real", Interval(a[1].interval.low, a[2].interval.high),
                                                               a[0].shape)),
    "where": Signature("test, a, b", 3, 3, _choice),
    "stop_gradient": Signature("x", 1, 1, lambda a: a[0]), "assume_continuous": Signature("x", 1, 1, lambda a: a[0]),
    "simulate": _known("trace"), "log_density": _known("real"), "score": _known("any"),
    "log_prob": Signature("distribution, x", 2, 2, lambda a: Value("real", shape=None)),
    "marginal": _known("distribution"), "normalize": _known("distribution"), "importance": _known("any"),
    "condition": Signature("program, name=value", 1, 1, lambda a: a[0], ("*",)),
}  # fmt: skip
"""All functions of the language; `tests/syntax` compares the names with `mathematics.FUNCTIONS`."""

OBJECTIVE_ONLY = frozenset({"simulate", "log_density", "score"})
"""Functions that run programs."""

UNKNOWN = ANY
