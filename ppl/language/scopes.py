"""The recorder's tracer: which values may be used where.

A scope is the main program or the body of a region; a value from an enclosing scope enters a body as a
captured input. A loop is an
open plate or scan; a value that varies over a plate may be used only while that very loop is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ppl.compiler.graph import Node, Plate
from ppl.compiler.ops import make, make_input, plate_index, plate_slice
from ppl.compiler.ops.batching import move_axis
from ppl.compiler.tracer import Entry, Tracer
from ppl.errors import DataError, StructureError, user_mark
from ppl.language.known import at_main, known


@dataclass(eq=False)
class Loop:
    """An open plate (`plate` set) or scan. `size` counts all elements, also where a plate draws some of them.

    `counter` is the number of a scan's step, or of an element that a subsampled plate drew; `elements` maps a
    scan's inputs for one step to the sequences they come from.
    """

    name: str
    size: int
    plate: Plate | None = None
    counter: torch.Tensor | None = None
    elements: dict[Node, Node] = field(default_factory=dict)

    @property
    def rescale(self) -> float:
        """What a density in it is multiplied by, so that the drawn elements stand for all."""
        return self.size / self.plate.size if self.plate is not None and self.counter is not None else 1.0


@dataclass(eq=False)
class Scope:
    """The main program (`parent` None) or a region's body: its inputs, what it captured, its effects in
    order.
    """

    parent: Scope | None
    label: str
    loops: list[Loop]
    inputs: list[Node] = field(default_factory=list)
    captured: dict[Node, Node] = field(default_factory=dict)
    effects: list[Node] = field(default_factory=list)

    def encloses(self, other: Scope | None) -> bool:
        while other is not None:
            if other is self:
                return True
            other = other.parent
        return False


class ScopedTracer(Tracer):
    """Keeps, for every traced value, the scope and the loops in which it was made."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__(self._input)
        self.dtype = dtype
        self.main = Scope(None, "main", [])
        self.here = self.main
        self.inputs: dict[Node, torch.Tensor] = {}
        self.constants: set[Node] = set()  # inputs that the program computed, or that nothing names
        self.data_names: dict[int, str] = {}
        self.held: list[torch.Tensor] = []
        self.made_in: dict[int, tuple[Loop, ...]] = {}
        self.numbers: dict[Node, torch.Tensor | None] = {}
        self.foreign = 0  # of the open loops the outermost, that the running program did not open

    # ------------------------------------------------------------ real tensors

    def declare(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """Give a data tensor its name; its values never enter the graph."""
        self.data_names.setdefault(id(tensor), name)
        self.held.append(tensor)
        return tensor

    def is_data(self, tensor: torch.Tensor) -> bool:
        return id(tensor) in self.data_names

    def widen(self, dtype: torch.dtype) -> torch.dtype:
        return self.dtype if dtype.is_floating_point else dtype

    def _input(self, tensor: torch.Tensor) -> Node:
        given = self.data_names.get(id(tensor))
        name = f"c{len(self.inputs)}" if given is None else given
        taken = {n.attr("name") for n in self.inputs}
        unique, count = name, 1
        while unique in taken:
            unique, count = f"{name}.{count}", count + 1
        tensor = tensor.detach()
        if tensor.is_floating_point():
            tensor = tensor.to(self.dtype)
        for earlier, numbers in self.inputs.items():
            alike = earlier in self.constants if given is None else earlier.attr("name") == name
            if alike and numbers.dtype == tensor.dtype and torch.equal(numbers, tensor):
                return earlier  # of a program that an objective runs twice
        node = make_input(unique, tensor.shape, tensor.dtype, (), "data")
        self.inputs[node] = tensor
        if given is None:
            self.constants.add(node)
        return node

    def real(self, tensor: torch.Tensor) -> Node:
        """A real tensor as an input of the main program (not captured into the current body)."""
        entry = self.imported.get(id(tensor))
        if entry is None or entry.version != tensor._version:
            entry = self.imported[id(tensor)] = Entry(tensor, self._input(tensor), tensor._version)
        return entry.node

    def batch(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """A tensor of a minibatch as an input: the program computes with it, and the next batch takes its place."""
        tensor = tensor.detach().to(self.widen(tensor.dtype))
        node = make_input(name, tensor.shape, tensor.dtype, (), "batch")
        self.inputs[node] = tensor
        return self.lift(node)

    # ------------------------------------------------------------ traced tensors

    def scope(self) -> Scope:
        return self.here

    @property
    def loops(self) -> list[Loop]:
        """The open loops of the running program."""
        return self.here.loops[self.foreign :]

    def lift(self, node: Node) -> torch.Tensor:
        tensor = super().lift(node)
        if node.plates:
            self.made_in[id(tensor)] = tuple(self.here.loops)
        return tensor

    def enter(self, entry: Entry) -> Node:
        if entry.node.plates:
            self._check_plates(entry)
        return self.capture(entry.node, entry.scope)

    def node(self, tensor: torch.Tensor) -> Node:
        node = super().node(tensor)
        return self.capture(node, self.main) if id(tensor) not in self.table else node

    def capture(self, node: Node, scope: Scope) -> Node:
        """`node`, made in `scope`, as seen from the current scope."""
        if scope is self.here or node.op in ("full", "constant", "plate_index"):
            return node
        if not scope.encloses(self.here):
            raise StructureError(
                f"a value made inside '{scope.label}' is used outside it",
                where=user_mark(),
                expected="values leave a scan or a branch only as its results",
                found="a value that Python kept from the body",
                edit="return the value from the step (carry, output) or from the branch",
            )
        chain: list[Scope] = []
        at: Scope | None = self.here
        while at is not None and at is not scope:
            chain.append(at)
            at = at.parent
        for inner in reversed(chain):
            known = inner.captured.get(node)
            if known is None:
                name = f"k{len(inner.captured)}"
                known = make_input(name, node.shape, node.dtype, node.plates, f"capture {inner.label}")
                inner.captured[node] = known
            node = known
        return node

    def _check_plates(self, entry: Entry) -> None:
        open_loops = self.here.loops
        made_in = self.made_in.get(id(entry.tensor), ())
        for plate in entry.node.plates:
            born = next((loop for loop in made_in if loop.plate == plate), None)
            if any(loop.plate == plate and (born is None or loop is born) for loop in open_loops):
                continue
            raise StructureError(
                f"an element of plate '{plate.name}' is used outside it",
                site=_site_in(entry.node),
                where=user_mark(),
                expected=f"one value; inside the plate there are {plate.size}, one per element",
                found="a value that belongs to one element",
                edit=f'{plate.name} = ppl.plate("{plate.name}", …); for j in {plate.name}: …; '
                f"then {plate.name}.gather(x) after the loop",
            )

    def varies(self, value: torch.Tensor) -> set[str]:
        """The names of the open loops over which a value that data alone decide differs."""
        node = at_main(self.table[id(value)].node, self)
        return {p.name for p in node.plates} if node is not None else set()

    def varies_outside(self, value: torch.Tensor) -> bool:
        """Whether a value that data alone decide differs between elements of a loop around the running program."""
        node = at_main(self.table[id(value)].node, self)
        around = {loop.plate for loop in self.here.loops[: self.foreign]}
        return node is not None and any(p in around for p in node.plates)

    # ------------------------------------------------------------ indexing by a plate

    def take(self, x: Node, axis: int, index: Node) -> Node:
        """x[…, index, …]: an element along the plate where the index is the plate's own."""
        n = x.shape[axis]
        drawn = self._drawn_by(index)
        if drawn is not None:
            _require_elements(n, x, axis, drawn.name, drawn.size)
        elif index.op == "plate_index":
            plate: Plate = index.attr("plate")
            _require_elements(n, x, axis, plate.name, plate.size)
            if plate not in x.plates:
                front = move_axis(x, axis, 0)
                if n > plate.size:
                    front = make("slice", front, dim=-len(x.shape), start=0, stop=plate.size, step=1)
                return plate_slice(front, plate)
        elif index.op != "full":
            self.check_index(self.lift(index), x.shape, axis)
        return make("take", x, index, dim=axis - len(x.shape))

    def _drawn_by(self, index: Node) -> Loop | None:
        """The subsampled plate whose elements' numbers this index is."""
        scope: Scope | None = self.here
        while scope is not None:
            index = next((outer for outer, inner in scope.captured.items() if inner is index), index)
            scope = scope.parent
        drawing = [loop for loop in self.here.loops if loop.plate is not None and loop.counter is not None]
        return next((loop for loop in drawing if self.table[id(loop.counter)].node is index), None)

    def check_index(self, index: torch.Tensor, shape: Sequence[int], axis: int) -> None:
        places = known(index, self)
        n = shape[axis]
        bad = places[(places < -n) | (places >= n)] if places is not None else torch.zeros(0)
        if bad.numel():
            raise DataError(
                f"index {int(bad[0])} is out of bounds for an axis of {n} elements",
                where=user_mark(),
                expected=f"indices from 0 to {n - 1}",
                found=f"{int(bad[0])} for an array of shape {list(shape)}",
                edit="correct the indices (the first is 0), or make the array longer",
            )

    def element(self, full: Node) -> Node:
        """The element of a main-program value with one leading axis per open loop."""
        node = self.capture(full, self.main)
        for loop in self.loops:
            if loop.counter is not None:
                node = make("take", node, self.node(loop.counter), dim=-len(node.shape))
            else:
                assert loop.plate is not None
                node = plate_slice(node, loop.plate)
        return node


def _require_elements(n: int, x: Node, axis: int, plate: str, size: int) -> None:
    if n < size:
        raise DataError(
            f"an array of {n} elements is indexed by plate '{plate}' of size {size}",
            where=user_mark(),
            expected=f"at least {size} elements along axis {axis}",
            found=f"shape {list(x.shape)}",
            edit=f'ppl.plate("{plate}", {n}), or data of length {size}',
        )


def _site_in(node: Node) -> str | None:
    """The name of the nearest sample site above a value, for messages."""
    seen, queue = set(), [node]
    while queue:
        n = queue.pop(0)
        if n.op == "sample":
            return n.attr("site").name
        for a in n.nodes:
            if a not in seen:
                seen.add(a)
                queue.append(a)
    return None


__all__ = ["Loop", "Scope", "ScopedTracer", "plate_index"]
