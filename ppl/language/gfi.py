"""The generative-function interface: simulate, score and edit runs, with the weights that inference needs.

Write p(t) for the density of a trace t (all sites and factors, masks and scales applied) and q(t; u) for the
density with which the choices of t that are not in u are drawn, each from its own distribution given what
was drawn before.

Source: Cusumano-Towner, Saad, Lew & Mansinghka, "Gen: A General-Purpose Probabilistic Programming System"
(2019).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch

from ppl.compiler.engines.torch_engine import key
from ppl.errors import DataError, closest, listed, placed, user_mark
from ppl.language import laws
from ppl.language.arrays import as_tensor
from ppl.language.interpret import interpret
from ppl.language.marginals import Law
from ppl.language.program import Bound, as_bound
from ppl.language.runtime import recording_objective
from ppl.language.traces import Choices, Index, Selection, Trace, as_selection, select, total

Selectable = Selection | str | Iterable[str]


@placed
def simulate(bound: Bound | Law, seed: int = 0, params: Mapping[str, Any] | None = None) -> Trace:
    """One run, every random choice drawn: t ~ q(·; ∅). Data stay as they are; factors have no influence.

    Args:
        bound: a bound program.
        seed: the draw of a site depends on (seed, name, index) only.
        params: values of parameters; others start at their init.

    Returns:
        The trace: `trace["x"]`, `trace.log_density`, `trace.value`.

    Raises:
        MethodError: a site can't be sampled (an improper prior).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     return ppl.sample("x", Normal(0.0, 1.0))
    >>> ppl.simulate(m(), seed=1)["x"].shape
    torch.Size([])
    """
    objective = recording_objective()
    if objective is not None:
        return objective.simulate(bound if isinstance(bound, Law) else as_bound(bound))
    if isinstance(bound, Law):
        return laws.simulate(bound, seed, params)
    return interpret(as_bound(bound), seed=seed, params=params)


@placed
def log_density(
    bound: Bound | Law, choices: Mapping[str, Any] | None = None, params: Mapping[str, Any] | None = None
) -> torch.Tensor:
    """log p(choices, data): the sum of the log densities of all sites and of all factors.

    Args:
        bound: a bound program.
        choices: a value for every random choice, [*loops, *site shape]; those of branches not taken are
        ignored. params: values of parameters; others start at their init.

    Returns:
        A 0-d tensor, differentiable in `choices` and `params`; minus infinity outside the support.

    Raises:
        DataError: a choice is missing, unknown or of the wrong shape.
        StructureError: the density is not known (score_factor, a hidden choice, a sampler without density).

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(0.0, 1.0))
    >>> round(float(ppl.log_density(m(), {"x": 0.0})), 4)
    -0.9189
    """
    named = _by_name(choices)
    objective = recording_objective()
    if objective is not None:
        return objective.log_density(bound if isinstance(bound, Law) else as_bound(bound), named)
    if isinstance(bound, Law):
        return laws.log_density(bound, named, params)
    return interpret(as_bound(bound), named, params=params, draw=False).log_density


def _by_name(choices: Any) -> Mapping[str, Any]:
    if choices is None or isinstance(choices, Mapping):
        return choices or {}
    raise DataError(
        "the choices of log_density must be given by name",
        where=user_mark(),
        expected="what simulate gave inside an objective, trace.choices, or a dictionary of values",
        found=f"a {type(choices).__name__}",
        edit="trace.choices" if isinstance(choices, Trace) else '{"mu": mu, …}, with the names of the sites',
    )


@placed
def score(
    bound: Bound, choices: Mapping[str, Any], params: Mapping[str, Any] | None = None
) -> dict[str, torch.Tensor]:
    """The score ∂ log p(choices, data) / ∂ choices, of each choice that is a real number or an array of them.

    Args:
        bound: a bound program; its arguments are held fixed.
        choices: a value for every random choice, [*loops, *site shape].
        params: values of parameters; others start at their init.

    Returns:
        By name, arrays shaped like the choices.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(0.0, 2.0))
    >>> float(ppl.score(m(), {"x": 1.0})["x"])
    -0.25
    """
    objective = recording_objective()
    if objective is not None:
        return objective.score(as_bound(bound), choices)  # type: ignore[no-any-return]
    values = {name: as_tensor(x, torch.float64) for name, x in choices.items()}
    free = {n: x.detach().requires_grad_() for n, x in values.items() if x.is_floating_point()}
    with torch.enable_grad():
        total = interpret(as_bound(bound), values | free, params=params, draw=False).log_density
    found = torch.autograd.grad(total, list(free.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(free, found, strict=True))


@placed
def generate(
    bound: Bound,
    constraints: Mapping[str, Any] | None = None,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
) -> tuple[Trace, torch.Tensor]:
    """A run with the constrained choices u as given and the others drawn, and log w = log p(t) − log q(t; u).

    Observed sites and factors count in p. E[w] = p(u, data): w is an unbiased estimate of the constraints'
    marginal density. Elements that are nan in a constraint are drawn.

    Returns:
        (trace, log weight).

    Raises:
        DataError: a constraint is unknown, of the wrong shape, or contradicts the data.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> trace, log_w = ppl.generate(m(), {"x": 0.0})
    >>> round(float(log_w), 4)
    -0.9189
    """
    trace = interpret(as_bound(bound), constraints or {}, seed=seed, params=params)
    return trace, trace.log_density - trace.sum("log_fresh")


@placed
def update(
    trace: Trace,
    constraints: Mapping[str, Any] | None = None,
    arguments: Bound | Mapping[str, Any] | None = None,
    seed: int = 0,
) -> tuple[Trace, torch.Tensor, Choices]:
    """The trace t with the choices u (or arguments) changed: t′ has u, then t's choices, then fresh ones:

    log w = log p′(t′) − log p(t) − log q′(t′; u, t).

    Args:
        trace: t.
        constraints: u, as in `generate`.
        arguments: a bound program to run instead (other data, other arguments), or arguments to replace.
        seed: of fresh choices.

    Returns:
        (t′, log w, discard): `discard` holds t's choices that t′ changed or no longer makes. Where nothing
        fresh was drawn, updating t′ with `discard` gives t back, and the weights cancel.

    Raises:
        DataError: as in `generate`.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(0.0, 1.0))
    >>> t, _ = ppl.generate(m(), {"x": 0.0})
    >>> new, log_w, discard = ppl.update(t, {"x": 2.0})
    >>> float(log_w), float(discard["x"])
    (-2.0, 0.0)
    """
    bound = trace.bound if arguments is None else arguments
    if isinstance(bound, Mapping):
        unknown = [n for n in bound if n not in trace.bound.arguments]
        if unknown:
            near = closest(unknown[0], trace.bound.arguments)
            raise DataError(
                f"{trace.bound.name} has no argument '{unknown[0]}'",
                expected="some of " + listed(trace.bound.arguments, unknown[0]),
                found=unknown[0],
                edit=f"rename it to '{near[0]}'" if near else f"leave '{unknown[0]}' out",
            )
        bound = replace(trace.bound, arguments={**trace.bound.arguments, **bound})
    new = _edited(trace, as_bound(bound), constraints or {}, trace.choices, key(seed, "update"))
    weight = new.log_density - trace.log_density - new.sum("log_fresh")
    return new, weight, _discarded(trace, new)


@placed
def regenerate(trace: Trace, selection: Selectable, seed: int = 0) -> tuple[Trace, torch.Tensor]:
    """The trace t with the selected choices s drawn again from their distributions, and the acceptance ratio:

    log w = log p(t′) − log q(t′; t∖s) − [log p(t) − log q(t; t′∖s)].

    Accepting t′ with probability min(1, w) is a Metropolis–Hastings step: it leaves p(· | data) invariant.

    Args:
        trace: t.
        selection: names of random choices, `select(…)`, or `all`.
        seed: of the draws; every step needs its own.

    Returns:
        (t′, log w).

    Raises:
        DataError: a selected name is not a random choice of the trace.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("x", Normal(0.0, 1.0))
    >>> new, log_w = ppl.regenerate(ppl.simulate(m()), "x", seed=1)
    >>> float(log_w)
    0.0
    """
    chosen = _checked(trace, selection, list(trace.latents))
    new = _edited(trace, trace.bound, {}, trace.choices.without(chosen), key(seed, "regenerate"))
    # Backwards, the old run draws what was selected and what only it had.
    backwards = [
        e.log_prior
        for s in trace.sites.values()
        for i, e in s.elements.items()
        if s.name in chosen or s.name not in new.sites or i not in new.sites[s.name].elements
    ]
    return new, new.log_density - new.sum("log_fresh") - (trace.log_density - total(backwards))


@placed
def project(trace: Trace, selection: Selectable) -> torch.Tensor:
    """The log density of the selected sites and factors: Σ_{a in selection} log p(t_a | what came before).

    Raises:
        DataError: a selected name is not in the trace.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> t, _ = ppl.generate(m(), {"x": 0.0, "y": 1.0})
    >>> round(float(ppl.project(t, "y")), 4)
    -1.4189
    """
    if trace.undefined is not None:
        raise trace.undefined
    return trace.sum("log_density", _checked(trace, selection, list(trace.log_densities)))


def _edited(
    trace: Trace, bound: Bound, constraints: Mapping[str, Any], previous: Choices, seed: int
) -> Trace:
    if trace.undefined is not None:
        raise trace.undefined
    return interpret(
        bound,
        constraints,
        previous=previous,
        seed=seed,
        params=trace.given_params,
        subsamples=trace.subsamples,
    )


def _discarded(old: Trace, new: Trace) -> Choices:
    before, after = old.latents, new.latents
    found: dict[str, dict[Index, torch.Tensor]] = {}
    for name, elements in before.elements.items():
        for index, value in elements.items():
            now = after.at(name, index)
            if (
                now is None
                or now.shape != value.shape
                or not torch.allclose(now, value, 0.0, 0.0, equal_nan=True)
            ):
                found.setdefault(name, {})[index] = value
    return Choices(found, before.rows)


def _checked(trace: Trace, selection: Selectable, known: list[str]) -> Selection:
    chosen = as_selection(selection)
    for name in chosen.names:
        if not any(k in select(name) for k in known) and not trace.branched:
            near = closest(name, known)
            raise DataError(
                f"the selection names '{name}', which is not in the trace",
                expected="some of " + listed(known, name),
                found=name,
                edit=f"rename it to '{near[0]}'" if near else f"leave '{name}' out",
            )
    return chosen


__all__ = [
    "Choices",
    "Selection",
    "Trace",
    "generate",
    "log_density",
    "project",
    "regenerate",
    "select",
    "simulate",
    "update",
]
