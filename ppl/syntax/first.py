"""First elements with statements of their own, as people who come from Stan write them:

    z[0] ~ Normal(0, 1)
    for t in range(1, T):
        z[t] ~ Normal(rho * z[t-1], s)

is one site `z` over T, whose parameters are others at t = 0. What else the loop says is not said of t = 0.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from operator import itemgetter

from ppl.syntax import tree
from ppl.syntax.blocks import given_by, statements, targets
from ppl.syntax.families import families
from ppl.syntax.limits import FIRST, too_many_first
from ppl.syntax.problems import Problem, Rejected

Elements = dict[tuple[str, int], tree.Statement]


def with_first_elements(body: tuple[tree.Statement, ...], known: set[str]) -> tuple[tree.Statement, ...]:
    """`body` with such statements taken into the loop that goes on from them, in every block; `known` are the names
    that have values when it begins, and again at its end.
    """
    result: list[tree.Statement] = []
    above: dict[str, dict[int, tree.Statement]] = {}
    changes = _Changes()
    taken: set[int] = set()
    own: set[str] = set()
    for statement in body:
        if isinstance(statement, tree.If):
            branches = tuple(replace(b, body=with_first_elements(b.body, known)) for b in statement.branches)
            otherwise = with_first_elements(statement.otherwise, known)
            statement = replace(statement, branches=branches, otherwise=otherwise)
        elif isinstance(statement, tree.For):
            index = {statement.index.id} - known
            known |= index
            statement = replace(statement, body=with_first_elements(statement.body, known))
            known -= index
            begin = _begin(statement.domain)
            firsts = _firsts(above, statement, begin) if begin else {}
            if firsts:
                changes.refuse_between(firsts, taken)
                taken |= set(map(id, firsts.values()))
                for name, k in firsts:
                    del above[name][k]
                statement = _joined(statement, begin, firsts, known)
        elif (element := _element(statement)) is not None:
            name, k = element
            above.setdefault(name, {})[k] = statement
        result.append(statement)
        changes.note(statement)
        given = given_by(statement)
        own |= given - known
        known |= given
    known -= own
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


class _Changes:
    """Which statements of a block change a name."""

    def __init__(self) -> None:
        self.places: dict[int, int] = {}
        self.of: dict[str, list[tuple[int, int, tree.Target]]] = {}

    def note(self, statement: tree.Statement) -> None:
        """The next statement of the block."""
        at = self.places[id(statement)] = len(self.places)
        for target in (t for s in statements([statement]) for t in targets(s)):
            self.of.setdefault(target.name.id, []).append((at, id(statement), target))

    def refuse_between(self, firsts: Elements, taken: set[int]) -> None:
        """Refuse what a first element reads and something between it and the loop changes: it is said in the loop."""
        own = {name for name, _ in firsts}
        for (name, k), first in firsts.items():
            place = self.places[id(first)]
            for read in sorted({n.id for n in tree.walk(first) if isinstance(n, tree.Name)} - own):
                changes = self.of.get(read, [])
                later = changes[bisect_right(changes, place, key=itemgetter(0)) :]
                target = next((target for _, by, target in later if by not in taken), None)
                if target is not None:
                    headline = f"`{read}` changes between {name}[{k}], which reads it, and the loop that goes on from there"
                    edit = f"a name of its own: {read}_2 = …"
                    raise Rejected(Problem("structure", target.span, headline, edit=edit))


def _joined(loop: tree.For, begin: int, firsts: Elements, known: set[str]) -> tree.For:
    """The loop over all elements, each statement with the parameters of the first ones at those."""
    stop = loop.domain.arguments[1] if isinstance(loop.domain, tree.Call) else loop.domain
    names = frozenset(name for name, _ in firsts)
    body = []
    for statement in loop.body:
        target = _target(statement)
        if target is not None and target.name.id in names:
            for k in reversed(range(begin)):
                first = _shifted(firsts[target.name.id, k], names, loop.index, k)
                statement = _at(statement, first, loop.index, k)
            body.append(statement)
        else:
            body.append(_from(begin, statement, loop.index, known))
    return replace(loop, domain=stop, body=tuple(body), begin=begin, firsts=names)


def _from(begin: int, s: tree.Statement, index: tree.Name, known: set[str]) -> tree.Statement:
    """A statement of the loop as it is where the loop was written to begin; before, it does nothing."""
    if isinstance(s, tree.For):
        return replace(s, body=tuple(_from(begin, inner, index, known) for inner in s.body))
    if isinstance(s, tree.If):
        branches = (replace(b, body=tuple(_from(begin, x, index, known) for x in b.body)) for b in s.branches)
        otherwise = tuple(_from(begin, x, index, known) for x in s.otherwise)
        return replace(s, branches=tuple(branches), otherwise=otherwise)
    changes = isinstance(s, tree.Assign) and any(t.name.id in known and not t.indices for t in s.targets)
    if changes or isinstance(s, tree.Observe) or (isinstance(s, tree.Keep) and s.keyword == "factor"):
        first = tree.Number(begin, str(begin), span=s.span)
        test = tree.Compare(index, (">=",), (first,), span=s.span)
        return tree.If((tree.Branch(test, (s,), span=s.span),), (), span=s.span)
    return s


def _shifted(first: tree.Statement, names: frozenset[str], index: tree.Name, k: int) -> tree.Statement:
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
    if isinstance(later, tree.Sample) and isinstance(first, tree.Sample):
        joined = _either_call(first.distribution, later.distribution, index, k)
        if not _same_type(first.type, later.type) or first.options != later.options:
            raise _misfit(first, k, "type", "the same type and options")
        if joined is not None:
            return replace(later, distribution=joined)
    elif isinstance(later, tree.Keep) and isinstance(first, tree.Keep) and later.keyword == first.keyword:
        return replace(later, value=_either(first.value, later.value, index, k))
    elif isinstance(later, tree.Assign) and isinstance(first, tree.Assign):
        if first.type != later.type or first.operator or later.operator:
            raise _misfit(first, k, "type", "the same type, and one statement with `=`")
        return replace(later, value=_either(first.value, later.value, index, k))
    raise _misfit(first, k, "family", "the same family with the same parameters given")


def _same_type(first: tree.Type | None, later: tree.Type | None) -> bool:
    """Whether two statements for one site say the same of its values: a type with sizes alone says nothing of them."""
    plain = later is not None and later.name.id == "real" and not later.arguments and not later.keywords
    return first == later or (first is None and plain)


def _either(one: tree.Expression, other: tree.Expression, index: tree.Name, k: int) -> tree.Expression:
    """`one` where the index is k, else `other`; a distribution in a distribution parameter by parameter."""
    if one == other:
        return one
    if (
        isinstance(other, tree.Call)
        and isinstance(other.function, tree.Name)
        and other.function.id in families()
    ):
        joined = _either_call(one, other, index, k)
        if joined is not None:
            return joined
    test = tree.Compare(index, ("==",), (tree.Number(k, str(k), span=one.span),), span=one.span)
    return tree.Conditional(one, test, other, span=one.span)


def _either_call(
    one: tree.Expression, other: tree.Expression, index: tree.Name, k: int
) -> tree.Expression | None:
    """Two calls of one function as one, if the same parameters are given in both."""
    if not (isinstance(one, tree.Call) and isinstance(other, tree.Call) and one.function == other.function):
        return None
    named = [kw.name for kw in one.keywords] == [kw.name for kw in other.keywords]
    if not named or len(one.arguments) != len(other.arguments):
        return None
    pairs = zip(one.arguments, other.arguments, strict=True)
    keywords = zip(one.keywords, other.keywords, strict=True)
    return replace(
        other,
        arguments=tuple(_either(a, b, index, k) for a, b in pairs),
        keywords=tuple(replace(b, value=_either(a.value, b.value, index, k)) for a, b in keywords),
    )


def _misfit(first: tree.Statement, k: int, what: str, expected: str) -> Rejected:
    target = _target(first)
    name = target.name.id if target is not None else "x"
    sign = "~" if isinstance(first, tree.Sample) else "="
    return Rejected(
        Problem(
            "structure",
            first.span,
            f"{name}[{k}] and the {name} of the loop are one {'site' if sign == '~' else 'array'}, and have to be of one {what}",
            expected=expected,
            edit=f"the same {what} in both, or another name for the first: {name}{k} {sign} …",
        )
    )
