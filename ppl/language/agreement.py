"""Whether the choices of one program are choices of another: names, loops, shapes, supports.

A guide that misses a site, has one too many, stands in another plate or draws values that the model's site
can't take would give a number all the same, and a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppl.compiler import specs
from ppl.compiler.estimators.supports import Region, kind, region
from ppl.compiler.graph import Node
from ppl.compiler.ops.effects import Effect
from ppl.compiler.passes.layouts import Layout
from ppl.distributions import Independent, family_of
from ppl.errors import DataError, StructureError, closest, user_mark
from ppl.language.marginals import Law
from ppl.language.program import Bound


def auxiliary(name: str) -> bool:
    """A site of a guide that no model has: its name, or that of the subprogram it is in, begins with `_`."""
    return any(part.startswith("_") for part in name.split("/"))


def check(
    bound: Bound | Law,
    sites: Mapping[str, Layout],
    choices: Mapping[str, Any],
    others: Mapping[str, Layout] | None,
    source: Bound | Law | None,
) -> None:
    """Refuse choices that don't fit a program's sites.

    Args:
        bound: the program whose density is asked for.
        sites: its random choices.
        choices: the values given.
        others: the sites that the values were drawn at, where they come from a program.
        source: that program.
    """
    for name in sites:
        if name not in choices:
            _missing(name, bound, sites, choices, source)
    for name in choices:
        if name not in sites and not auxiliary(name):
            _too_many(name, bound, sites, choices, others, source)
    if others is None or source is None:
        return
    for name, layout in sites.items():
        drawn = others.get(name)
        if drawn is not None and source is not bound:
            _check_loops(name, layout, drawn, bound, source)
            _check_support(name, layout.effect, drawn.effect, bound, source)


def check_shape(bound: Bound | Law, layout: Layout, value: Node) -> None:
    """Refuse a value that has not the shape of its site."""
    if value.shape != layout.shape:
        raise StructureError(
            f"the value of '{layout.name}' has another shape than the site of {bound.name}",
            site=layout.name,
            where=layout.effect.node.mark,
            expected=f"shape {list(layout.shape)}" + _in_loops(layout),
            found=f"shape {list(value.shape)}",
            edit="draw it in the same plates, with the same event shape",
        )


def unknown_choice(name: str, bound: Bound | Law, known: Iterable[str]) -> DataError:
    near = closest(name, known)
    return DataError(
        f"'{name}' is not a random choice of {bound.name}",
        where=user_mark(2),
        expected="one of " + ", ".join(known),
        found=name,
        edit=f'trace["{near[0]}"]' if near else "trace.value for what the program returns",
    )


def _missing(
    name: str,
    bound: Bound | Law,
    sites: Mapping[str, Layout],
    choices: Mapping[str, Any],
    source: Bound | Law | None,
) -> None:
    layout = sites[name]
    giver = f"{source.program.kind} {source.name}" if source is not None else "the choices"
    near = closest(name, [n for n in choices if n not in sites])
    raise StructureError(
        f"{giver} {'does not draw' if source is not None else 'lack'} '{name}', a random choice of {bound.name}",
        site=name,
        where=layout.effect.node.mark,
        expected=f"a value for '{name}' ({_family(layout.effect)})",
        found="values for " + (", ".join(choices) or "nothing"),
        edit=f"rename '{near[0]}' to '{name}'" if near else f'ppl.sample("{name}", …) in {giver.split()[-1]}',
    )


def _too_many(
    name: str,
    bound: Bound | Law,
    sites: Mapping[str, Layout],
    choices: Mapping[str, Any],
    others: Mapping[str, Layout] | None,
    source: Bound | Law | None,
) -> None:
    giver = f"{source.program.kind} {source.name} draws" if source is not None else "the choices hold"
    mark = others[name].effect.node.mark if others and name in others else None
    near = closest(name, [n for n in sites if n not in choices])
    drop = (
        f'remove it, or name it "_{name}" if it is an auxiliary variable of {source.name}'
        if source
        else (f'trace.without("{name}")')
    )
    raise StructureError(
        f"{giver} '{name}', which is not a random choice of {bound.name}",
        site=name,
        where=mark,
        expected="values for " + (", ".join(sites) or "nothing: all its sites are observed"),
        found=f"a value for '{name}'",
        edit=f"rename it to '{near[0]}'" if near else drop,
    )


def _check_loops(name: str, layout: Layout, drawn: Layout, bound: Bound | Law, source: Bound | Law) -> None:
    if layout.loops == drawn.loops:
        return
    raise StructureError(
        f"'{name}' stands in different plates in {source.name} and in {bound.name}",
        site=name,
        where=drawn.effect.node.mark,
        expected=_in_loops(layout).strip(", ") or "no plate",
        found=_in_loops(drawn).strip(", ") or "no plate",
        edit="open the same plates, by name and size, around the site"
        if layout.loops
        else "take the site out of the plate",
    )


def _in_loops(layout: Layout) -> str:
    return ", in " + ", ".join(f"plate '{n}' of {k}" for n, k in layout.loops) if layout.loops else ""


def _check_support(name: str, model: Effect, guide: Effect, bound: Bound | Law, source: Bound | Law) -> None:
    """Refuse a guide whose values the model's site can't take."""
    here, there = (region(e.site.spec, e.params) for e in (guide, model))
    _check_kind(name, model, guide, bound, source)
    if here is None or there is None or here.within(there) or family_of(guide.site.spec.cls).atoms:
        return  # where a point lies is not known before it is there
    raise StructureError(
        f"{source.name} draws '{name}' where {bound.name} has no density",
        site=name,
        where=guide.node.mark,
        expected=f"values inside the support in {bound.name}: {there.words}",
        found=f"{_family(guide)}, whose values are {here.words}",
        edit=_better(there),
    )


def _check_kind(name: str, model: Effect, guide: Effect, bound: Bound | Law, source: Bound | Law) -> None:
    """Refuse numbers where the model has simplices, and whatever else is not of one kind."""
    if family_of(guide.site.spec.cls).atoms:
        return
    drawn, wanted = (kind(e.site.spec, e.params) for e in (guide, model))
    numbers = region(guide.site.spec, guide.params)
    if wanted is None or drawn == wanted or family_of(model.site.spec.cls).discrete:
        return
    raise StructureError(
        f"{source.name} draws '{name}' where {bound.name} has no density",
        site=name,
        where=guide.node.mark,
        expected=f"values with the support in {bound.name}: {wanted}",
        found=f"{_family(guide)}, whose values are {drawn or (numbers.words if numbers else 'numbers')}",
        edit=f'{_family(model)}(…), or Pushforward(Normal(loc, scale), "{wanted}")',
    )


def _family(e: Effect) -> str:
    """The name of a site's family; of independent elements theirs."""
    spec = e.site.spec
    while isinstance(spec, specs.Record) and spec.cls is Independent:
        spec = dict(spec.fields)["base_dist"]
    return specs.class_name(spec.cls)


def _better(there: Region) -> str:
    """A family with that support."""
    if there.whole:
        return "Categorical, Bernoulli, or another family on these numbers"
    if (there.low, there.high) == (0.0, float("inf")):
        return "LogNormal(loc, scale), or Gamma(concentration, rate)"
    if (there.low, there.high) == (0.0, 1.0):
        return "Beta(a, b), or LogitNormal(loc, scale)"
    return "a family with that support, for instance through TransformedDistribution"


__all__ = ["auxiliary", "check", "check_shape", "unknown_choice"]
