"""Traces: everything that happened in one run of a program, by address.

An address is a site's name and its index: the numbers of the loops (plates, scans) open around it, outermost
first. Seen from outside a site is one tensor, loops leading; inside, a trace knows exactly which elements
exist (a branch may have left some out).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ppl.errors import Mark, PplError, StructureError, closest, listed
from ppl.language.program import Bound

Index = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """One site at one index.

    `log_density` is what it adds to the program's log density (mask and scale applied). `log_prior` is the
    log density, under the site's distribution alone, of its entries that are random choices; `log_fresh` of
    those drawn in this run. `random` tells the value's random numbers from observed ones.
    """

    value: torch.Tensor | None
    log_density: torch.Tensor
    log_prior: torch.Tensor
    log_fresh: torch.Tensor
    random: torch.Tensor

    def part(self, random: bool) -> torch.Tensor | None:
        """The value's random (or observed) numbers, nan elsewhere; None where there are none."""
        if self.value is None:
            return None
        inside = self.random if random else ~self.random
        if bool(inside.all()):
            return self.value
        return torch.where(inside, self.value, torch.nan) if bool(inside.any()) else None


@dataclass(frozen=True)
class Site:
    """All elements of one name. `kind`: "sample", "factor" or "deterministic"; `loops`: (name, rows)."""

    name: str
    kind: str
    loops: tuple[tuple[str, int], ...]
    dims: tuple[str, ...] = ()
    mark: Mark | None = None
    elements: dict[Index, Element] = field(default_factory=dict)

    def log_density(self) -> torch.Tensor:
        return total(e.log_density for e in self.elements.values())


def total(terms: Iterable[torch.Tensor]) -> torch.Tensor:
    """The sum of 0-d tensors; zero (float64) for none."""
    listed = list(terms)
    return torch.stack(listed).sum() if listed else torch.zeros((), dtype=torch.float64)


class Choices(Mapping[str, torch.Tensor]):
    """Values by name. `choices["x"]` is one tensor [*loops, *site]; absent elements are nan (−1 for
    integers).

    Given back to `generate`, `update` or `log_density` it constrains exactly the elements that exist.
    """

    def __init__(
        self, elements: Mapping[str, Mapping[Index, torch.Tensor]], rows: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.elements = {name: dict(found) for name, found in elements.items()}
        self.rows = dict(rows)

    def at(self, name: str, index: Index) -> torch.Tensor | None:
        return self.elements.get(name, {}).get(index)

    def without(self, selection: Selection) -> Choices:
        return Choices({k: v for k, v in self.elements.items() if k not in selection}, self.rows)

    def __getitem__(self, name: str) -> torch.Tensor:
        found, rows = self.elements[name], self.rows[name]
        if not rows:
            return found[()]
        if not found:
            return torch.zeros(rows, dtype=torch.float64)
        first = next(iter(found.values()))
        absent = torch.full_like(
            first, torch.nan if first.is_floating_point() else -1 if first.dtype != torch.bool else 0
        )
        every = torch.cartesian_prod(*[torch.arange(n) for n in rows]).reshape(-1, len(rows)).tolist()
        stacked = torch.stack([found.get(tuple(i), absent) for i in every])
        return stacked.reshape(*rows, *first.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self.elements)

    def __len__(self) -> int:
        return len(self.elements)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: {_show(self[name])}" for name in self) + "}"


@dataclass(frozen=True)
class Selection:
    """A set of addresses by name; a subprogram's name stands for all its sites."""

    names: tuple[str, ...] = ()
    everything: bool = False

    def __contains__(self, name: object) -> bool:
        return self.everything or any(name == n or str(name).startswith(n + "/") for n in self.names)


def select(*names: str) -> Selection:
    """The sites of these names; a subprogram's name selects everything in it.

    >>> "sub/x" in select("sub"), "y" in select("sub")
    (True, False)
    """
    return Selection(names)


def as_selection(value: Any) -> Selection:
    """A selection from a name, an iterable of names, a selection, or `all` (Python's own)."""
    if isinstance(value, Selection):
        return value
    if value is all:
        return Selection(everything=True)
    return Selection((value,) if isinstance(value, str) else tuple(value))


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One run of a bound program.

    `trace["x"]` is a site's value over all its elements, `trace.value` the program's return value. `params`
    are the parameters' values. `undefined` says why the run has no log density (a score_factor, a sampler
    without a density), `branched` whether a cond or switch chose among sites.
    """

    bound: Bound
    value: Any
    sites: Mapping[str, Site]
    params: Mapping[str, torch.Tensor] = field(default_factory=dict)
    given_params: Mapping[str, Any] = field(default_factory=dict)
    subsamples: Mapping[str, torch.Tensor] = field(default_factory=dict)
    undefined: StructureError | None = None
    branched: bool = False

    def __getitem__(self, name: str) -> torch.Tensor:
        site = self.sites.get(name)
        if site is None or site.kind == "factor":
            known = [n for n, s in self.sites.items() if s.kind != "factor"]
            near = closest(name, known)
            raise PplError(
                f"the trace has no value named '{name}'",
                expected="one of " + listed(known, name),
                found=name,
                edit=f'trace["{near[0]}"]' if near else None,
            )
        return self._view([site], lambda e: e.value)[name]

    def __contains__(self, name: object) -> bool:
        return name in self.sites

    def __iter__(self) -> Iterator[str]:
        return (n for n, s in self.sites.items() if s.kind != "factor")

    def _of_kind(self, kind: str) -> list[Site]:
        return [s for s in self.sites.values() if s.kind == kind]

    def _view(self, sites: Iterable[Site], part: Any) -> Choices:
        parts = {s.name: {i: v for i, e in s.elements.items() if (v := part(e)) is not None} for s in sites}
        found = {n: p for n, p in parts.items() if p or not self.sites[n].elements}
        return Choices(found, {n: tuple(rows for _, rows in self.sites[n].loops) for n in found})

    @property
    def choices(self) -> Choices:
        """The values of all sampled and observed sites."""
        return self._view(self._of_kind("sample"), lambda e: e.value)

    @property
    def latents(self) -> Choices:
        """The random choices; of a partly observed site the missing entries, nan elsewhere."""
        return self._view(self._of_kind("sample"), lambda e: e.part(True))

    @property
    def observed(self) -> Choices:
        """The observed values; of a partly observed site the observed entries, nan elsewhere."""
        return self._view(self._of_kind("sample"), lambda e: e.part(False))

    @property
    def deterministics(self) -> Choices:
        """Values named by `deterministic`, fixed by `do`, or rebuilt by a reparametrisation."""
        return self._view(self._of_kind("deterministic"), lambda e: e.value)

    @property
    def log_density(self) -> torch.Tensor:
        """log p(choices, data): the sum over all sites and factors; the factors' normaliser is not known."""
        if self.undefined is not None:
            raise self.undefined
        return total(s.log_density() for s in self.sites.values() if s.kind != "deterministic")

    @property
    def log_densities(self) -> dict[str, torch.Tensor]:
        """The share of every site and factor."""
        return {n: s.log_density() for n, s in self.sites.items() if s.kind != "deterministic"}

    def dims(self, name: str) -> tuple[str, ...]:
        """Names of the leading axes of a site: its loops, then the names given by `dims=`."""
        site = self.sites[name]
        return (*(loop for loop, _ in site.loops), *site.dims)

    def sum(self, which: str, selection: Selection | None = None) -> torch.Tensor:
        """The sum of "log_density", "log_prior" or "log_fresh" over all elements of the selected sites."""
        sites = [s for s in self.sites.values() if selection is None or s.name in selection]
        return total(getattr(e, which) for s in sites for e in s.elements.values())

    def __repr__(self) -> str:
        rows = [f"<trace of {self.bound.name}>"]
        latents, observed = self.latents, self.observed
        for name, site in self.sites.items():
            state = [w for w, c in (("latent", latents), ("observed", observed)) if name in c]
            label = (
                site.kind
                if site.kind != "sample"
                else "partly observed"
                if len(state) == 2
                else "".join(state)
            )
            share = "" if site.kind == "deterministic" else f"  log density {float(site.log_density()):.4g}"
            value = "" if site.kind == "factor" else _show(self[name])
            rows.append(f"  {name:<16} {label:<15} {value}{share}")
        return "\n".join(rows)


def _show(value: torch.Tensor) -> str:
    if value.numel() > 4:
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    rounded = value.detach().to(torch.float64).round(decimals=4) if value.is_floating_point() else value
    return str(rounded.tolist())
