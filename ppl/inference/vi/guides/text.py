"""The text of a guide: expressions laid out as `ruff format` would, literals of tensors, and text made a program."""

from __future__ import annotations

import hashlib
import inspect
import keyword
import linecache
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch

from ppl.language.program import Bound, Program

WIDTH = 88
_LONGEST = 60  # characters of a literal; a longer one becomes an argument of the guide
_TEXT = "__text__"  # the global of a guide's module that holds its source


@dataclass(frozen=True)
class Call:
    """`head(arguments)`; an argument is text or another call, with `before` in front ("scale=")."""

    head: str
    arguments: tuple[str | Call, ...]
    before: str = ""

    def __str__(self) -> str:
        return f"{self.before}{self.head}({', '.join(map(str, self.arguments))})"

    def lines(self, indent: str, before: str = "", after: str = "") -> list[str]:
        """The call on as many lines as it needs: all on one, else the arguments on one, else one for each."""
        if len(f"{indent}{before}{self}{after}") <= WIDTH:
            return [f"{indent}{before}{self}{after}"]
        inner = indent + "    "
        together = ", ".join(map(str, self.arguments))
        rows = [inner + together]
        if len(inner + together) > WIDTH:
            rows = [row for a in self.arguments for row in _lines(a, inner)]
        return [f"{indent}{before}{self.before}{self.head}(", *rows, f"{indent}){after}"]


def _lines(argument: str | Call, indent: str) -> list[str]:
    return argument.lines(indent, after=",") if isinstance(argument, Call) else [f"{indent}{argument},"]


def call(head: str, *arguments: str | Call, **named: str | Call) -> Call:
    """`head(arguments, name=value)`.

    >>> str(call("Normal", "0.0", scale=call("exp", "s")))
    'Normal(0.0, scale=exp(s))'
    """
    last = tuple(
        Call(v.head, v.arguments, f"{k}=") if isinstance(v, Call) else f"{k}={v}" for k, v in named.items()
    )
    return Call(head, (*arguments, *last))


def quoted(name: str) -> str:
    """A Python string in double quotes, as far as that is possible.

    >>> print(quoted("x"), quoted('a"b'))
    "x" 'a"b'
    """
    shown = repr(name)
    return f'"{shown[1:-1]}"' if shown[0] == "'" and '"' not in shown else shown


def literal(tensor: torch.Tensor) -> str | None:
    """Text that makes a tensor of these numbers; None if it would be long.

    >>> literal(torch.tensor(0.1, dtype=torch.float64)), literal(torch.zeros(8)), literal(torch.tensor([1.0, 2.0]))
    ('0.1', 'torch.zeros(8)', 'torch.tensor([1.0, 2.0])')
    """
    if not tensor.dim():
        return repr(tensor.item())
    shape = ", ".join(map(str, tensor.shape))
    first = tensor.reshape(-1)[0].item() if tensor.numel() else 0.0
    if bool((tensor == first).all()):
        if first in (0.0, 1.0):
            return f"torch.{'ones' if first else 'zeros'}({shape})"
        return f"torch.full(({shape}{',' if tensor.dim() == 1 else ''}), {first!r})"
    shown = f"torch.tensor({tensor.tolist()!r})" if tensor.numel() < _LONGEST else ""
    return shown if 0 < len(shown) <= _LONGEST else None


def identifier(name: str, taken: Collection[str] = ()) -> str:
    """A Python name like `name` that is not taken.

    >>> identifier("sub/theta"), identifier("lambda"), identifier("x", {"x"})
    ('sub_theta', 'lambda_', 'x_2')
    """
    plain = re.sub(r"\W", "_", name)
    plain = f"_{plain}" if not plain or plain[0].isdigit() else plain
    plain = f"{plain}_" if keyword.iskeyword(plain) else plain
    found, count = plain, 1
    while found in taken:
        count += 1
        found = f"{plain}_{count}"
    return found


def program(text: str, name: str) -> Program:
    """The program called `name` in the text; tracebacks and `inspect.getsource` find its lines."""
    file = f"<guide {name} {hashlib.sha256(text.encode()).hexdigest()[:12]}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": f"guide_{name}", _TEXT: text}
    exec(compile(text, file, "exec"), namespace)
    return namespace[name]


def source(guide: Bound | Program) -> str:
    """The text of a guide: of one made by `ppl.guides` a whole file, ready to be saved and edited; of one written by
    hand the function.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(0.0, 1.0))
    >>> print(source(ppl.guides.mean_field(m())).splitlines()[-1].strip())
    ppl.sample("x", Normal(x_loc, x_scale))
    """
    function = (guide.program if isinstance(guide, Bound) else guide).function
    return function.__globals__.get(_TEXT) or inspect.getsource(function)
