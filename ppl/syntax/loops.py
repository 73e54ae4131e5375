"""What a loop means: a plate if its iterations are independent, a scan if one reads what earlier ones made.

The checker and the lowering ask here, so that `ppl explain` says what is run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ppl.syntax import tree
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
    before: dict[tuple[str, int], tree.Expression] = field(default_factory=dict)

    @property
    def is_scan(self) -> bool:
        return bool(self.lags or self.updated)

    @property
    def begins_later(self) -> bool:
        """Whether it begins above 0, or may."""
        return self.start is not None and not (isinstance(self.start, tree.Number) and self.start.value == 0)

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


def structure(body: Sequence[tree.Statement]) -> Structure:
    """The structure of a program's or function's body."""
    whole = with_first_elements(tuple(body))
    loops: dict[int, Loop] = {}
    skipped: set[int] = set()
    _block(whole, set(), loops, skipped)
    built = {
        t.name.id: tuple(i.id for i in t.indices if isinstance(i, tree.Name))
        for statement in statements(whole)
        for t in targets(statement)
        if t.indices and all(isinstance(i, tree.Name) for i in t.indices)
    }
    return Structure(whole, loops, built, frozenset(skipped))


def _block(
    body: Sequence[tree.Statement], known: set[str], loops: dict[int, Loop], skipped: set[int]
) -> None:
    """Analyse the loops of a block; `known` are the names that have values when it begins, and again at its end."""
    initial: dict[str, dict[int, tree.Assign]] = {}
    own: set[str] = set()
    for statement in body:
        if isinstance(statement, tree.Assign) and (place := _before_first(statement)):
            name, k = place
            initial.setdefault(name, {})[k] = statement
        elif isinstance(statement, tree.For):
            loop = _loop(statement, known)
            for name in loop.elements:
                for k, before in initial.get(name, {}).items():
                    loop.before[name, k] = before.value
                    skipped.add(id(before))
            loops[id(statement)] = loop
            index = {statement.index.id} - known
            known |= index
            _block(statement.body, known, loops, skipped)
            known -= index
        elif isinstance(statement, tree.If):
            for branch in statement.branches:
                _block(branch.body, known, loops, skipped)
            _block(statement.otherwise, known, loops, skipped)
        given = {t.name.id for inner in statements([statement]) for t in targets(inner) if t.indices}
        given |= {t.name.id for t in targets(statement)}
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
    name = stop.id if isinstance(stop, tree.Name) else index
    return Loop(statement, name, start, stop, elements, lags, updated)


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


def _before_first(statement: tree.Assign) -> tuple[str, int] | None:
    """("z", k) of `z[-k] = …`."""
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


def targets(statement: tree.Statement) -> tuple[tree.Target, ...]:
    """What a statement itself gives values to (not what it holds does)."""
    if isinstance(statement, tree.Assign):
        return statement.targets
    if isinstance(statement, tree.Sample | tree.Observe | tree.Keep | tree.Declare):
        return (statement.target,)
    return ()


def statements(body: Sequence[tree.Statement]) -> Iterator[tree.Statement]:
    """The statements of a block and of all blocks in it, in order."""
    waiting = list(reversed(body))
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, tree.For):
            waiting += reversed(statement.body)
        elif isinstance(statement, tree.If):
            waiting += reversed(statement.otherwise)
            for branch in reversed(statement.branches):
                waiting += reversed(branch.body)


def given_names(body: Sequence[tree.Statement]) -> dict[str, tree.Target]:
    """The names that a block gives values to, in order, each with the last place where."""
    return {t.name.id: t for s in statements(body) for t in targets(s)}
