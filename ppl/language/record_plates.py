"""The recorder's plate: its body runs once, for the element with a symbolic number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops import plate_index, plate_slice, plate_stack
from ppl.errors import Mark, StructureError, user_mark
from ppl.language import checks
from ppl.language.known import numbers_drawn
from ppl.language.scopes import Loop

if TYPE_CHECKING:
    from ppl.language.record import Recorder


class PlateLoop:
    """The recorder's plate: iterating it runs the body once, with the element's symbolic number."""

    def __init__(
        self, recorder: Recorder, name: str, size: int, subsample: int | None, mark: Mark | None
    ) -> None:
        self.recorder, self.name, self.size, self.mark = recorder, name, size, mark
        asked = size if subsample is None else subsample
        asked = min(asked, size) if recorder.fewer else checks.subsample_size(name, size, subsample, mark)
        self.drawn = size if recorder.whole else asked
        known = recorder.plates.setdefault(name, (size, mark))
        if known[0] != size:
            checks.two_sizes(name, known, (size, mark))
        self._note_subsample(asked)
        if recorder.is_open(name):
            raise StructureError(
                f"plate '{name}' is opened inside itself",
                where=mark,
                expected="another plate inside",
                found=f"plate '{name}' in its own body",
                edit=f"give the inner plate a name of its own, for instance '{name}_2'",
            )
        depth = sum(1 for loop in recorder.tracer.here.loops if loop.plate is not None)
        self.plate = Plate(depth, name, self.drawn)
        self.loop: Loop | None = None

    def _note_subsample(self, asked: int) -> None:
        """Wherever a program, or the programs of one objective, open a subsampled plate, the same elements are drawn."""
        here = (asked, self.size)
        first = self.recorder.opened.setdefault(self.name, here)
        if first == here or self.recorder.whole or (first[0] == first[1] and asked == self.size):
            return
        shown = [f"{n} of {of} elements" if n < of else f"all {of} elements" for n, of in (first, here)]
        more = f", subsample={first[0]}" if first[0] < first[1] else ""
        raise StructureError(
            f"plate '{self.name}' draws other elements here than where it was opened before",
            where=self.mark,
            expected=f"{shown[0]}: model and guide share the elements of a plate by its name",
            found=shown[1],
            edit=f'ppl.plate("{self.name}", {first[1]}{more}), or another name for this plate',
        )

    def __iter__(self) -> Iterator[Any]:
        tracer = self.recorder.tracer
        self.loop = loop = Loop(self.name, self.size, self.plate)
        tracer.here.loops.append(loop)
        index = tracer.lift(self._index())
        loop.counter = index if self.drawn != self.size else None
        yield index
        if tracer.here.loops[-1] is not loop:
            self.recorder._left_open(tracer.here.loops[-1])
        tracer.here.loops.pop()

    def _index(self) -> Node:
        if self.drawn == self.size:
            return plate_index(self.plate)
        tracer = self.recorder.tracer
        numbers = self.recorder.numbers[self.name] = numbers_drawn(self.plate)
        return plate_slice(tracer.capture(numbers, tracer.main), self.plate)

    def __len__(self) -> int:
        return self.size

    def __enter__(self) -> None:
        raise StructureError(
            f"plate '{self.name}' is a loop, not a context",
            where=user_mark(2),
            expected=f'for i in ppl.plate("{self.name}", …):',
            found="with",
            edit=f'for i in ppl.plate("{self.name}", {self.size}):',
        )

    def __exit__(self, *_: object) -> None: ...

    def gather(self, value: Any) -> Any:
        """The whole vector of a value made in the body, elements along the first axis."""
        tracer = self.recorder.tracer
        if self.loop is None:
            raise StructureError(
                f"{self.name}.gather(…) stands before the loop over plate '{self.name}'",
                where=user_mark(2),
                expected="gather after the loop has ended",
                found="a plate that has not been iterated",
                edit=f"for j in {self.name}: …, and then {self.name}.gather(x)",
            )
        if self.loop in tracer.here.loops:
            raise StructureError(
                f"{self.name}.gather(…) stands inside the plate",
                where=user_mark(2),
                expected="gather after the loop has ended",
                found="a call in the body, where there is one element",
                edit="move the call behind the loop",
            )

        def stack(x: Any) -> Any:
            if not isinstance(x, torch.Tensor):
                return x
            entry = tracer.table.get(id(x))
            if entry is None:
                return x.expand(self.drawn, *x.shape)
            made = tracer.made_in.get(id(x), ())
            if self.plate in entry.node.plates and self.loop not in made:
                raise StructureError(
                    f"the value was not made in this loop over plate '{self.name}'",
                    where=user_mark(4),
                    expected="a value that this loop's body made",
                    found=f"a value of another loop over '{self.name}'",
                    edit="gather it with the plate object of its own loop",
                )
            return tracer.lift(plate_stack(tracer.capture(entry.node, entry.scope), self.plate))

        return pytree.tree_map(stack, value)
