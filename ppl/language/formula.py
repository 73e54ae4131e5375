"""Values, distributions and supports of a recorded program as short formulas in the user's own names:
`Normal(mu, tau)`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch.distributions import Distribution
from torch.distributions import constraints as c
from torch.distributions.constraints import Constraint

from ppl.compiler.graph import Node, inline
from ppl.compiler.ops import make_input
from ppl.compiler.ops.effects import Effect
from ppl.compiler.specs import class_name, put_together
from ppl.compiler.tracer import trace
from ppl.language.structure import Scope, Source, is_unnamed, ordered

LONGEST = 44  # characters; a longer formula becomes f(its sources)
_DEEPEST = 10
_INFIX = {
    "add": ("+", 1),
    "sub": ("-", 1),
    "mul": ("*", 2),
    "div": ("/", 2),
    "matmul": ("@", 2),
    "pow": ("**", 4),
}
_COMPARE = {"gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!="}
_SILENT = {"to", "expand", "reshape", "detach", "plate_stack", "wrap_index", "clone"}
_STEPS = ("t", "s", "r", "q")


class _TooDeep(Exception):
    pass


def formula(node: Node, scope: Scope) -> str:
    """What a value of `scope` is, in names of sites, params and data: `alpha[county] + beta * x[obs]`."""
    try:
        text = _text(node, scope, 0)[0]
    except _TooDeep:
        text = ""
    return text if 0 < len(text) <= LONGEST else _function_of(scope.sources([node]))


def definition(node: Node, scope: Scope) -> str:
    """The same for a value that has a name of its own: how it is computed."""
    try:
        text = _text(node, scope, 0, skip_name=True)[0]
    except _TooDeep:
        text = ""
    return text if 0 < len(text) <= LONGEST else _function_of(scope.sources_behind(node))


def _function_of(sources: Any) -> str:
    names = list(dict.fromkeys(s.name + ("[t-1]" if s.previous else "") for s in ordered(sources)))
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return f"f({shown})" if names else "a constant"


def _text(node: Node, scope: Scope, depth: int, skip_name: bool = False) -> tuple[str, int]:
    """(text, precedence): 9 needs no brackets anywhere, 1 a sum, 2 a product, 0 a comparison."""
    if depth > _DEEPEST:
        raise _TooDeep
    if not skip_name and (named := scope.names.get(node)) is not None:
        return named.name, 9

    def sub(a: Any) -> tuple[str, int]:
        return _text(a, scope, depth + 1) if isinstance(a, Node) else (_number(a), 9 if a >= 0 else 3)

    def at(a: Any, needed: int) -> str:
        text, precedence = sub(a)
        return text if precedence >= needed else f"({text})"

    op = node.op
    if op == "input":
        return _input(node, scope, depth)
    if op == "full":
        return _number(node.attr("value")), 9 if node.attr("value") >= 0 else 3
    if op == "constant":
        return "constant", 9
    if op in _INFIX:
        symbol, level = _INFIX[op]
        left, right = at(node.args[0], level), at(node.args[1], level + (op != "add"))
        return f"{left} {symbol} {right}", level
    if op in _COMPARE:
        return f"{at(node.args[0], 1)} {_COMPARE[op]} {at(node.args[1], 1)}", 0
    if op == "neg":
        return f"-{at(node.args[0], 3)}", 3
    if op in _SILENT:
        return sub(node.args[0])
    if op == "permute":
        return (f"{at(node.args[0], 9)}.T", 9) if len(node.shape) == 2 else sub(node.args[0])
    if op == "plate_index":
        return node.attr("plate").name, 9
    if op == "plate_slice":
        return f"{at(node.args[0], 9)}[{node.attr('plate').name}]", 9
    if op in ("take", "index"):
        step = scope._step_of(node.nodes[1])
        inside = _step_name(scope, step) if step is not None else ", ".join(sub(a)[0] for a in node.args[1:])
        return f"{at(node.args[0], 9)}[{inside}]", 9
    if op == "select" and (piece := _piece(node)) is not None:
        return sub(piece)
    if op == "select":
        return f"{at(node.args[0], 9)}[{node.attr('index')}]", 9
    if op == "slice":
        return f"{at(node.args[0], 9)}[{node.attr('start')}:{node.attr('stop')}]", 9
    if op == "item":
        return _result(node, scope, depth)
    if op == "cat":
        return f"[{', '.join(sub(a)[0] for a in node.args)}]", 9
    if op in ("opaque", "vmapped", "scan", "switch"):
        raise _TooDeep
    return f"{op}({', '.join(sub(a)[0] for a in node.args)})", 9


def _input(node: Node, scope: Scope, depth: int) -> tuple[str, int]:
    found = scope.outside(node)
    if found is None:
        name = node.attr("name")
        if node.attr("role") == "data" and is_unnamed(scope.recorded, name):
            return _values(scope.recorded.data[node]), 9
        return name, 9
    kind, operand = found
    assert scope.parent is not None and scope.region is not None
    step = _step_name(scope, scope.region.attr("name"))
    if kind == "counter":
        return step, 9
    if kind == "carry":
        after = scope.graph.outputs[scope.graph.inputs.index(node)]
        while after.op in _SILENT and after not in scope.names:
            after = after.nodes[0]
        source: Source | None = scope.names.get(after)
        if source is None:
            raise _TooDeep
        return f"{source.name}[{step}-1]", 9
    text, level = _text(operand, scope.parent, depth + 1)
    if kind == "const":
        return text, level
    return (f"{text}[{step}]" if level == 9 else f"({text})[{step}]"), 9


def _result(node: Node, scope: Scope, depth: int) -> tuple[str, int]:
    """A result of a region: the last value of what a scan carries."""
    region = node.nodes[0]
    if region.op != "scan" or node.attr("index") >= region.attr("carries"):
        raise _TooDeep
    body = scope.bodies_of(region)[0]
    after = body.graph.outputs[node.attr("index")]
    source = body.names.get(after)
    if source is None:
        raise _TooDeep
    return f"{source.name}[last]", 9


def _step_name(scope: Scope, scan: str) -> str:
    """t for the steps of the outermost scan, s for one inside it."""
    scans = [b.name for b in scope.boxes if b.kind == "scan"]
    return _STEPS[min(scans.index(scan), len(_STEPS) - 1)] if scan in scans else "t"


def _piece(node: Node) -> Node | None:
    """The operand of a `cat` of single elements that `node` selects again (Beta keeps its parameters so)."""
    source, index = node.nodes[0], node.attr("index")
    single = source.op == "cat" and all(n.shape[-1:] == (1,) for n in source.nodes)
    return source.nodes[index] if single and node.attr("dim") == source.attr("dim") == -1 else None


def _number(value: Any) -> str:
    return str(value) if isinstance(value, bool | int) else f"{value:.6g}"


def _values(tensor: torch.Tensor) -> str:
    if tensor.numel() == 1:
        return _number(tensor.item())
    if tensor.dim() == 1 and tensor.numel() <= 4:
        return "[" + ", ".join(_number(v) for v in tensor.tolist()) + "]"
    return f"constant[{', '.join(map(str, tensor.shape))}]"


# ---------------------------------------------------------------- distributions

_STORED = {"d": "base_dist", "base_distribution": "base_dist", "support": "constraint"}
_ALTERNATIVES = (
    ("probs", "logits"),
    ("covariance_matrix", "precision_matrix", "scale_tril"),
    ("gate", "gate_logits"),
    ("scale", "scale_tril"),
)


def distribution_text(e: Effect, scope: Scope) -> str:
    """The distribution of a site as one would write it: `Normal(mu, tau)`, `Categorical(logits=eta[obs])`."""
    return class_name(e.site.spec.cls) if e.site.fixed else _described(e, scope)[0]


def support_text(e: Effect, scope: Scope) -> str:
    """The support of a site: "real", "positive", "[low, high]", "simplex"."""
    return _described(e, scope)[1]


def _described(e: Effect, scope: Scope) -> tuple[str, str]:
    """The constructor's arguments are read off the object while it is traced, so that computed ones are
    formulas too."""
    inputs = [make_input(f"p{i}", p.shape, p.dtype) for i, p in enumerate(e.params)]
    texts: list[Any] = []

    def read(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        d = put_together(e.site.spec, tensors)
        held: list[torch.Tensor] = []
        texts[:] = [_distribution(d, held), _support(d, held), len(held)]
        return tuple(held)

    try:
        graph = trace(read, inputs)
        values = [formula(n, scope) for n in inline(graph, list(e.params))]
    except Exception:  # a user's own family may do anything when its attributes are read
        return class_name(e.site.spec.cls), "unknown"
    for i in reversed(range(len(values))):
        texts = [t.replace(_slot(i), values[i]) if isinstance(t, str) else t for t in texts]
    return texts[0], texts[1]


def _slot(i: int) -> str:
    return f"\0{i}\0"


def _hold(value: torch.Tensor, held: list[torch.Tensor]) -> str:
    held.append(value)
    return _slot(len(held) - 1)


def _distribution(d: Any, held: list[torch.Tensor]) -> str:
    arguments: list[str] = []
    by_name = False
    parameters = [
        p
        for p in inspect.signature(type(d).__init__).parameters.values()
        if p.name not in ("self", "validate_args")
    ]
    chosen = _chosen(d, [p.name for p in parameters])
    for parameter in parameters:
        name = parameter.name
        if name not in chosen or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            by_name = True
            continue
        value = _read(d, name)
        if value is None or (isinstance(value, bool | int | float) and value == parameter.default):
            by_name = True
            continue
        arguments.append((f"{name}=" if by_name else "") + _argument(value, held))
    return f"{type(d).__name__}({', '.join(arguments)})"


def _chosen(d: Any, names: Sequence[str]) -> set[str]:
    """Of alternative parameters the one that was given."""
    chosen = set(names)
    for group in _ALTERNATIVES:
        present = [n for n in group if n in chosen]
        if len(present) > 1:
            given = next((n for n in present if n in vars(d)), present[0])
            chosen -= set(present) - {given}
    return chosen


def _read(d: Any, name: str) -> Any:
    for attribute in (name, _STORED.get(name, name), "_" + name):
        try:
            return getattr(d, attribute)
        except (AttributeError, NotImplementedError, RuntimeError):
            continue
    return None


def _argument(value: Any, held: list[torch.Tensor]) -> str:
    if isinstance(value, torch.Tensor):
        return _hold(value, held)
    if isinstance(value, Distribution):
        return _distribution(value, held)
    if isinstance(value, Constraint):
        return _constraint(value, held)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_argument(v, held) for v in value) + "]"
    if isinstance(value, bool | int | float):
        return _number(value)
    return repr(value) if isinstance(value, str) else type(value).__name__


# ---------------------------------------------------------------- supports

_PLAIN: dict[str, str] = {
    "Real": "real",
    "Boolean": "0 or 1",
    "Simplex": "simplex",
    "OneHot": "one-hot",
    "Cov": "covariance matrix",
    "PositiveDefinite": "positive definite matrix",
    "LowerCholesky": "Cholesky factor",
    "CorrCholesky": "Cholesky factor of a correlation matrix",
    "CorrMatrix": "correlation matrix",
    "Integers": "integers",
    "SumToZero": "vectors with sum 0",
    "UnitVector": "unit vectors",
    "Ordered": "ordered vectors",
    "PositiveOrdered": "positive ordered vectors",
    "RowStochastic": "row-stochastic matrix",
}


def _support(d: Any, held: list[torch.Tensor]) -> str:
    try:
        return _constraint(d.support, held)
    except (NotImplementedError, AttributeError):
        return "not declared"


def _constraint(support: Any, held: list[torch.Tensor]) -> str:
    if isinstance(support, c.independent):
        return _constraint(support.base_constraint, held)
    name = type(support).__name__.lstrip("_")
    if name in _PLAIN:
        return _PLAIN[name]
    low, high = (getattr(support, k, None) for k in ("lower_bound", "upper_bound"))
    if not getattr(support, "is_discrete", False):
        if low is None and high is None:
            return "".join(" " + ch.lower() if ch.isupper() else ch for ch in name).strip()
        if high is None:
            strict = name == "GreaterThan"
            if isinstance(low, int | float) and low == 0:
                return "positive" if strict else "nonnegative"
            return f"x {'>' if strict else '>='} {_argument(low, held)}"
        if low is None:
            return f"x {'<' if name == 'LessThan' else '<='} {_argument(high, held)}"
        return f"[{_argument(low, held)}, {_argument(high, held)}{')' if name == 'HalfOpenInterval' else ']'}"
    if low is not None and high is not None:
        return f"{{{_argument(low, held)}, …, {_argument(high, held)}}}"
    if low is not None:
        return f"{{{_argument(low, held)}, {_argument(low + 1, held)}, …}}"
    return "".join(" " + ch.lower() if ch.isupper() else ch for ch in name).strip()
