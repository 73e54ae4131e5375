"""Elements of arrays: `x[i, 1:]`, and `z[t]`, `z[t-1]` of what loops build."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ppl.syntax import tree
from ppl.syntax.check.reporting import Reporting
from ppl.syntax.check.scope import Scope
from ppl.syntax.format import expression_text
from ppl.syntax.functions import CONSTANTS
from ppl.syntax.loops import Loop, lag_of
from ppl.syntax.values import ANY, Size, Value, shape_text


@dataclass
class Elements(Reporting):
    """The part of `Expressions` that is about indices."""

    scope: Scope

    @abstractmethod
    def of(self, e: tree.Expression) -> Value: ...

    @abstractmethod
    def numbers(self, e: tree.Expression, place: str) -> Value: ...

    def _slice(self, e: tree.Slice) -> Value:
        for end in (e.start, e.stop):
            if end is not None:
                self.numbers(end, "an end of a slice")
        return Value("slice", shape=())

    def _index(self, e: tree.Index) -> Value:
        if self._unknown_index(e):
            return ANY
        if isinstance(e.value, tree.Name) and (loops := self.scope.building(e.value.id)):
            return self._own_element(e, e.value, [loop.elements[e.value.id] for loop in loops])
        value = self.of(e.value)
        if value.kind in ("trace", "any"):
            for index in e.indices:
                self.of(index)
            return ANY
        if not value.is_number:
            self._problem("type", e.span, f"{value} has no elements")
            return ANY
        return self._element(e, value, list(e.indices))

    def _unknown_index(self, e: tree.Index) -> bool:
        """`theta[k]` in a loop over j: most often j was meant."""
        for index in e.indices:
            if isinstance(index, tree.Name) and self.scope.open and not self._is_known(index.id):
                loops = ", ".join(f"{loop.statement.index.id} (dim {loop.name})" for loop in self.scope.open)
                last = self.scope.open[-1].statement.index
                meant = replace(e, indices=tuple(last if i is index else i for i in e.indices))
                self._problem(
                    "type", e.span, f"`{index.id}` is not a name in scope. Loop indices here: {loops}. "
                    f"Did you mean `{expression_text(meant)}`?", edit=expression_text(meant),
                )  # fmt: skip
                if isinstance(e.value, tree.Name):
                    self.scope.find(e.value.id)  # a use all the same
                return True
        return False

    def _is_known(self, name: str) -> bool:
        scope = self.scope
        return name in scope.names or name in scope.outside or name in CONSTANTS or bool(scope.building(name))

    def _own_element(self, e: tree.Index, name: tree.Name, axes: Sequence[int]) -> Value:
        """`z[t]` or `z[t-1]` where the loop over t builds z."""
        binding = self.scope.names.get(name.id)
        loops = self.scope.building(name.id)
        lagged = False
        used = 0
        for loop, axis in zip(loops, axes, strict=True):
            index = loop.statement.index.id
            if axis >= len(e.indices):
                self._problem("structure", e.span, f"`{name.id}` has an index for each of its loops",
                              f"{name.id}[{', '.join(x.statement.index.id for x in loops)}]")  # fmt: skip
                return ANY
            lag = lag_of(e.indices[axis], index)
            if lag is None:
                self._problem(
                    "structure", e.indices[axis].span,
                    f"while the loop over {index} builds `{name.id}`, an iteration can read its own element and earlier ones",
                    f"`{name.id}[{index}]`, `{name.id}[{index}-1]`, …", f"`{expression_text(e)}`",
                    self._reachable(name.id, e.indices[axis], loop),
                )  # fmt: skip
                return ANY
            used += 1
            if lag:
                self._reaches_back(e, name, loop, lag)
                lagged = True
                break
        if binding is not None:
            binding.used = True
        if binding is None and not lagged:
            place = self.scope.given.get(name.id)
            edit = (
                f"move line {place.line} above this one"
                if place is not None
                else "its statement above this one"
            )
            self._problem("structure", e.span, f"`{expression_text(e)}` has no value yet in this iteration",
                          "its statement above this one", f"`{expression_text(e)}`", edit)  # fmt: skip
            return ANY
        if binding is None:
            for at, other in enumerate(e.indices):
                if at not in list(axes)[:used]:
                    self._at_the_beginning(e, other)
            return ANY
        rest = [x for a, x in enumerate(e.indices) if a not in set(list(axes)[:used])]
        sizes = tuple(s for a, s in enumerate(binding.sizes) if a not in set(list(axes)[:used]))
        shape = (*sizes, *binding.value.shape) if binding.value.shape is not None else None
        return self._element(e, replace(binding.value, shape=shape), rest)

    def _reachable(self, name: str, index: tree.Expression, loop: Loop) -> str:
        """The edit for an element that an iteration can't read."""
        own = loop.statement.index.id
        if isinstance(index, tree.Binary) and own in expression_text(index):
            return f"{name}[{own}-1]"
        return f"a second loop below, for {own} in {loop.name}: there `{name}` is whole"

    def _reaches_back(self, e: tree.Index, name: tree.Name, loop: Loop, lag: int) -> None:
        index = loop.statement.index.id
        if self.scope.guards.get(index, 0) >= lag:
            return
        if all((name.id, k) in loop.before for k in range(1, lag + 1)):
            return
        first = expression_text(e).replace(f"{index}-{lag}", "0")
        self._problem(
            "structure", e.span, f"`{expression_text(e)}` reads before the beginning where {index} is {lag - 1}",
            "a value for the first iterations", None,
            f"{expression_text(e)} if {index} > {lag - 1} else …, or above the loop: {name.id}[-{lag}] = …"
            if lag > 1 or "," in first else f"{expression_text(e)} if {index} > 0 else 0",
        )  # fmt: skip

    def _at_the_beginning(self, e: tree.Index, index: tree.Expression) -> None:
        """`x[t-1]` of what is whole: where t is 0 that is the last element, which nobody means."""
        for loop in self.scope.open:
            name, begin = loop.statement.index.id, loop.begin
            lag = lag_of(index, name)
            if lag and begin is not None and self.scope.guards.get(name, begin) < lag:
                text = expression_text(e)
                self._problem(
                    "structure", e.span, f"`{text}` reads before the beginning where {name} is {lag - 1}: -1 is the last element",
                    "a value for the first iterations", f"`{expression_text(index)}`",
                    f"{text} if {name} > {lag - 1} else 0, or for {name} in range({lag}, {expression_text(loop.stop)}):",
                )  # fmt: skip

    def _element(self, e: tree.Index, value: Value, indices: Sequence[tree.Expression]) -> Value:
        if not indices:
            return value
        kinds = [self.of(i) for i in indices]
        for index, kind in zip(indices, kinds, strict=True):
            self._at_the_beginning(e, index)
            if kind.kind not in ("int", "bool", "any", "slice", "text"):
                self._problem("type", index.span, f"an index is a whole number, and this is {kind}", "int",
                              str(kind), self._as_whole(index))  # fmt: skip
        if value.shape is None:
            return replace(value, structure="")
        if len(indices) > len(value.shape):
            have = {0: "is a number: it has no elements", 1: "has one axis"}.get(
                len(value.shape), f"has {len(value.shape)} axes"
            )
            count = "one index" if len(indices) == 1 else f"{len(indices)} indices"
            few = ", ".join(expression_text(i) for i in indices[: len(value.shape)])
            text = expression_text(e.value)
            self._problem("shape", e.span, f"`{text}` {have}, and this gives {count}",
                          f"{text}{shape_text(value.shape)}", f"`{expression_text(e)}`",
                          f"{text}[{few}]" if few else text)  # fmt: skip
            return ANY
        shape: list[Size] = []
        for axis, (index, kind) in enumerate(zip(indices, kinds, strict=True)):
            size = value.shape[axis]
            if kind.kind == "slice":
                whole = isinstance(index, tree.Slice) and index.start is None and index.stop is None
                shape.append(size if whole else None)
            elif kind.shape is None:
                return replace(value, shape=None, structure="")
            else:
                self._inside(e, index, kind, size, axis)
                shape += kind.shape
        kept = len(indices) < len(value.shape)
        structure = value.structure if kept and len(value.shape) - len(indices) >= 1 else ""
        return replace(value, shape=(*shape, *value.shape[len(indices) :]), structure=structure)

    def _as_whole(self, e: tree.Expression) -> str:
        """The edit for an index that is no whole number."""
        if isinstance(e, tree.Binary) and e.operator == "/":
            return expression_text(replace(e, operator="//"))
        array = e.value if isinstance(e, tree.Index) else e
        binding = self.scope.names.get(expression_text(array))
        if isinstance(array, tree.Name) and binding is not None and binding.kind == "parameter":
            return f"{array.id}: int{shape_text(binding.value.shape)} among the arguments"
        return "a whole number: 0, i, K - 1"

    def _inside(self, e: tree.Index, index: tree.Expression, kind: Value, size: Size, axis: int) -> None:
        name = expression_text(e.value)
        if isinstance(size, str) and size == expression_text(index):
            self._problem("shape", index.span, f"axis {axis} of {name} has {size} elements; the last is {size}-1",
                          f"0 to {size}-1", f"`{size}`", f"{name}[{size}-1], or {name}[-1]")  # fmt: skip
        if isinstance(size, int) and kind.interval.low == kind.interval.high:
            at = kind.interval.low
            if not -size <= at < size:
                self._problem("shape", index.span, f"axis {axis} of {name} has {size} elements; there is no {at:g}",
                              f"0 to {size - 1}", f"{at:g}", f"{name}[{size - 1}]")  # fmt: skip
        if isinstance(index, tree.Name):
            loop = next((x for x in self.scope.open if x.statement.index.id == index.id), None)
            if loop is not None and isinstance(size, str) and loop.start is None:
                runs = expression_text(loop.stop)
                if runs.isidentifier() and size.isidentifier() and runs != size:
                    self._problem(
                        "shape", index.span, f"{index.id} runs over {runs}, but axis {axis} of {name} has {size} elements",
                        f"an index over {size}", f"an index over {runs}", f"for {index.id} in {size}:", "warning",
                    )  # fmt: skip
