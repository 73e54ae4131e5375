"""Random choices out of branches: each becomes a choice before the `switch`, with the parameters that its branch
gives it, and the branches read its value.

Where another branch is taken, the choice has parameters that are constants and the objective does not depend on
its value; so it adds nothing to any gradient, and every strategy is as sound for it as for a choice outside.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.distributions import Distribution

from ppl.compiler import specs
from ppl.compiler.graph import Graph, Node, Type, bodies, substitute, topological
from ppl.compiler.ops import constant, full, item, make, make_input, switch
from ppl.compiler.ops.effects import Effect, effect
from ppl.compiler.ops.pointwise import where
from ppl.distributions import family_of
from ppl.errors import MethodError

IN_BRANCH = " in branch "
"""In the names of choices whose own name another branch has taken."""


def before_branches(node: Node, taken: set[str]) -> tuple[Node, list[Node]]:
    """A switch without choices, and the choices of its branches, which come before it.

    Args:
        node: a switch whose branches have no scans with choices and no switches with choices.
        taken: names of choices; a name that is taken gets the branch's number.
    """
    index, *operands = node.nodes
    branch_taken = make("clamp", make("to", index, dtype=torch.int64), low=0, high=len(bodies(node)) - 1)
    choices: list[Node] = []
    places: list[Node] = []
    memos: list[dict[Node, Node]] = []
    for k, branch in enumerate(bodies(node)):
        read: dict[Node, Node] = {}
        values = list(operands)
        outside = dict(zip(branch.inputs, operands, strict=True))
        for old in branch.effects:
            e = Effect.of(old)
            params = _params(e, node, k, (*branch.inputs, *read.values()), read, values)
            name = e.name if e.name not in taken else f"{e.name}{IN_BRANCH}{k}"
            taken.add(name)
            site = replace(e.site, name=name)
            # What its strategy reads, where the branch is taken; elsewhere any number that is a number.
            taken_here = make("eq", branch_taken, k)
            reads = [where(taken_here, r, 1.0) for r in substitute(e.reads, outside)]
            drawn = effect("sample", site, params, e.node.type, e.context, mark=e.node.mark, reads=reads)
            outside[old] = drawn
            read[old] = make_input(f"choice {name}", drawn.shape, drawn.dtype, drawn.plates, "operand")
            values.append(drawn)
            choices.append(drawn)
            places.append(read[old])
        memos.append({**{n: n for n in branch.inputs}, **read})
    graphs = [
        Graph((*branch.inputs, *places), tuple(substitute(branch.outputs, memo)))
        for branch, memo in zip(bodies(node), memos, strict=True)
    ]
    new = _with_used(graphs, index, [*operands, *choices], node.attr("name"))
    new.mark = node.mark
    return new, choices


def _with_used(branches: Sequence[Graph], index: Node, operands: Sequence[Node], name: str) -> Node:
    """A switch on those operands that its branches read."""
    reached = [set(topological(b.outputs)) for b in branches]
    used = [
        k
        for k in range(len(operands))
        if any(b.inputs[k] in seen for b, seen in zip(branches, reached, strict=True))
    ]
    graphs = [Graph(tuple(b.inputs[k] for k in used), b.outputs) for b in branches]
    return switch(graphs, index, [operands[k] for k in used], name)


def _params(
    e: Effect,
    node: Node,
    k: int,
    inputs: Sequence[Node],
    read: dict[Node, Node],
    values: Sequence[Node],
) -> list[Node]:
    """The parameters of a site of branch k as values outside: its own where that branch is taken, else constants in
    the family's domain. A parameter that is a constant stays what it is.
    """
    params = substitute(e.params, {**{n: n for n in inputs}, **read})
    safe = _safe(e, params)
    result = []
    for param, elsewhere in zip(params, safe, strict=True):
        reached = set(topological([param]))
        used = [i for i, n in enumerate(inputs) if n in reached]
        if not used:
            result.append(param)
            continue
        own = Graph(tuple(inputs[i] for i in used), (param,))
        other = Graph(own.inputs, (elsewhere,))
        graphs = [own if b == k else other for b in range(len(bodies(node)))]
        result.append(item(switch(graphs, node.nodes[0], [values[i] for i in used]), 0))
    return result


# ---------------------------------------------------------------- parameters that are sure to be in the domain


def _safe(e: Effect, params: Sequence[Node]) -> list[Node]:
    """Parameters with which the site can be drawn, equal to its own where these are constants."""
    known = tuple(p.attr("value") if p.op == "full" else None for p in params)
    found = _search(e.site.spec, tuple(p.type for p in params), known)
    if found is None:
        raise MethodError(
            f"'{e.name}' can't be drawn where its branch is not taken",
            site=e.name,
            where=e.node.mark,
            expected="a family of which some parameters are known to lie in its domain",
            found=specs.class_name(e.site.spec.cls),
            edit="draw it before the branch, and use it inside",
        )
    return [constant(x) if x.dim() else full(x.item(), (), x.dtype) for x in found]


@functools.lru_cache(maxsize=1024)
def _search(spec: Any, types: tuple[Type, ...], known: tuple[Any, ...]) -> tuple[torch.Tensor, ...] | None:
    lists = [
        [torch.full(t.shape, k, dtype=t.dtype)] if k is not None else list(_candidates(t))
        for t, k in zip(types, known, strict=True)
    ]
    for tensors in itertools.islice(itertools.product(*lists), 2000):
        if _possible(spec, tensors):
            return tensors
    return None


def _candidates(t: Type) -> Iterator[torch.Tensor]:
    if t.shape:
        size = t.shape[-1]
        if len(t.shape) > 1 and t.shape[-2] == size:
            yield torch.eye(size, dtype=t.dtype).expand(t.shape).clone()
        if t.dtype.is_floating_point:
            for value in (1.0 / max(size, 1), -math.log(max(size, 1))):  # probabilities, and their logarithms
                yield torch.full(t.shape, value, dtype=t.dtype)
    for value in (1.0, 0.5, 0.0, 2.0, 3.0) if t.dtype.is_floating_point else (1, 0, 2, 3):
        yield torch.full(t.shape, value, dtype=t.dtype)
    if t.shape:
        yield torch.arange(t.shape[-1]).to(t.dtype).expand(t.shape).clone()


def _possible(spec: Any, tensors: Sequence[torch.Tensor]) -> bool:
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            d = specs.put_together(spec, tensors)
            x = d.sample()
            return _valid(d) and bool(torch.isfinite(d.log_prob(x)).all() and torch.isfinite(x).all())
    except Exception:  # whatever a family does with parameters outside its domain
        return False


def _valid(d: Distribution) -> bool:
    """Whether parameters satisfy what the family, and those it is made of, say of them, and a finite family's
    probabilities add up to one (tensors inside may be normalised).
    """
    try:
        stated: dict[str, Any] = d.arg_constraints
    except NotImplementedError:
        stated = {}
    own = vars(d)
    for name, constraint in stated.items():
        if name in own and not bool(constraint.check(own[name]).all()):
            return False
    if family_of(d).finite:
        mass = torch.exp(d.log_prob(d.enumerate_support())).sum(0)
        if not torch.allclose(mass, torch.ones_like(mass)):
            return False
    return all(_valid(part) for part in own.values() if isinstance(part, Distribution))
