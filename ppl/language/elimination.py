"""Exact sums over hidden finite choices of a program, and draws of them given all else.

Each choice's values become a plate of their own (as in the strategy "enum"), so the program's log density is a
sum of terms over such plates. Choices are summed out one by one, those of inner plates first; a term that
touches no choice of its plate any more is summed over the plate.

Source: Obermeyer, Bingham, Jankowiak, Pradhan, Chiu, Rush & Goodman, "Tensor variable elimination for plated
factor graphs" (2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ppl.compiler.estimators.credit import elementwise
from ppl.compiler.estimators.strategy import support_size, support_values
from ppl.compiler.graph import Node, Plate, topological
from ppl.compiler.ops import constant, make, plate_slice, plate_stack, plate_sum, stacked
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.pointwise import add
from ppl.compiler.passes.layouts import Layout
from ppl.errors import MethodError

_DEPTH = 1 << 18  # of the plates of values: inside a program's own plates


@dataclass(frozen=True)
class Hidden:
    """A choice to be summed out.

    Attributes:
        layout: its site.
        inner: the plates of the program it stands in.
        plate: its values.
        values: all of them, [number, *element].
        value: an element of the choice, which is every value in turn.
    """

    layout: Layout
    inner: tuple[Plate, ...]
    plate: Plate
    values: torch.Tensor
    value: Node

    @staticmethod
    def of(layout: Layout, outer: frozenset[Plate], law: str, number: int) -> Hidden:
        inner = tuple(p for p in layout.effect.context if p not in outer)
        _check(layout, inner, law)
        found = support_values(layout.effect)
        assert found is not None
        values = found.to(layout.dtype)
        plate = Plate(_DEPTH + number, f"values of {layout.name}", len(values))
        value = plate_slice(constant(values), plate)
        for loop in inner:
            value = plate_slice(make("expand", value, shape=(loop.size, *value.shape)), loop)
        return Hidden(layout, inner, plate, values, value)

    @property
    def supply(self) -> Node:
        """All elements, [*plates, *element]."""
        return stacked(self.value, self.inner)


@dataclass(frozen=True)
class Step:
    """One choice summed out: the sum of the terms it was in, over its own plate and those of later ones."""

    hidden: Hidden
    joint: Node


@dataclass
class Elimination:
    """The log of a sum over hidden choices: `total`, and the steps it was found by, in order."""

    total: Operand = 0.0
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class _Term:
    node: Node
    pending: frozenset[Plate]  # plates of the program it is still to be summed over


def eliminate(total: Operand, hidden: Sequence[Hidden], law: str) -> Elimination:
    """log Σ exp(total) over all values of the hidden choices.

    Raises:
        MethodError: elements of a plate meet elsewhere than in sums of log densities.
    """
    done = Elimination()
    if not isinstance(total, Node):
        done.total = total
        return done
    own = {h.plate: h for h in hidden}
    terms = [t for t in _terms(total, frozenset(), own) if _checked(t, hidden, law)]
    while terms:
        deepest = max((t.pending for t in terms), key=len)
        here = [t for t in terms if t.pending == deepest]
        terms = [t for t in terms if t.pending != deepest]
        for h in reversed([h for h in hidden if frozenset(h.inner) == deepest]):
            here = _summed_out(h, here, done)
        terms += [_outwards(t, own, law) for t in here if t.pending]
        done.total = add(done.total, _added(t.node for t in here if not t.pending))
    return done


def _added(nodes: Iterable[Node]) -> Operand:
    total: Operand = 0.0
    for node in nodes:
        total = add(total, node)
    return total


def _summed_out(h: Hidden, terms: list[_Term], done: Elimination) -> list[_Term]:
    touched = [t for t in terms if h.plate in t.node.plates]
    if not touched:
        return terms
    joint = _added(t.node for t in touched)
    assert isinstance(joint, Node)
    done.steps.append(Step(h, joint))
    every = plate_stack(joint, h.plate)
    message = make("logsumexp", every, dims=(-1,), keepdim=False)
    return [*(t for t in terms if t not in touched), _Term(message, touched[0].pending)]


def _outwards(term: _Term, own: Mapping[Plate, Hidden], law: str) -> _Term:
    """A term summed over the plates in which it touches no hidden choice."""
    touched = [own[p] for p in term.node.plates if p in own]
    needed = frozenset(p for h in touched for p in h.inner)
    if needed == term.pending:
        raise _refused(touched, needed, law)
    node: Operand = term.node
    for plate in sorted(term.pending - needed, reverse=True):
        node = plate_sum(node, plate)
    assert isinstance(node, Node)
    return _Term(node, needed)


def _terms(node: Node, pending: frozenset[Plate], own: Mapping[Plate, Hidden]) -> Iterable[_Term]:
    """The terms of a log density: sums and differences, and sums over the program's plates, taken apart."""
    if (
        node.op == "add"
        and node.shape == ()
        and all(isinstance(a, Node) and a.shape == () for a in node.args)
    ):
        for a in node.nodes:
            yield from _terms(a, pending, own)
    elif node.op == "plate_sum" and node.attr("plate") not in own:
        yield from _terms(node.nodes[0], pending | {node.attr("plate")}, own)
    else:
        yield _Term(node, pending)


def _checked(term: _Term, hidden: Sequence[Hidden], law: str) -> bool:
    """Each element of a term may depend on the same element of a hidden choice only."""
    order = topological([term.node])
    for h in hidden:
        if h.plate not in term.node.plates:
            continue
        inner = frozenset(h.inner)
        if not elementwise(order, {h.value: inner}).get(term.node, frozenset()) >= inner or not (
            inner <= term.pending
        ):
            raise _refused([h], inner, law, term.node)
    return True


def _refused(
    touched: Sequence[Hidden], plates: Iterable[Plate], law: str, node: Node | None = None
) -> MethodError:
    names = " and ".join(f"'{h.layout.name}'" for h in touched)
    inside = " and ".join(f"'{p.name}'" for p in sorted(plates))
    return MethodError(
        f"{names} can't be summed out of {law}: elements of plate {inside} meet",
        site=touched[0].layout.name,
        where=(node.mark if node is not None else None) or touched[0].layout.effect.node.mark,
        expected="densities of an element that depend on the same element of the hidden choice",
        found="a density that depends on several of its elements, so that all combinations count",
        edit="by=ppl.importance(proposal, particles=10)",
    )


def enumerable(layout: Layout, inner: Sequence[Plate]) -> str | None:
    """Why a hidden choice can't be enumerated; None if it can."""
    if len(inner) != len(layout.loops) or layout.optional:
        return "it stands in a scan or a branch"
    size = support_size(layout.effect)
    if size is not None:
        return None
    vector = layout.discrete and len(layout.effect.node.shape) > layout.effect.site.event_rank
    return (
        "it is a vector of choices; a plate makes each a choice of its own"
        if vector
        else "it has no finite list of values"
    )


def _check(layout: Layout, inner: Sequence[Plate], law: str) -> None:
    reason = enumerable(layout, inner)
    if reason is not None:
        raise MethodError(
            f"'{layout.name}' can't be summed out of {law}: {reason}",
            site=layout.name,
            where=layout.effect.node.mark,
            expected="hidden choices of finitely many values, in plates or outside",
            found=reason,
            edit="by=ppl.importance(proposal, particles=10)",
        )


__all__ = ["Elimination", "Hidden", "Step", "eliminate", "enumerable"]
