"""What a loop means: a plate if its iterations are independent, a scan if one reads what earlier ones made.

The checker and the lowering ask here, so that `ppl explain` says what is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ppl.syntax import tree
from ppl.syntax.blocks import given_by, statements, targets
from ppl.syntax.first import with_first_elements


@dataclass(frozen=True, slots=True)
class Loop:
    """One `for`, with what its iterations make and read.

    `elements` are the names it builds (`theta[j]`), each with the axis of this loop; `lags` how far back it reads
    them (`z[t-2]`: 2); `updated` names from outside that an iteration changes (`total += x[t]`); `before` the values
    given above the loop for elements before the first (`z[-1] = 0`).
    """

    statement: tree.For
    name: str
    start: tree.Expression | None
    stop: tree.Expression
    elements: dict[str, int]
    lags: dict[str, int]
    updated: tuple[str, ...]
    before: set[tuple[str, int]] = field(default_factory=set)

    @property
    def is_scan(self) -> bool:
        return bool(self.lags or self.updated)

    @property
    def begins_later(self) -> bool:
        """Whether it begins above 0, or may."""
        return self.begin != 0

    @property
    def begin(self) -> int | None:
        """Where it begins as it is written; None if that is computed."""
        if self.start is None:
            return self.statement.begin
        return (
            self.start.value
            if isinstance(self.start, tree.Number) and type(self.start.value) is int
            else None
        )

    def why(self) -> str:
        """The reason, for `ppl explain`."""
        index = self.statement.index.id
        if self.lags:
            name, lag = next(iter(self.lags.items()))
            return f"a scan: an iteration reads {name}[{index}-{lag}]"
        if self.updated:
            return f"a scan: every iteration changes {self.updated[0]}"
        return "a plate: iterations are independent"


@dataclass(frozen=True, slots=True)
class Structure:
    """The loops of a body, and of every name built in loops the indices it is written with.

    `body` is what is to be run: first elements given above a loop (`z[0] ~ …`, then `for t in range(1, T)`) are
    part of the loop there.
    """

    body: tuple[tree.Statement, ...]
    loops: dict[int, Loop]
    built: dict[str, tuple[str, ...]]
    skipped: frozenset[int]
    reads: dict[int, Counter[str]] = field(default_factory=dict, compare=False)
    """What was counted already, by `id`."""

    def of(self, statement: tree.For) -> Loop:
        return self.loops[id(statement)]

    def reads_outside(self, name: str, loop: Loop) -> bool:
        """Whether anything outside of a loop reads `name`."""
        return self._reads(None)[name] > self._reads(loop.statement)[name]

    def _reads(self, loop: tree.For | None) -> Counter[str]:
        """How often a loop, or the whole body, reads each name."""
        key = id(loop)
        if key not in self.reads:
            found = self.reads[key] = Counter()
            waiting: list[tree.Node] = [loop] if loop is not None else list(self.body)
            while waiting:
                node = waiting.pop()
                if isinstance(node, tree.Name):
                    found[node.id] += 1
                waiting += [c for c in tree.children(node) if not isinstance(c, tree.Target)]
        return self.reads[key]


def structure(body: Sequence[tree.Statement], parameters: Iterable[str] = ()) -> Structure:
    """The structure of a program's or function's body; `parameters` have values when it begins."""
    known = set(parameters)
    whole = with_first_elements(tuple(body), known)
    loops: dict[int, Loop] = {}
    skipped: set[int] = set()
    _block(whole, known, loops, skipped, ())
    _name_apart(loops)
    built = {
        t.name.id: tuple(i.id for i in t.indices if isinstance(i, tree.Name))
        for statement in statements(whole)
        for t in targets(statement)
        if t.indices and all(isinstance(i, tree.Name) for i in t.indices)
    }
    return Structure(whole, loops, built, frozenset(skipped))


def _block(
    body: Sequence[tree.Statement],
    known: set[str],
    loops: dict[int, Loop],
    skipped: set[int],
    around: tuple[str, ...],
) -> None:
    """Analyse the loops of a block, which stands in loops with the names `around`; `known` are the names that have
    values when it begins, and again at its end.
    """
    initial: dict[str, dict[int, int]] = {}
    own: set[str] = set()
    for statement in body:
        if isinstance(statement, tree.Assign) and (place := before_first(statement)):
            name, k = place
            initial.setdefault(name, {})[k] = id(statement)
        elif isinstance(statement, tree.For):
            loop = _again(_loop(statement, known), around)
            for name in loop.elements:
                loop.before.update((name, k) for k in initial.get(name, ()))
                skipped.update(initial.get(name, {}).values())
            loops[id(statement)] = loop
            index = {statement.index.id} - known
            known |= index
            _block(statement.body, known, loops, skipped, (*around, loop.name))
            known -= index
        elif isinstance(statement, tree.If):
            for branch in statement.branches:
                _block(branch.body, known, loops, skipped, around)
            _block(statement.otherwise, known, loops, skipped, around)
        given = given_by(statement)
        own |= given - known
        known |= given
    known -= own


def _loop(statement: tree.For, known: set[str]) -> Loop:
    index = statement.index.id
    inside = list(statements(statement.body))
    elements: dict[str, int] = {}
    plain: list[str] = []
    for inner in inside:
        for target in targets(inner):
            at = _axis(target.indices, index)
            if at is not None:
                elements[target.name.id] = at
            elif not target.indices:
                plain.append(target.name.id)
    lags: dict[str, int] = {}
    for node in (n for s in statement.body for n in tree.walk(s)):
        if isinstance(node, tree.Index) and isinstance(node.value, tree.Name) and node.value.id in elements:
            at = elements[node.value.id]
            lag = lag_of(node.indices[at], index) if at < len(node.indices) else None
            if lag:
                lags[node.value.id] = max(lag, lags.get(node.value.id, 0))
    updated = tuple(dict.fromkeys(name for name in plain if name in known and name not in elements))
    start, stop = bounds(statement.domain)
    loop = Loop(statement, index, start, stop, elements, lags, updated)
    return replace(loop, name=stop.id) if isinstance(stop, tree.Name) and _is_named(loop) else loop


def _again(loop: Loop, around: Sequence[str]) -> Loop:
    """A loop over the dim of a loop around it, each pair of its elements for itself: N, N_2."""
    count, name = 1, loop.name
    while _is_named(loop) and name in around:
        count += 1
        name = f"{loop.name}_{count}"
    return replace(loop, name=name)


def _name_apart(loops: dict[int, Loop]) -> None:
    """Loops over different things that would have one name, that of their indices, get numbers: i, i_2."""
    taken = {loop.name: (loop.start, loop.stop) for loop in loops.values() if _is_named(loop)}
    names: dict[tuple[object, ...], str] = {}
    counts: Counter[str] = Counter()
    for key, loop in loops.items():
        if _is_named(loop):
            continue
        over = (loop.start, loop.stop)
        name = names.get((loop.name, *over))
        while name is None:
            counts[loop.name] += 1
            count = counts[loop.name]
            trial = loop.name if count == 1 else f"{loop.name}_{count}"
            if taken.setdefault(trial, over) == over:
                name = names[loop.name, *over] = trial
        loops[key] = replace(loop, name=name)


def _is_named(loop: Loop) -> bool:
    """Whether a loop has the name of what it runs over."""
    return loop.start is None and isinstance(loop.stop, tree.Name)


def bounds(domain: tree.Expression) -> tuple[tree.Expression | None, tree.Expression]:
    """First and end of what a loop runs over; a first of None is 0."""
    if (
        isinstance(domain, tree.Call)
        and isinstance(domain.function, tree.Name)
        and domain.function.id == "range"
    ):
        if len(domain.arguments) == 1:
            return None, domain.arguments[0]
        if len(domain.arguments) == 2:
            return domain.arguments[0], domain.arguments[1]
    return None, domain


def lag_of(expression: tree.Expression, index: str) -> int | None:
    """k if the expression is `index - k` with a whole k ≥ 1, 0 if it is the index itself, else None."""
    if isinstance(expression, tree.Name) and expression.id == index:
        return 0
    if (
        isinstance(expression, tree.Binary)
        and expression.operator == "-"
        and isinstance(expression.left, tree.Name)
        and expression.left.id == index
        and isinstance(expression.right, tree.Number)
        and isinstance(expression.right.value, int)
        and expression.right.value >= 1
    ):
        return expression.right.value
    return None


def before_first(statement: tree.Statement) -> tuple[str, int] | None:
    """("z", k) of `z[-k] = …`."""
    if not isinstance(statement, tree.Assign):
        return None
    target = statement.targets[0]
    if len(statement.targets) == 1 and len(target.indices) == 1:
        (index,) = target.indices
        if (
            isinstance(index, tree.Unary)
            and index.operator == "-"
            and isinstance(index.operand, tree.Number)
            and isinstance(index.operand.value, int)
        ):
            return target.name.id, index.operand.value
    return None


def _axis(indices: Sequence[tree.Expression], index: str) -> int | None:
    for at, each in enumerate(indices):
        if isinstance(each, tree.Name) and each.id == index:
            return at
    return None
