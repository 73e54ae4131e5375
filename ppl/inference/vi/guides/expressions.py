"""Values of a recorded program as Python expressions that compute them again, in the variables of a guide.

Unlike `language.formula`, whose short texts are to be looked at, these are to be run: an operator that is not
known here has no text.
"""

from __future__ import annotations

from typing import Any

import torch

from ppl.compiler.graph import Node
from ppl.compiler.ops import Scan
from ppl.compiler.ops.core import OPERATORS
from ppl.inference.vi.guides.draft import Draft, carry_name
from ppl.inference.vi.guides.text import literal
from ppl.language.structure import Scope

_ATOM = 9
_INFIX = {
    "add": ("+", 1),
    "sub": ("-", 1),
    "mul": ("*", 2),
    "div": ("/", 2),
    "matmul": ("@", 2),
    "pow": ("**", 4),
}
_DEEPEST = 30


class Unwritable(Exception):
    """A value has no short text."""


class Expressions:
    """`text(node, scope)` is an expression for a value of the scope.

    `sites` are the variables that hold latent sites; `draft` says the names of loops and takes data as
    arguments of the guide. Notes which sites and which scans' carries were used.
    """

    def __init__(self, draft: Draft, sites: dict[str, str]) -> None:
        self.draft, self.sites = draft, sites
        self.used: set[str] = set()
        self.carried: dict[Node, tuple[str, str]] = {}
        self.data: dict[Node, str] = {}

    def notes(self) -> tuple[Any, ...]:
        """What has been noted so far, for `restore` when a text turns out not to be writable."""
        return set(self.used), dict(self.carried), dict(self.data), dict(self.draft.arguments)

    def restore(self, notes: tuple[Any, ...]) -> None:
        self.used, self.carried, self.data, self.draft.arguments = notes

    def text(self, node: Node, scope: Scope) -> str:
        return self._write(node, scope, 0)[0]

    def argument(self, node: Node, scope: Scope) -> str:
        """The same for a parameter that will be broadcast, so that its own expansion can be left out."""
        while node.op == "expand":
            node = node.nodes[0]
        if node.op == "full":
            return repr(node.attr("value"))
        return self.text(node, scope)

    def _write(self, node: Node, scope: Scope, depth: int) -> tuple[str, int]:
        """(text, precedence): 9 needs no brackets anywhere, 4 a power, 3 a sign, 2 a product, 1 a sum."""
        if depth > _DEEPEST:
            raise Unwritable

        def at(a: Any, needed: int) -> str:
            if not isinstance(a, Node):
                return repr(a) if a >= 0 else f"({a!r})"
            text, level = self._write(a, scope, depth + 1)
            return text if level >= needed else f"({text})"

        op, args = node.op, node.args
        if op == "sample":
            return self._site(node), _ATOM
        if op == "input":
            return self._input(node, scope, depth)
        if op == "full":
            return _literal(node), _ATOM if node.attr("value") >= 0 else 3
        if op in _INFIX:
            symbol, level = _INFIX[op]
            left = at(args[0], level + (op == "pow"))
            return f"{left} {symbol} {at(args[1], level + (op != 'pow'))}", level
        if op == "neg":
            return f"-{at(args[0], 3)}", 3
        if op == "plate_index":
            return self._loop(node.attr("plate").name), _ATOM
        if op == "plate_slice" and node.nodes[0].attr("role", None) == "subsample":
            return self._loop(node.attr("plate").name), _ATOM
        if op == "plate_slice":
            return f"{at(args[0], _ATOM)}[{self._loop(node.attr('plate').name)}]", _ATOM
        if op in ("take", "select", "index", "sum", "reshape", "expand", "to", "detach"):
            return self._structural(node, at), _ATOM
        if OPERATORS[op].kind == "pointwise" and not node.attrs and hasattr(torch, op):
            return f"torch.{op}({', '.join(at(a, 0) for a in args)})", _ATOM
        raise Unwritable

    def _structural(self, node: Node, at: Any) -> str:
        x = node.nodes[0]
        inside = at(x, _ATOM)
        leading = node.attr("dim", None) == -len(x.shape)
        if node.op == "take" and leading:
            return f"{inside}[{at(node.args[1], 0)}]"
        if node.op == "select":
            index = node.attr("index")
            return f"{inside}[{index}]" if leading else f"{inside}.select({node.attr('dim')}, {index})"
        if node.op == "index" and node.attr("positions") == (0,):
            return f"{inside}[{at(node.args[1], 0)}]"
        if node.op == "sum" and not node.attr("keepdim"):
            whole = len(node.attr("dims")) == len(x.shape)
            return f"{inside}.sum({'' if whole else node.attr('dims')})"
        if node.op in ("reshape", "expand"):
            return f"{inside}.{node.op}({', '.join(map(str, node.shape)) or '()'})"
        if node.op == "detach":
            return f"{inside}.detach()"
        if node.op == "to" and node.is_float:
            return inside if x.is_float else f"(1.0 * {inside})"
        raise Unwritable

    def _site(self, node: Node) -> str:
        name = node.attr("site").name
        if name not in self.sites:
            raise Unwritable
        self.used.add(name)
        return self.sites[name]

    def _loop(self, name: str) -> str:
        if name not in self.draft.loop_names:
            raise Unwritable
        return self.draft.loop_names[name]

    def _input(self, node: Node, scope: Scope, depth: int) -> tuple[str, int]:
        found = scope.outside(node)
        if found is None:
            return self._data(node, scope), _ATOM
        kind, operand = found
        assert scope.parent is not None and scope.region is not None
        if kind == "counter":
            return self._loop(scope.region.attr("name")), _ATOM
        if kind == "carry":
            return self._carry(node, scope), _ATOM
        text, level = self._write(operand, scope.parent, depth + 1)
        if kind == "const":
            return text, level
        step = self._loop(scope.region.attr("name"))
        return (f"{text}[{step}]" if level == _ATOM else f"({text})[{step}]"), _ATOM

    def _data(self, node: Node, scope: Scope) -> str:
        if node not in scope.recorded.data:  # a param of the model, or the numbers of a subsample
            raise Unwritable
        if node not in self.data:
            tensor = scope.recorded.data[node]
            short = literal(tensor) if tensor.is_floating_point() and not tensor.dim() else None
            self.data[node] = short or self.draft.argument(node.attr("name"), tensor)
        return self.data[node]

    def _carry(self, node: Node, scope: Scope) -> str:
        region, parent = scope.region, scope.parent
        assert region is not None and parent is not None
        scan = Scan.of(region)
        if region not in self.carried:
            self.carried[region] = ("", "")  # a carry's next value may be made of carries
            try:
                inits = [self.text(n, parent) for n in scan.init]
                nexts = [self.text(n, scope) for n in scope.graph.outputs[: len(inits)]]
            except Unwritable:
                del self.carried[region]
                raise
            self.carried[region] = (_together(inits), _together(nexts))
        index = scope.graph.inputs.index(node)
        name = carry_name(scope.boxes)
        return name if len(scan.init) == 1 else f"{name}[{index}]"


def _together(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


def _literal(node: Node) -> str:
    if not node.type.dtype.is_floating_point:
        raise Unwritable
    text = literal(torch.full(node.shape, float(node.attr("value")), dtype=torch.float64))
    assert text is not None
    return text
