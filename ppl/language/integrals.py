"""How an objective reads marginals and normalised programs: draws of them, and their log densities.

Write p(z, u) for the density of a program with its hidden choices u (data in it), r for the proposal. A *particle*
is u ~ r(·; z) with its weight w(u) = p(z, u) / r(u; z). With the program itself as the proposal, w(u) is what its
other sites and factors contribute.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ppl.compiler.estimators.noise import described
from ppl.compiler.estimators.supports import region
from ppl.compiler.graph import Node, Plate, Type, topological
from ppl.compiler.ops import constant, make, plate_stack, stacked
from ppl.compiler.ops.barriers import density
from ppl.compiler.ops.effects import Effect, Site, effect
from ppl.compiler.passes.layouts import Layout
from ppl.compiler.passes.sites import Lowering, Reading
from ppl.compiler.specs import class_name
from ppl.distributions import Categorical, family_of
from ppl.errors import DataError, StructureError, closest, listed
from ppl.language import agreement, checks
from ppl.language.elimination import Elimination, Hidden, eliminate
from ppl.language.marginals import Law, Marginal, Normalized
from ppl.language.program import Bound, as_bound
from ppl.language.run_traces import RunTrace
from ppl.language.traces import select

if TYPE_CHECKING:
    from ppl.language.objectives import Inside, ObjectiveRecorder

Values = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Densities(Lowering):
    """Reads a program as a density; every site's stays visible as one. Choices in `omit` are not scored."""

    omit: frozenset[str] = frozenset()

    def density(self, e: Effect, x: Node) -> Node:
        return density(super().density(e, x), e, x)

    def _score(self, e: Effect, x: Node, inner: tuple[Plate, ...], reading: Reading) -> None:
        if e.node.op != "sample" or e.name not in self.omit:
            super()._score(e, x, inner, reading)


# ---------------------------------------------------------------- the two questions


def simulate(r: ObjectiveRecorder, law: Law) -> RunTrace:
    """A draw of a law. Its `origin`: the hidden choices of a marginal; of a normalised program log Ẑ."""
    if isinstance(law, Marginal):
        run = r.simulate(law.bound)
        hidden = _hidden(law, run.sites)
        own = {name: run[name] for name in hidden}
        return RunTrace(
            r, law, {n: run[n] for n in run if n not in hidden}, _kept(law, run.sites), run.value, own
        )
    assert isinstance(law, Normalized)
    return _resampled(r, law) if law.by is not None else _drawn_exactly(r, law)


def log_density(r: ObjectiveRecorder, law: Law, choices: Mapping[str, Any]) -> torch.Tensor:
    """The log density of a law, or of its estimate (see `marginal` and `normalize`)."""
    drawn_here = law.same(getattr(choices, "bound", None))
    origin = choices.origin if drawn_here else None  # type: ignore[attr-defined]
    run = r.run_inside(law.bound)
    if isinstance(law, Marginal):
        kept = _kept(law, run.sites)
        r.supplies(law, kept, choices)
        z = {name: _tensor(r, choices[name]) for name in kept}
        _refuse_placed(law, kept, _hidden(law, run.sites))
        return _estimate(r, law, z, origin) if law.by is not None else _exact(r, law, run, z)
    joint = r.log_density(law.bound, choices)
    if law.by is None:
        return joint - _exact(r, law, run, {})
    if origin is None:
        origin = _estimate(r, law, {}, {name: _tensor(r, choices[name]) for name in run.sites})
    return joint - origin


def _tensor(r: ObjectiveRecorder, value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else checks.as_tensor(value, r.dtype)


def _kept(law: Law, sites: Mapping[str, Layout]) -> dict[str, Layout]:
    hidden = _hidden(law, sites)
    return {name: layout for name, layout in sites.items() if name not in hidden}


def _hidden(law: Law, sites: Mapping[str, Layout]) -> dict[str, Layout]:
    """The choices that are integrated out."""
    if not isinstance(law, Marginal):
        return dict(sites)
    for name in law.keep.names:
        if not any(site in select(name) for site in sites):
            near = closest(name, sites)
            raise DataError(
                f"{law.name} keeps '{name}', which is not a random choice of {law.bound.name}",
                expected="some of " + (listed(sites, name) or "none: it has no random choices"),
                found=f'keep=["{name}"]',
                edit=f'keep=["{near[0]}"]' if near else f"leave '{name}' out",
            )
    hidden = {name: layout for name, layout in sites.items() if name not in law.keep}
    for name, layout in hidden.items():
        _refuse_weighted(law, name, layout)
    return hidden


def _refuse_weighted(law: Law, name: str, layout: Layout) -> None:
    e = layout.effect
    if e.mask is None and e.scale is None:
        return
    how = "masked" if e.mask is not None else "scaled"
    raise StructureError(
        f"'{name}' can't be integrated out of {law.name}: it is {how}, so its density is not that of a draw",
        site=name,
        where=e.node.mark,
        expected="hidden choices without mask and scale, outside of subsampled plates",
        found=f"a density that is {how}",
        edit=f'keep "{name}"' if isinstance(law, Marginal) else "leave the mask or scale out",
    )


def _refuse_placed(law: Law, kept: Mapping[str, Layout], hidden: Mapping[str, Layout]) -> None:
    """A kept choice that lies where hidden ones put it has no density given them to be averaged."""
    drawn = {layout.effect.node for layout in hidden.values()}
    for name, layout in kept.items():
        e = layout.effect
        family = family_of(e.site.spec.cls)
        if law.by is None or not family.atoms or family.proper or not drawn & set(topological(e.params)):
            continue
        raise StructureError(
            f"'{name}' lies where the hidden choices of {law.name} put it, so they can't be integrated out by sampling",
            site=name,
            where=e.node.mark,
            expected="kept choices with a density given the hidden ones",
            found=f"{class_name(e.site.spec.cls)} at a point computed from them",
            edit=f"add noise at '{name}', or keep all of the choices",
        )


# ---------------------------------------------------------------- importance sampling


def _estimate(r: ObjectiveRecorder, law: Law, z: Values, own: Values | None) -> torch.Tensor:
    """log (1/K) Σₖ w(uₖ). With `own`, that is one of the uₖ and the others are drawn."""
    assert law.by is not None
    count = law.by.particles
    weights = []
    fresh = count - (own is not None)
    if fresh:
        r.integrals += 1
        for _ in (particles := r.plate(f"particle of {law.name} {r.integrals}", fresh)):
            _, log_w = _particle(r, law, z)
        weights.append(particles.gather(log_w))
    if own is not None:
        proposal = _proposal(r, law, z)
        if isinstance(proposal, Bound):
            hidden = _hidden(law, r.run_inside(law.bound).sites)
            _check_reach(law, hidden, proposal, r.run_inside(proposal).sites)
        weights.append(_log_weight(r, law, z, own, proposal).reshape(1))
    return torch.logsumexp(torch.cat(weights), 0) - math.log(count)


def _particle(r: ObjectiveRecorder, law: Law, z: Values) -> tuple[Mapping[str, torch.Tensor], torch.Tensor]:
    """u ~ r(·; z), log w(u)."""
    proposal = _proposal(r, law, z)
    if proposal is not None:
        u = r.simulate(proposal)
        _check_proposal(law, _hidden(law, r.run_inside(law.bound).sites), u)
        return u, _log_weight(r, law, z, u, proposal)
    run = r.run_inside(law.bound)
    hidden = _hidden(law, run.sites)
    _refuse_all_weighted(law, hidden)
    run.value = None
    reading = r.read(
        run,
        Densities(
            lambda e: "draw" if e.name in hidden else "value",
            frozenset({"value"}),
            suffix=r.draws_of(law.bound, hidden),
        ),
        {name: r._node(value) for name, value in z.items()},
    )
    return {n: v for n, v in r.values(reading).items() if n in hidden}, r.tracer.lift(r.total(reading))


def _log_weight(
    r: ObjectiveRecorder, law: Law, z: Values, u: Mapping[str, torch.Tensor], proposal: Bound | Law | None
) -> torch.Tensor:
    """log p(z, u) − log r(u; z)."""
    if proposal is not None:
        return r.log_density(law.bound, {**z, **u}) - r.log_density(proposal, u)
    return _total(r, law.bound, {**z, **u}, u)


def _total(
    r: ObjectiveRecorder, bound: Bound, values: Mapping[str, torch.Tensor], omit: Collection[str] = ()
) -> torch.Tensor:
    run = r.run_inside(bound)
    run.value = None
    supplies = {name: r._node(value) for name, value in values.items()}
    return r.tracer.lift(r.total(r.read(run, Densities(lambda e: "value", omit=frozenset(omit)), supplies)))


def _refuse_all_weighted(law: Law, sites: Mapping[str, Layout]) -> None:
    for name, layout in sites.items():
        _refuse_weighted(law, name, layout)


def _proposal(r: ObjectiveRecorder, law: Law, z: Values) -> Bound | Law | None:
    """The proposal for these kept choices; None: the program itself."""
    assert law.by is not None
    given = law.by.proposal
    if given is None or isinstance(given, Bound | Law):
        return given  # type: ignore[no-any-return]
    made = given(RunTrace(r, law, dict(z), {}, None))
    return made if isinstance(made, Law) else as_bound(made, f"a proposal for {law.name}")


def _check_proposal(law: Law, hidden: Mapping[str, Layout], u: RunTrace) -> None:
    """The proposal draws the hidden choices, no others, wherever the program can have put them."""
    assert isinstance(u.bound, Bound | Law)
    for name in u:
        if name not in hidden and agreement.auxiliary(name):
            raise StructureError(
                f"the proposal {u.bound.name} draws '{name}', which is not a hidden choice of {law.name}",
                site=name,
                where=u.sites[name].effect.node.mark,
                expected="values for " + (listed(hidden) or "nothing"),
                found=f"a value for '{name}' too",
                edit=f"ppl.marginal({u.bound.name}(…), keep={list(hidden)}, by=ppl.importance(particles=1))",
            )
    agreement.check(law.bound, hidden, u, u.sites, u.bound)
    _check_reach(law, hidden, u.bound, u.sites)


def _check_reach(
    law: Law, hidden: Mapping[str, Layout], proposal: Bound | Law, sites: Mapping[str, Layout]
) -> None:
    """The proposal's support holds the program's."""
    for name in [n for n in hidden if n in sites]:
        mine, its = hidden[name].effect, sites[name].effect
        here, there = region(mine.site.spec, mine.params), region(its.site.spec, its.params)
        if here is not None and there is not None and not here.within(there):
            raise StructureError(
                f"the proposal {proposal.name} does not reach all values that '{name}' has in {law.bound.name}",
                site=name,
                where=its.node.mark,
                expected=f"a distribution over {here.words}, as in {law.bound.name}",
                found=f"{class_name(its.site.spec.cls)}, whose values are {there.words}",
                edit=f"draw '{name}' from a family of the support of {class_name(mine.site.spec.cls)}",
            )


def _resampled(r: ObjectiveRecorder, law: Normalized) -> RunTrace:
    """Sampling–importance–resampling."""
    assert law.by is not None
    r.integrals += 1
    name = f"particle of {law.name} {r.integrals}"
    for _ in (particles := r.plate(name, law.by.particles)):
        u, log_w = _particle(r, law, {})
    weights = particles.gather(log_w)
    index = r.sample(f"chosen {name}", Categorical(logits=weights))
    log_z = torch.logsumexp(weights, 0) - math.log(law.by.particles)
    return _returned(r, law, {n: particles.gather(u[n])[index] for n in u}, log_z)


def _returned(r: ObjectiveRecorder, law: Law, values: Values, origin: Any) -> RunTrace:
    """The run of the program that makes these choices."""
    run = r.run_inside(law.bound)
    supplies = {name: r._node(value) for name, value in values.items()}
    r.read(run, Lowering(lambda e: "value", total=False), supplies)
    return RunTrace(r, law, values, run.sites, run.value, origin)


# ---------------------------------------------------------------- exactly


def _exact(r: ObjectiveRecorder, law: Law, run: Inside, z: Values) -> torch.Tensor:
    """log Σ_u p(z, u)."""
    total = _eliminated(r, law, run, z).total
    return r.tracer.lift(total if isinstance(total, Node) else r._node(total))


def _eliminated(r: ObjectiveRecorder, law: Law, run: Inside, z: Values) -> Elimination:
    outer = r.open_plates()
    sites = _hidden(law, run.sites)
    _refuse_all_weighted(law, sites)
    hidden = [Hidden.of(site, outer, law.name, r.integrals + k) for k, site in enumerate(sites.values())]
    r.integrals += len(hidden)
    supplies = {name: r._node(value) for name, value in z.items()}
    supplies |= {h.layout.name: h.supply for h in hidden}
    run.value = None
    total = r.read(run, Densities(lambda e: "value"), supplies).total
    return eliminate(total, hidden, law.name)


def _drawn_exactly(r: ObjectiveRecorder, law: Normalized) -> RunTrace:
    """The choices given the data, the last one that was summed out first."""
    run = r.run_inside(law.bound)
    suffix = r.draws_of(law.bound, run.sites)
    outer = tuple(sorted(r.open_plates()))
    drawn: dict[Plate, Node] = {}
    values: Values = {}
    for step in reversed(_eliminated(r, law, run, {}).steps):
        h, joint = step.hidden, step.joint
        for plate, index in drawn.items():
            if plate in joint.plates:
                joint = make("take", plate_stack(joint, plate), index, dim=-1)
        index = drawn[h.plate] = _choice(r, h, plate_stack(joint, h.plate), (*outer, *h.inner), suffix)
        every = constant(h.values)
        value = make("take", every, index, dim=-len(every.shape))
        values[h.layout.name] = r.tracer.lift(stacked(value, h.inner))
    return _returned(r, law, {name: values[name] for name in run.sites}, None)


def _choice(r: ObjectiveRecorder, h: Hidden, logits: Node, context: tuple[Plate, ...], suffix: str) -> Node:
    """Which of its values a hidden choice has, drawn in proportion to exp(logits)."""
    spec, params = described(lambda x, **options: Categorical(logits=x, **options), logits)
    e = h.layout.effect
    site = Site(h.layout.name + suffix, spec, grad=e.site.grad)
    node = effect("sample", site, params, Type((), torch.int64), context, mark=e.node.mark)
    r.tracer.here.effects.append(node)
    return node
