"""Minibatches from a loader: programs bound to each batch, weighed so that it stands for all the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from ppl.compiler.passes.layouts import Layout, layouts
from ppl.errors import DataError, MethodError, closest
from ppl.inference.options import is_whole
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.groups import Groups
from ppl.inference.vi.loader import Batches, Tensors
from ppl.language.program import Bound, Program
from ppl.language.record import record


@dataclass(frozen=True)
class Stream:
    """Programs that take the batches of a loader.

    Args:
        model: the model, or the model with arguments that no batch has.
        guide: a guide likewise, or the name of an automatic one.
        total_size: of all the data, along the plate of the batch; by its name where that is not clear.
    """

    batches: Batches
    model: Program | Bound
    guide: Any
    total_size: int | Mapping[str, int] | None

    @property
    def first(self) -> Bound:
        """The model of the first batch."""
        return bind(self.model, self.batches.first)

    @cached_property
    def plate(self) -> str:
        """The plate that a batch has the elements of."""
        return self._plate(self.first, self.batches.first)[0]

    @cached_property
    def local(self) -> list[str]:
        """The model's random choices in that plate."""
        return [lay.name for lay in layouts(record(self.first).graph) if _inside(lay, self.plate)]

    def programs(self, batch: Tensors) -> tuple[Bound, Bound | None]:
        """Model and guide of a batch, what stands in its plate weighed so that it stands for all the data. The guide is
        None where it is an automatic one.
        """
        model = bind(self.model, batch)
        plate, size = self._plate(model, batch)
        weight = self.total(plate) / size
        if isinstance(self.guide, str):
            return weighed(model, plate, weight), None
        return weighed(model, plate, weight), weighed(bind(self.guide, batch, data=False), plate, weight)

    def require_guide(self) -> None:
        """Refuse automatic guides that need all the data."""
        if not isinstance(self.guide, str):
            return
        if self.guide in ("laplace", "pathfinder"):
            raise MethodError(
                f'guide="{self.guide}" needs all the data at once',
                expected="a guide that is fitted by minibatches",
                found="batches of a loader",
                edit='guide="full_rank"',
            )
        if self.local:
            raise MethodError(
                f"'{self.local[0]}' is a random choice for each element of '{self.plate}', which no automatic guide "
                "covers with a loader: it doesn't say which elements a batch has",
                site=self.local[0],
                expected="a guide that computes it from the batch (amortised)",
                found=f'guide="{self.guide}"',
                edit=f"guide=q, with {self.local[0]} drawn from what an encoder makes of the batch; or all data and "
                f'ppl.plate("{self.plate}", N, subsample=B)',
            )

    # ------------------------------------------------------------ the plate of the batch

    def _plate(self, model: Bound, batch: Tensors) -> tuple[str, int]:
        """The plate that a batch has the elements of, and how many these are."""
        sizes = {name: size for lay in _scored(model) for name, size in lay.loops[:1]}
        counts = {v.shape[0] for v in batch.values() if v.dim()}
        wanted = list(self.total_size) if isinstance(self.total_size, Mapping) else list(sizes)
        found = [name for name, size in sizes.items() if size in counts and name in wanted]
        if len(found) == 1:
            return found[0], sizes[found[0]]
        shown = ", ".join(f"'{name}' of {size}" for name, size in sizes.items()) or "none"
        elements = ", ".join(map(str, sorted(counts))) or "no"
        if found:
            raise MethodError(
                f"more than one plate of {model.name} has as many elements as a batch",
                expected="total_size= by the name of the plate",
                found=f"plates {shown}; batches of {elements} elements",
                edit=f'total_size={{"{found[0]}": …}}',
            )
        near = closest(wanted[0], sizes) if wanted else []
        raise DataError(
            f"no plate of {model.name} has the elements of a batch",
            expected=f"an outermost plate of {elements} elements"
            + (f", called {' or '.join(map(repr, wanted))}" if isinstance(self.total_size, Mapping) else ""),
            found=f"plates: {shown}",
            edit=f'for i in ppl.plate("{(near or wanted or ["data"])[0]}", x.shape[0]), with an x of the batch',
        )

    def size_of(self, batch: Tensors) -> int:
        """How many elements a batch has."""
        return self._plate(bind(self.model, batch), batch)[1]

    def total(self, plate: str) -> int:
        """How many elements all the data have."""
        size = self.total_size.get(plate) if isinstance(self.total_size, Mapping) else self.total_size
        if is_whole(size) and size >= 1:  # type: ignore[operator]
            return size  # type: ignore[return-value]
        dataset = getattr(self.batches.loader, "dataset", None)
        known = len(dataset) if dataset is not None and hasattr(dataset, "__len__") else "…"
        raise MethodError(
            "VI: batches of a loader need total_size, the number of elements they stand for",
            expected="total_size=N, of all the data",
            found=f"total_size={self.total_size!r}",
            edit=f"ppl.VI(…, total_size={known})",
        )


def bind(program: Program | Bound, batch: Tensors, data: bool = True) -> Bound:
    """A program with the arguments that a batch has; the rest of the batch is observed if `data` is."""
    bound = program if isinstance(program, Bound) else None
    known = (program.program if isinstance(program, Bound) else program).signature.parameters
    given = {name: value for name, value in batch.items() if name in known}
    rest = {name: value for name, value in batch.items() if name not in known}
    if isinstance(program, Program):
        bound = program(**given)
    assert bound is not None
    full = replace(bound, arguments=bound.arguments | given)
    return full.condition(rest) if rest and data else full


def weighed(bound: Bound, plate: str, weight: float) -> Bound:
    """The program with what stands in a plate weighed."""
    names = [lay.name for lay in _scored(bound) if _inside(lay, plate)]
    return bound.scale(**dict.fromkeys(names, weight)) if names else bound


def _scored(bound: Bound) -> list[Layout]:
    return layouts(record(bound).graph, ("sample", "observe", "factor"))


def _inside(lay: Layout, plate: str) -> bool:
    return any(name == plate for name, _ in lay.loops)


class Streamed(Groups):
    """The objective of a stream of batches, to train like one: compiled once for each shape of batch.

    Args:
        batches: where they come from.
        make: the compiled objective of a batch.
        particles: estimates made of each batch.
    """

    def __init__(
        self, batches: Batches, make: Callable[[Tensors], CompiledObjective | Groups], particles: int
    ) -> None:
        self.batches, self.make, self.particles = batches, make, particles
        self._made: dict[tuple[Any, ...], CompiledObjective | Groups] = {}
        self._calls = 0
        self.current = self._of(batches.first)
        self.bound, self.device, self.dtype = self.current.bound, self.current.device, self.current.dtype
        self.objective, self.params = self.current.objective, self.current.params

    def _of(self, batch: Tensors) -> CompiledObjective | Groups:
        """The objective of batches of this shape, fed with this one."""
        form = tuple((name, v.shape) for name, v in sorted(batch.items()))
        if form not in self._made:
            self._made[form] = self.make(batch)
        found = self._made[form]
        _check_values(found, batch, self.batches.place)
        found.feed(batch)
        return found

    @property
    def states(self) -> Tensors:
        return {**self.current.states, **self.batches.state()}

    def run(
        self, values: Tensors, seed: int = 0, states: Mapping[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, Tensors, Tensors]:
        """An estimate from the batch of this step, every `particles` calls from the next one."""
        given = dict(states or {})
        if self._calls == 0 and "loader.epoch" in given:
            self.batches.restore(given)
        if self._calls % self.particles == 0:
            self.current = self._of(self.batches.next())
            self.objective = self.current.objective
        self._calls += 1
        own = {n: v for n, v in given.items() if not n.startswith("loader.")}
        try:
            value, grads, then = self.current.run(values, seed, states=own)
        except IndexError as error:
            raise DataError(
                f"{self.batches.place} has an index out of range",
                expected="indices below the size of what they index",
                found=str(error)[:80],
                edit="correct the data set",
            ) from None
        return value, grads, then | self.batches.state()

    def sampled(self, values: Tensors, seed: int, draws: int, roots: Any = None) -> list[torch.Tensor]:
        return self.current.sampled(values, seed, draws, roots)


def _check_values(compiled: CompiledObjective | Groups, batch: Tensors, where: str) -> None:
    """Refuse fractions where a site takes whole numbers, and missing elements of observed sites."""
    recorded = compiled.objective.recorded
    for node in recorded.data:
        name = node.attr("name")
        if node.attr("role") != "batch" or not batch[name].is_floating_point():
            continue
        value = batch[name]
        if name in recorded.observed and bool(torch.isnan(value).any()):
            wrong, expected = "has missing elements", "complete data in every batch"
        elif not node.is_float and bool((value != value.round()).any()):
            wrong, expected = "must be whole numbers", "integers, as its distribution draws them"
        else:
            continue
        raise DataError(
            f"'{name}' in {where} {wrong}",
            site=name,
            expected=expected,
            found="nan" if "missing" in wrong else f"{float(value[value != value.round()][0]):g}",
            edit="leave these elements out of the data set, or correct them",
        )


__all__ = ["Stream", "Streamed", "bind", "weighed"]
