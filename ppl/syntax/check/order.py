"""The order in which definitions are checked: those that others call first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ppl.syntax import tree
from ppl.syntax.blocks import statements, targets
from ppl.syntax.check.reporting import Report
from ppl.syntax.problems import Problem

Definition = tree.Function | tree.Program


def in_order(definitions: Mapping[str, Definition], report: Report) -> Iterator[Definition]:
    """Definitions, those that others call first. A circle of calls is an error."""
    state: dict[str, int] = {}
    order: list[Definition] = []

    def visit(name: str, chain: tuple[str, ...]) -> None:
        if state.get(name) == 2 or name not in definitions:
            return
        item = definitions[name]
        if state.get(name) == 1:
            circle = " → ".join([*chain[chain.index(name) :], name])
            words = "calls itself" if circle.count("→") == 1 else f"call each other in a circle: {circle}"
            headline = f"`{name}` {words}" if "itself" in words else f"functions {words}"
            report(
                Problem(
                    "structure",
                    item.name.span,
                    headline + ": how often, nobody can know before it runs",
                    edit="a loop: for i in n: …",
                )
            )
            return
        if len(chain) > 60:
            report(
                Problem(
                    "resource",
                    item.name.span,
                    "definitions call each other more than 60 deep",
                    "at most 60",
                    "more",
                    "fewer definitions, or two files",
                )
            )
            return
        state[name] = 1
        for other in _mentioned(item):
            if other in definitions:
                visit(other, (*chain, name))
        state[name] = 2
        order.append(item)

    for name in list(definitions):
        visit(name, ())
    yield from order


def _mentioned(item: Definition) -> Iterator[str]:
    """The names that a body reads and does not give values itself."""
    own = {p.name.id for p in item.parameters or ()}
    own |= {t.name.id for s in statements(item.body) for t in targets(s)}
    own |= {s.index.id for s in statements(item.body) if isinstance(s, tree.For)}
    names = dict.fromkeys(n.id for s in item.body for n in tree.walk(s) if isinstance(n, tree.Name))
    yield from (n for n in names if n not in own)
