"""Loops of the interpreter: a plate runs its body for each element, then stacks what a variable was."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ppl.errors import StructureError, user_mark


@dataclass
class Loop:
    """An open plate or scan: `row` numbers its turns, `item` is the element (another where subsampled)."""

    name: str
    size: int
    rows: int
    row: int = 0
    item: int = 0


def run_loop(loops: list[Loop], loop: Loop, items: torch.Tensor) -> Iterator[torch.Tensor]:
    """The elements as 0-d tensors; while the body runs, `loop` is the innermost of the open `loops`."""
    depth = len(loops)
    loops.append(loop)
    try:
        for loop.row, item in enumerate(items):
            loop.item = int(item)
            yield item
    finally:
        del loops[depth:]


class PlateLoop:
    """The handle of a plate: iterate it once, then gather.

    The body is ordinary Python, so a value belongs to a *variable*: after each turn the variables of the
    frame that runs the loop are noted, and `gather(x)` stacks those of the name that is now bound to `x`.
    """

    def __init__(self, loops: list[Loop], loop: Loop, items: torch.Tensor) -> None:
        self._loops, self._loop, self._items = loops, loop, items
        self._turns: list[dict[str, Any]] = []
        self.name = loop.name

    def __iter__(self) -> Iterator[torch.Tensor]:
        for item in run_loop(self._loops, self._loop, self._items):
            yield item
            # The frame that asks for the next element is the one whose `for` this is.
            self._turns.append(dict(sys._getframe(1).f_locals))

    def __len__(self) -> int:
        return self._loop.size

    def gather(self, value: Any) -> Any:
        """The values that the variable holding `value` had in every turn, elements along the first axis."""
        if self._loop in self._loops:
            raise StructureError(
                f"{self.name}.gather(…) stands inside the plate",
                where=user_mark(2),
                expected="gather after the loop has ended",
                edit="move the call behind the loop",
            )
        if not self._turns:
            return pytree.tree_map(lambda v: torch.zeros((0, *getattr(v, "shape", ()))), value)
        names = [n for n, v in self._turns[-1].items() if v is value]
        if not names and not isinstance(value, torch.Tensor | int | float):
            children, spec = pytree.tree_flatten(value, is_leaf=lambda v: v is not value)
            return pytree.tree_unflatten([self.gather(v) for v in children], spec)
        rows = [[turn[n] for turn in self._turns if n in turn] for n in names]
        rows = [r for r in rows if len(r) == len(self._turns)]
        if not rows or any(a is not b for r in rows[1:] for a, b in zip(rows[0], r, strict=True)):
            raise StructureError(
                f"{self.name}.gather(…) can't tell which variable is meant",
                where=user_mark(2),
                expected="one variable that every turn of the loop assigns",
                found="variables " + ", ".join(names)
                if names
                else "a value that no variable held at the end of the last turn",
                edit=f"assign it inside the loop: w = …, then {self.name}.gather(w)",
            )
        return stack(rows[0])


def stack(values: Sequence[Any]) -> Any:
    """Pytrees of one structure stacked leaf by leaf along a new first axis; None stays None."""
    columns = [pytree.tree_leaves(v) for v in values]
    leaves = [
        None if column[0] is None else torch.stack([torch.as_tensor(v) for v in column])
        for column in zip(*columns, strict=True)
    ]
    return pytree.tree_unflatten(leaves, pytree.tree_structure(values[0]))
