"""The torch engine: a graph without plates becomes straight-line Python that calls torch.

Works on any device and dtype. Randomness (`draw`) is keyed by (seed, site, call), so results don't depend
on what else runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler.graph import Graph, Node, substitute
from ppl.compiler.ops import OPERATORS, Constant, Operand, Scan, define, make
from ppl.errors import PplError

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/"}


@dataclass(frozen=True)
class Program:
    """A compiled graph: `program(*inputs, seed=0)` returns the tuple of outputs. `source` is the Python
    it runs.
    """

    graph: Graph
    source: str
    function: Callable[..., tuple[Any, ...]]

    def __call__(self, *inputs: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, ...]:
        return self.function(Keys(seed), *inputs)


class Keys:
    """Seeds for the draws of one run: a function of the run's seed, the site and how often the site was
    drawn.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.counts: dict[str, int] = {}

    def next(self, name: str) -> int:
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return key(self.seed, name, count)


def key(seed: int, *parts: object) -> int:
    """A 63-bit seed that depends on all parts."""
    text = "\x1f".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global CPU generator at `seed`, its state put back after. (`torch.manual_seed` would also
    format a stack trace.)
    """
    generator = torch.default_generator
    state = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)


def compile_torch(graph: Graph, device: torch.device | str = "cpu", checked: bool = False) -> Program:
    """Compile a graph (already vectorised: no node varies over a plate) for torch. `checked` programs
    assert that every value has the type of its node.
    """
    source, names = generate(graph, torch.device(device), checked)
    namespace: dict[str, Any] = dict(names)
    exec(compile(source, "<ppl graph>", "exec"), namespace)
    return Program(graph, source, namespace["run"])


def generate(graph: Graph, device: torch.device, checked: bool = False) -> tuple[str, dict[str, Any]]:
    """Python source of `run(keys, *inputs)` and the names it uses."""
    graph = _with_torchs_own(graph)
    order = graph.nodes()
    last: dict[Node, int] = {}
    for position, node in enumerate(order):
        for a in node.nodes:
            last[a] = position
    keep = set(graph.outputs)
    borrowed = {a for node in order if node.op not in _APART for a in node.nodes}
    names: dict[str, Any] = {
        "torch": torch,
        "inf": float("inf"),
        "nan": float("nan"),
        "draw_keyed": _draw_keyed,
        "assert_typed": _assert_typed,
        "write_over": _write_over,
    }
    variable: dict[Node, str] = {n: f"i{k}" for k, n in enumerate(graph.inputs)}
    rows = [f"def run(keys, {', '.join(variable[n] for n in graph.inputs)}):"]
    for position, node in enumerate(order):
        if node in variable or node.op in ("observe", "factor", "deterministic", "score_factor"):
            continue
        if node.op == "input":
            raise PplError(f"the graph reads '{node.attr('name')}', which is not among its inputs")
        variable[node] = name = f"t{position}"
        args = [variable[a] if isinstance(a, Node) else repr(a) for a in node.args]
        over = _overwritten(node, position, last, keep, borrowed)
        if over is None:
            rows.append(f"    {name} = {_expression(node, args, names, f'f{position}', device)}")
        else:
            rows.append(f"    {name} = write_over({variable[over]}, torch.{node.op}, {', '.join(args)})")
        if checked and node.outs is None:
            names[f"n{position}"] = node
            rows.append(f"    assert_typed({name}, n{position})")
        dead = [
            variable[a]
            for a in dict.fromkeys(node.nodes)
            if last[a] == position and a not in keep and a.op != "input"
        ]
        if dead and node.op != "item":
            rows.append(f"    del {', '.join(dead)}")
    rows.append(f"    return ({', '.join(variable[o] for o in graph.outputs)}{',' if graph.outputs else ''})")
    return "\n".join(rows), names


define(
    "threshold_backward",
    lambda g, x: torch.ops.aten.threshold_backward(g, x, 0),
    kind="pointwise",
    dtype="same",
    batch="pointwise",
)


def _with_torchs_own(graph: Graph) -> Graph:
    """The graph with what torch has a faster function for: the reverse of relu, five times."""

    def visit(node: Node, args: tuple[Operand, ...]) -> Node | None:
        if node.op != "where" or isinstance(args[1], Node) or args[1] != 0.0:
            return None
        condition, _, g = args
        if not (isinstance(condition, Node) and condition.op == "le" and isinstance(g, Node)):
            return None
        x, low = condition.args
        if low == 0 and isinstance(x, Node) and x.type == g.type == node.type:
            return make("threshold_backward", g, x)
        return None

    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs, effects = substitute(graph.outputs, memo, visit), substitute(graph.effects, memo, visit)
    return Graph(graph.inputs, tuple(outputs), tuple(effects), graph.names)


_OUT = {"add", "sub", "mul", "div", "neg", "exp", "log", "log1p", "expm1", "sigmoid", "tanh", "sqrt"}
"""Operators whose torch function has `out=`."""

_LARGE = 1 << 12
"""Values of so many numbers are written over once nobody reads them: fresh memory of that size costs page faults."""


_APART = {
    *_OUT,
    *("where", "pow", "relu", "log_sigmoid", "threshold_backward", "maximum", "minimum"),
    *("eq", "ne", "lt", "le", "gt", "ge", "sum", "matmul", "logsumexp"),
}
"""Operators whose result certainly shares no memory with their operands. (Others may hand an operand on.)"""


def _overwritten(
    node: Node, position: int, last: dict[Node, int], keep: set[Node], borrowed: set[Node]
) -> Node | None:
    """An operand in whose memory the result can be written: of the same type, read here for the last time, and
    made by an operator that gave it memory of its own.
    """
    if node.op not in _OUT or math.prod(node.shape) < _LARGE or not isinstance(node.args[0], Node):
        return None
    for a in node.nodes:
        if (
            a.op in _APART
            and a.args
            and last[a] == position
            and a not in keep
            and a not in borrowed
            and a.type == node.type
        ):
            return a
    return None


def _write_over(out: torch.Tensor, function: Any, *args: Any) -> Any:
    """The function's result in the memory of `out`; in memory of its own where torch may want to differentiate it."""
    return function(*args) if torch.is_grad_enabled() else function(*args, out=out)


def _expression(
    node: Node, args: Sequence[str], names: dict[str, Any], label: str, device: torch.device
) -> str:
    if node.op in _INFIX:
        return f"{args[0]} {_INFIX[node.op]} {args[1]}"
    if node.op == "item":
        return f"{args[0]}[{node.attr('index')}]"
    if node.op == "full":
        names[label] = torch.full(node.shape, node.attr("value"), dtype=node.dtype, device=device)
        return label
    if node.op == "constant":
        held: Constant = node.attr("value")
        names[label] = held.tensor().to(device)
        return label
    if node.op == "iota":
        names[label] = OPERATORS["iota"].run(**dict(node.attrs)).to(device)
        return label
    if node.op == "scan":
        names[label] = _scan_runner(Scan.of(node), device)
        return f"{label}(keys, {', '.join(args)})"
    if node.op == "switch":
        names[label] = _switch_runner([compile_torch(b, device).function for b in node.attr("branches")])
        return f"{label}(keys, {', '.join(args)})"
    if node.op == "draw":
        names[label] = node
        return f"draw_keyed({label}, keys, {', '.join(args)})"
    names[label] = OPERATORS[node.op].run
    keywords = []
    for key_, value in node.attrs:
        names[f"{label}_{key_}"] = value
        keywords.append(f"{key_}={label}_{key_}")
    return f"{label}({', '.join([*args, *keywords])})"


def _assert_typed(value: torch.Tensor, node: Node) -> None:
    found = (tuple(value.shape), value.dtype)
    assert found == (node.shape, node.dtype), f"{node} is {node.type} and came out as {found}"


def _draw_keyed(node: Node, keys: Keys, *params: torch.Tensor) -> torch.Tensor:
    with seeded(keys.next(node.attr("site").name)):
        return OPERATORS["draw"].run(*params, **dict(node.attrs))


def _scan_runner(s: Scan, device: torch.device) -> Callable[..., list[Any]]:
    step = compile_torch(s.body, device).function
    k, m = len(s.init), len(s.xs)
    n_ys = len(s.body.outputs) - k
    steps = range(s.length - 1, -1, -1) if s.reverse else range(s.length)
    empty = [(o.shape, o.dtype) for o in (*s.body.outputs[k:], *s.init)]

    def run(keys: Keys, *args: torch.Tensor) -> list[Any]:
        carry: Sequence[torch.Tensor] = args[:k]
        columns = [x.unbind(0) for x in args[k : k + m]]
        consts = args[k + m :]
        rows: list[Sequence[torch.Tensor]] = []
        for t in steps:
            out = step(keys, *carry, *[c[t] for c in columns], *consts)
            rows.append((*out[k:], *carry))
            carry = out[:k]
        if s.reverse:
            rows.reverse()
        if not rows:
            return [*carry, *(torch.empty((0, *shape), dtype=dtype, device=device) for shape, dtype in empty)]
        stacked = [torch.stack([r[i] for r in rows]) for i in range(n_ys + k)]
        return [*carry, *stacked]

    return run


def _switch_runner(branches: Sequence[Callable[..., tuple[Any, ...]]]) -> Callable[..., tuple[Any, ...]]:
    last = len(branches) - 1

    def run(keys: Keys, index: torch.Tensor, *operands: torch.Tensor) -> tuple[Any, ...]:
        return branches[min(max(int(index), 0), last)](keys, *operands)

    return run
