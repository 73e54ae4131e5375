"""Blocks of statements: all of them in order, and what each gives values to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ppl.syntax import tree


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


def given_names(body: Sequence[tree.Statement]) -> tuple[str, ...]:
    """The names that a block gives values to anywhere, in order."""
    return tuple(dict.fromkeys(t.name.id for s in statements(body) for t in targets(s)))


def given_by(statement: tree.Statement) -> set[str]:
    """The names that have values below a statement because of it: of a loop the arrays it builds, of an `if` what
    all of its branches give.
    """
    if isinstance(statement, tree.For):
        return {t.name.id for s in statements([statement]) for t in targets(s) if t.indices}
    if isinstance(statement, tree.If):
        blocks = [*(b.body for b in statement.branches), statement.otherwise]
        return set.intersection(*({n for s in block for n in given_by(s)} for block in blocks))
    return {t.name.id for t in targets(statement)}
