"""What the checker found out about a file, as the lowering needs it: parameters, dims, what a site's values are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ppl.syntax import tree
from ppl.syntax.blocks import statements

PROGRAM_TYPES = frozenset({"model", "guide", "objective", "program", "module", "distribution", "text"})
"""Types whose values are not numbers."""


@dataclass(frozen=True, slots=True)
class Names:
    """What is known of the names of one body: `events` the sizes of one element of a name that loops build, `whole`
    the names with whole numbers, `site_dims` names for the axes of a vector-valued site (by its place in the file).
    """

    events: dict[str, tuple[tree.Expression, ...]] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    site_dims: dict[tree.Span, tuple[str, ...]] = field(default_factory=dict)

    def event(self, name: str) -> tuple[tree.Expression, ...]:
        return self.events.get(name, ())

    def is_whole(self, name: str) -> bool:
        return name in self.whole

    def dims_of(self, site: tree.Sample) -> tuple[str, ...]:
        return self.site_dims.get(site.span, ())


@dataclass(frozen=True)
class Info:
    """What is known of a file. `bodies` is by the name of the `def` or program."""

    file: tree.File
    bodies: dict[str, Names] = field(default_factory=dict)

    def names(self, item: tree.Function | tree.Program) -> Names:
        return self.bodies.get(item.name.id, Names())

    def parameters(self, item: tree.Function | tree.Program) -> tuple[tree.Parameter, ...]:
        """An item's parameters; a guide that gives none has its model's."""
        seen: set[str] = set()
        while isinstance(item, tree.Program) and item.parameters is None and item.model is not None:
            owner = self.programs.get(item.model.id)
            if owner is None or owner.name.id in seen:
                return ()
            item = owner
            seen.add(item.name.id)
        return item.parameters or ()

    @cached_property
    def programs(self) -> dict[str, tree.Program]:
        """The programs by name; of several with one name, the first."""
        return {i.name.id: i for i in reversed(self.file.items) if isinstance(i, tree.Program)}

    def sampled(self, item: tree.Function | tree.Program) -> frozenset[str]:
        """The parameters that are sites too: data, when they are given."""
        names = {p.name.id for p in self.parameters(item)}
        sites = {s.target.name.id for s in statements(item.body) if isinstance(s, tree.Sample)}
        return frozenset(names & sites)

    def dims(self, item: tree.Function | tree.Program) -> tuple[str, ...]:
        """The names that the sizes of parameters bind, in order."""
        return dims(self.parameters(item))


def dims(parameters: Sequence[tree.Parameter]) -> tuple[str, ...]:
    """Names among the sizes of the parameters' types that are not parameters themselves."""
    own = {p.name.id for p in parameters}
    found: dict[str, None] = {}
    for parameter in parameters:
        if parameter.type is not None:
            for size in parameter.type.shape:
                for node in tree.walk(size):
                    if isinstance(node, tree.Name) and node.id not in own:
                        found[node.id] = None
    return tuple(found)
