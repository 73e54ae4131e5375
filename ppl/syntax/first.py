"""First elements with statements of their own, as people who come from Stan write them:

    z[0] ~ Normal(0, 1)
    for t in range(1, T):
        z[t] ~ Normal(rho * z[t-1], s)

is one site `z` over T, whose parameters are others at t = 0.
"""

from __future__ import annotations

from dataclasses import replace

from ppl.syntax import tree
from ppl.syntax.limits import FIRST, too_many_first
from ppl.syntax.problems import Problem, Rejected

Elements = dict[tuple[str, int], tree.Statement]


def with_first_elements(body: tuple[tree.Statement, ...]) -> tuple[tree.Statement, ...]:
    """`body` with such statements taken into the loop that goes on from them, in every block."""
    result: list[tree.Statement] = []
    above: dict[str, dict[int, tree.Statement]] = {}
    taken: set[int] = set()
    for statement in body:
        if isinstance(statement, tree.If):
            branches = tuple(replace(b, body=with_first_elements(b.body)) for b in statement.branches)
            statement = replace(
                statement, branches=branches, otherwise=with_first_elements(statement.otherwise)
            )
        elif isinstance(statement, tree.For):
            statement = replace(statement, body=with_first_elements(statement.body))
            begin = _begin(statement.domain)
            firsts = _firsts(above, statement, begin) if begin else {}
            if firsts:
                taken |= set(map(id, firsts.values()))
                for name, k in firsts:
                    del above[name][k]
                statement = _joined(statement, begin, firsts)
        elif (element := _element(statement)) is not None:
            name, k = element
            above.setdefault(name, {})[k] = statement
        result.append(statement)
    return tuple(s for s in result if id(s) not in taken)


def _begin(domain: tree.Expression) -> int:
    """a of `range(a, b)` with a written-out a ≥ 1, else 0."""
    if (
        isinstance(domain, tree.Call)
        and isinstance(domain.function, tree.Name)
        and domain.function.id == "range"
        and len(domain.arguments) == 2
        and isinstance(domain.arguments[0], tree.Number)
        and isinstance(domain.arguments[0].value, int)
    ):
        return domain.arguments[0].value
    return 0


def _firsts(above: dict[str, dict[int, tree.Statement]], loop: tree.For, begin: int) -> Elements:
    names = {s.target.name.id for s in loop.body if isinstance(s, tree.Sample | tree.Keep)}
    names |= {t.name.id for s in loop.body if isinstance(s, tree.Assign) for t in s.targets if t.indices}
    found = {(n, k): s for n in names for k, s in above.get(n, {}).items() if k < begin}
    if found and begin > FIRST:
        raise Rejected(too_many_first(loop.domain.span, begin))
    for name in sorted({name for name, _ in found}):
        missing = [k for k in range(begin) if (name, k) not in found]
        if missing:
            raise Rejected(
                Problem(
                    "structure",
                    loop.index.span,
                    f"the loop goes on from {begin}, but {name}[{missing[0]}] has no statement",
                    expected=f"a statement for each of {', '.join(f'{name}[{k}]' for k in range(begin))}",
                    edit=f"{name}[{missing[0]}] ~ … above the loop",
                )
            )
    return found


def _element(statement: tree.Statement) -> tuple[str, int] | None:
    """("z", 0) of `z[0] ~ …`."""
    target = _target(statement)
    if target is not None and len(target.indices) == 1:
        (index,) = target.indices
        if isinstance(index, tree.Number) and isinstance(index.value, int):
            return target.name.id, index.value
    return None


def _target(statement: tree.Statement) -> tree.Target | None:
    if isinstance(statement, tree.Sample | tree.Keep):
        return statement.target
    if isinstance(statement, tree.Assign) and len(statement.targets) == 1:
        return statement.targets[0]
    return None


def _joined(loop: tree.For, begin: int, firsts: Elements) -> tree.For:
    """The loop over all elements, each statement with the parameters of the first ones at those."""
    stop = loop.domain.arguments[1] if isinstance(loop.domain, tree.Call) else loop.domain
    body = []
    for statement in loop.body:
        target = _target(statement)
        if target is not None:
            for k in reversed(range(begin)):
                if (target.name.id, k) in firsts:
                    first = _shifted(firsts[target.name.id, k], {name for name, _ in firsts}, loop.index, k)
                    statement = _at(statement, first, loop.index, k)
        body.append(statement)
    return replace(loop, domain=stop, body=tuple(body))


def _shifted(first: tree.Statement, names: set[str], index: tree.Name, k: int) -> tree.Statement:
    """What `z[0]` is in the statement for element k, said in terms of the loop's index: `z[t-k]`."""

    def rule(node: tree.Node) -> tree.Node:
        if isinstance(node, tree.Index) and isinstance(node.value, tree.Name) and node.value.id in names:
            at = node.indices[0]
            if isinstance(at, tree.Number) and isinstance(at.value, int) and 0 <= at.value <= k:
                lag = k - at.value
                back = tree.Binary("-", index, tree.Number(lag, str(lag), span=at.span), span=at.span)
                return replace(
                    node, indices=(back if lag else replace(index, span=at.span), *node.indices[1:])
                )
        return node

    return tree.rewritten(first, rule)


def _at(later: tree.Statement, first: tree.Statement, index: tree.Name, k: int) -> tree.Statement:
    """`later`, but what `first` says where the index is k."""

    def either(one: tree.Expression, other: tree.Expression) -> tree.Expression:
        test = tree.Compare(index, ("==",), (tree.Number(k, str(k), span=one.span),), span=one.span)
        return one if one == other else tree.Conditional(one, test, other, span=one.span)

    if isinstance(later, tree.Sample) and isinstance(first, tree.Sample):
        a, b = first.distribution, later.distribution
        if isinstance(a, tree.Call) and isinstance(b, tree.Call) and a.function == b.function:
            named = tuple(kw.name for kw in a.keywords) == tuple(kw.name for kw in b.keywords)
            if named and len(a.arguments) == len(b.arguments):
                arguments = tuple(either(x, y) for x, y in zip(a.arguments, b.arguments, strict=True))
                keywords = tuple(
                    replace(y, value=either(x.value, y.value))
                    for x, y in zip(a.keywords, b.keywords, strict=True)
                )
                return replace(later, distribution=replace(b, arguments=arguments, keywords=keywords))
    elif isinstance(later, tree.Assign | tree.Keep) and type(later) is type(first):
        return replace(later, value=either(first.value, later.value))  # type: ignore[union-attr]
    name = first.target.name.id if isinstance(first, tree.Sample | tree.Keep) else "x"
    raise Rejected(
        Problem(
            "structure",
            first.span,
            f"{name}[{k}] and the {name} of the loop are one site, and have to be of one family",
            expected="the same family with the same parameters given",
            edit=f"the same family in both, or another name for the first: {name}{k} ~ …",
        )
    )
