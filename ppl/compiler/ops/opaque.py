"""Operators without an entry of their own: any ATen overload, and one `torch.vmap` per plate as the
batching of last resort.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler.graph import Node, Plate, Type, intern_node
from ppl.compiler.ops.batching import Operands
from ppl.compiler.ops.core import OPERATORS, define, make


@dataclass(frozen=True)
class Slot:
    """The place of the i-th tensor operand in an argument template."""

    index: int

    def __repr__(self) -> str:
        return f"%{self.index}"


def fill(template: Any, tensors: Sequence[Any]) -> Any:
    if isinstance(template, Slot):
        return tensors[template.index]
    if isinstance(template, tuple):
        return [fill(t, tensors) for t in template]
    return template


def empty_out(value: Any, tensors: list[Any], is_tensor: Callable[[Any], bool]) -> Any:
    """The template of an argument: tensors become slots, lists tuples."""
    if is_tensor(value):
        tensors.append(value)
        return Slot(len(tensors) - 1)
    if isinstance(value, list | tuple):
        return tuple(empty_out(v, tensors, is_tensor) for v in value)
    return value


def _run_opaque(*tensors: Any, func: Any, template: Any, keywords: Any) -> Any:
    out = func(*fill(template, tensors), **{k: fill(v, tensors) for k, v in keywords})
    if isinstance(out, list | tuple):  # a backward leaves out what is not asked for
        return tuple(tensors[0].new_empty(0) if o is None else o for o in out)
    return out


define("opaque", _run_opaque, batch=None)


def make_opaque(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
    tensors: list[Any] = []
    template = empty_out(tuple(args), tensors, lambda v: isinstance(v, Node))
    keywords = tuple(
        (k, empty_out(v, tensors, lambda v: isinstance(v, Node))) for k, v in sorted(kwargs.items())
    )
    return make("opaque", *tensors, func=func, template=template, keywords=keywords)


# ---------------------------------------------------------------- small tensors that belong to a formula

_SHOWN = 64  # bytes that are printed; of longer contents a hash, the same in every process


@dataclass(frozen=True)
class Constant:
    """A tensor by content, so that equal constants are equal nodes."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    content: bytes

    def tensor(self) -> torch.Tensor:
        flat = (
            torch.frombuffer(bytearray(self.content), dtype=self.dtype)
            if self.content
            else torch.empty(0, dtype=self.dtype)
        )
        return flat.reshape(self.shape)

    def __repr__(self) -> str:
        short = (
            self.content
            if len(self.content) <= _SHOWN
            else hashlib.blake2b(self.content, digest_size=16).digest()
        )
        return f"constant<{short.hex()}>"


def constant(value: torch.Tensor) -> Node:
    value = value.detach().contiguous()
    held = Constant(tuple(value.shape), value.dtype, value.numpy().tobytes())
    return intern_node("constant", (), (("value", held),), Type(held.shape, held.dtype), ())


# ---------------------------------------------------------------- vmap


def _run_vmapped(
    *args: Any, op: str, attrs: tuple[tuple[str, Any], ...], levels: tuple[tuple[int | None, ...], ...]
) -> Any:
    operator = OPERATORS[op]
    keywords = dict(attrs)

    def call(*xs: Any) -> Any:
        return operator.run(*xs, **keywords)

    for in_dims in reversed(levels):
        call = torch.vmap(call, in_dims=in_dims, out_dims=0)
    return call(*args)


define("vmapped", _run_vmapped, batch=None)


def vmapped(op: str, plates: tuple[Plate, ...], args: Operands, attrs: dict[str, Any]) -> Node:
    """`op` once per element of `plates`, by nested vmap; every operand's plates lead in the order of
    `plates`.
    """
    from ppl.compiler.ops.batching import Batched

    levels = tuple(
        tuple(0 if isinstance(a, Batched) and p in a.plates else None for a in args) for p in plates
    )
    nodes = [a.node if isinstance(a, Batched) else a for a in args]
    return make("vmapped", *nodes, op=op, attrs=tuple(sorted(attrs.items())), levels=levels)
