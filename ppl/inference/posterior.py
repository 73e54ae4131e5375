"""From draws in unconstrained space to a `Posterior`: values by name, dims, log likelihood, predictions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from ppl.compiler.ops.effects import Effect
from ppl.compiler.passes.layouts import Layout, layouts
from ppl.distributions import family_of
from ppl.errors import DataError, closest, listed
from ppl.inference.mcmc import ChainDraws
from ppl.inference.run import Run
from ppl.inference.streaming import Place, log_likelihood, named
from ppl.language.compiled import Compiled
from ppl.language.program import Bound, as_bound
from ppl.language.record import record
from ppl.language.sampling import Sampler
from ppl.results import Posterior
from ppl.results.folder import Memory


def assemble(
    run: Run,
    compiled: Compiled,
    q: np.ndarray,
    stats: Mapping[str, Any],
    attrs: dict[str, Any],
    draws: ChainDraws | None = None,
    place: Place | None = None,
) -> Posterior:
    """The posterior of draws `q [chain, draw, dim]`, its arrays in `place` (memory if there is none)."""
    place = place or Memory()
    kept = _kept(run, dict.fromkeys(compiled.values_graph.names))
    coords = {**_missing_coords(compiled), **run.coords}
    _check_coords(coords, compiled)
    values = named(compiled, q, kept, place, "posterior")
    groups = {}
    if draws is not None and draws.warmup_q is not None:
        groups["warmup_posterior"] = named(compiled, draws.warmup_q, kept, place, "warmup_posterior")
        groups["warmup_sample_stats"] = dict(draws.warmup_stats or {})
    observed = compiled.recorded.observed
    posterior = Posterior(
        values,
        dims_of(compiled),
        coords,
        sample_stats=stats,
        observed_data={k: v.cpu().numpy() for k, v in observed.items()},
        constant_data=_constants(run.bound),
        log_likelihood=partial(log_likelihood, compiled, q) if compiled.pointwise_graph.names else None,
        attrs=attrs,
        predictor=ModelPredictor(compiled),
        groups=groups,
        hierarchy=hierarchy(compiled),
    )
    place.keep(posterior)
    return posterior


def fixed_values(compiled: Compiled, draws: Mapping[str, torch.Tensor], seed: int) -> dict[str, np.ndarray]:
    """Every site's value and the deterministics at draws `[n, *shape]` of all latent sites: `[1, n, *shape]`."""
    sampler = Sampler(compiled.recorded, compiled.batch_engine, compiled.device, list(draws), observed=False)
    out = sampler(seed, len(next(iter(draws.values()))), draws)
    return {k: v.cpu().numpy()[None] for k, v in out.items()}


def check_report(run: Run, compiled: Compiled) -> None:
    """Refuse what would fail only after the draws: names to keep, labels of dims."""
    _kept(run, dict.fromkeys(compiled.values_graph.names))
    _check_coords(run.coords, compiled)


def _kept(run: Run, values: Mapping[str, Any]) -> list[str]:
    if run.keep is None:
        return list(values)
    for name in run.keep:
        if name not in values:
            near = closest(name, values) or list(values)[:4]
            raise DataError(
                f"keep names '{name}', which is no latent site or deterministic",
                expected=listed(values, name),
                found=repr(name),
                edit=f"keep=[…, '{near[0]}']",
            )
    return list(run.keep)


def dims_of(compiled: Compiled) -> dict[str, tuple[str, ...]]:
    """Site → names of its axes: plates and scans by their names, the site's own by `dims=`."""
    dims: dict[str, tuple[str, ...]] = {}
    for lay in layouts(compiled.recorded.graph, ("sample", "deterministic", "observe")):
        dims[lay.name] = _dims(lay) if lay.name not in compiled.recorded.missing else (f"{lay.name}_missing",)
    return dims


def _dims(lay: Layout) -> tuple[str, ...]:
    shape = lay.effect.node.shape
    if lay.effect.node.op == "deterministic" and lay.effect.value is not None:
        shape = lay.effect.value.shape
    own = lay.effect.site.dims
    return (*(n for n, _ in lay.loops), *own, *(f"{lay.name}_dim_{i}" for i in range(len(own), len(shape))))


def _missing_coords(compiled: Compiled) -> dict[str, Any]:
    coords = {}
    for name, missing in compiled.recorded.missing.items():
        coords[f"{name}_missing"] = compiled.recorded.data[missing.places].cpu().numpy()
    return coords


def _check_coords(coords: Mapping[str, Any], compiled: Compiled) -> None:
    sizes: dict[str, int] = {}
    for lay in layouts(compiled.recorded.graph, ("sample", "deterministic", "observe")):
        sizes.update(zip(_dims(lay), lay.shape, strict=False))
    for dim, labels in coords.items():
        if not hasattr(labels, "__len__") or isinstance(labels, str):
            raise DataError(
                f"coords for dim '{dim}' are not labels",
                expected="a list of labels, one for each element",
                found=repr(labels)[:80],
                edit=f"coords={{'{dim}': […]}}",
            )
        if dim not in sizes and not dim.endswith("_missing"):
            near = closest(dim, sizes)
            raise DataError(
                f"coords name a dim '{dim}' that no site has",
                expected="one of " + (listed(sizes, dim) or "none: every site is a scalar"),
                found=f"'{dim}'",
                edit=f"coords={{'{near[0]}': …}}"
                if near
                else f"remove '{dim}'; dims are named by plates, scans and dims=",
            )
        if dim in sizes and len(labels) != sizes[dim]:
            raise DataError(
                f"coords give {len(labels)} labels for dim '{dim}'",
                expected=f"{sizes[dim]} labels",
                found=f"{len(labels)}",
                edit=f"coords={{'{dim}': […{sizes[dim]} labels…]}}",
            )


def _constants(bound: Bound) -> dict[str, np.ndarray]:
    found = {}
    for name, value in bound.arguments.items():
        if isinstance(value, torch.Tensor):
            found[name] = value.detach().cpu().numpy()
        elif isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            found[name] = value
    return found


def hierarchy(compiled: Compiled) -> dict[str, tuple[str | None, str | None]]:
    """Child → (site of its location, site of its scale), for location–scale sites whose parameters are
    sites.
    """
    edges = {}
    for lay in compiled.layouts:
        spec, params = lay.effect.site.spec, lay.effect.params
        pair = family_of(spec.cls).location_scale
        if pair is None:
            continue
        fields = dict(spec.fields)
        parents = []
        for name in pair:
            leaf = fields.get(name)
            node = params[leaf.index] if leaf is not None and hasattr(leaf, "index") else None
            parents.append(Effect.of(node).name if node is not None and node.op == "sample" else None)
        if any(parents):
            edges[lay.name] = (parents[0], parents[1])
    return edges


def _tensor(array: np.ndarray) -> torch.Tensor:
    """An array as a tensor that is only read: torch warns of arrays that can't be written, as mapped ones."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return torch.as_tensor(array)


class ModelPredictor:
    """Runs a posterior's program again: see `ppl.results.Predictor`."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled

    def posterior_predictive(
        self, bound: Any, draws: Mapping[str, np.ndarray], seed: int
    ) -> dict[str, np.ndarray]:
        """Every observed site of the program (or of a newly bound one) drawn once per posterior
        draw. Sites of the new
        program that the posterior has, with the same shape, are fixed to it; others are drawn from
        their prior.
        """
        recorded = (
            self.compiled.recorded
            if bound is None
            else record(as_bound(bound), self.compiled.recorded.dtype, fewer=True)
        )
        names = set(recorded.observed) | {lay.name for lay in layouts(recorded.graph, ("observe",))}
        fixed = [
            lay.name
            for lay in layouts(recorded.graph)
            if lay.name in draws
            and tuple(draws[lay.name].shape[2:]) == lay.shape
            and lay.name not in recorded.missing
        ]
        wrong = [
            lay
            for lay in layouts(recorded.graph)
            if lay.name in draws and lay.name not in fixed and lay.name not in recorded.missing
        ]
        names |= {lay.name for lay in layouts(recorded.graph) if lay.name not in fixed}
        names -= {lay.name for lay in wrong if lay.name not in self.compiled.recorded.observed}
        names |= set(self._deterministic(recorded)) if bound is not None else set()
        chains, count = next(iter(draws.values())).shape[:2]
        given = {k: _tensor(draws[k].reshape(chains * count, *draws[k].shape[2:])) for k in fixed}
        sampler = Sampler(recorded, self.compiled.batch_engine, self.compiled.device, fixed)
        out = sampler(seed, chains * count, given)
        return {k: v.cpu().numpy().reshape(chains, count, *v.shape[1:]) for k, v in out.items() if k in names}

    def _deterministic(self, recorded: Any) -> list[str]:
        return [lay.name for lay in layouts(recorded.graph, ("deterministic",))]

    def prior_predictive(self, bound: Any, draws: int, seed: int) -> dict[str, np.ndarray]:
        recorded = (
            self.compiled.recorded
            if bound is None
            else record(as_bound(bound), self.compiled.recorded.dtype, fewer=True)
        )
        out = Sampler(recorded, self.compiled.batch_engine, self.compiled.device)(seed, draws)
        return {k: v.cpu().numpy()[None] for k, v in out.items()}
