"""Groups of params, each with an objective of its own: wake–sleep, adversarial training, separate bounds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

import torch

from ppl.compiler.graph import Node
from ppl.errors import MethodError
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.coordinates import Coordinates
from ppl.language.program import Bound, Program
from ppl.language.record import Param

Tensors = dict[str, torch.Tensor]


class Groups:
    """Several objectives, to train like one: each gives the gradient of its group's params.

    Args:
        objectives: bound objectives by the name of their group; the first one's value is reported.
        batch: as for `CompiledObjective`.
        programs: the programs that groups of that name own; another group owns the params whose names begin
            with its own and a dot.

    Raises:
        MethodError: a param is in no group, or a group has none.
    """

    def __init__(
        self,
        objectives: Mapping[str, Bound],
        programs: Mapping[str, Program],
        dtype: torch.dtype | None,
        device: str,
        batch: Collection[str] = (),
        gradients: Mapping[str, Any] | None = None,
    ) -> None:
        everything = {
            n: CompiledObjective(b, dtype, device, free=True, batch=batch) for n, b in objectives.items()
        }
        first = next(iter(everything.values()))
        self.bound, self.device, self.dtype, self.objective = (
            first.bound,
            device,
            first.dtype,
            first.objective,
        )
        self.params: dict[str, Param] = {}
        owners: dict[str, Program | None] = {}
        for each in everything.values():
            self.params |= each.params
            owners |= each.objective.owners
        members = {
            name: {p for p in self.params if _belongs(p, name, owners[p], programs)} for name in objectives
        }
        self._check(members, {p: _group(p, owners[p], programs) for p in self.params})
        self.parts = {
            name: CompiledObjective(
                each.bound,
                dtype,
                device,
                True,
                members[name] & set(each.params),
                batch=batch,
                gradients=gradients,
            )
            for name, each in everything.items()
        }

    def _check(self, members: Mapping[str, set[str]], natural: Mapping[str, str]) -> None:
        for param in self.params:
            groups = [name for name, own in members.items() if param in own]
            if len(groups) != 1:
                raise MethodError(
                    f"VI: param '{param}' is in {'no group' if not groups else 'groups ' + ', '.join(groups)}",
                    expected="one objective for each param",
                    found=f"objectives for {', '.join(members)}",
                    edit=f'objective={{…, "{natural[param]}": …}}',
                )
        for name, own in members.items():
            if not own:
                raise MethodError(
                    f"VI: the group '{name}' has no params",
                    expected='"model", "guide", or what names of params begin with',
                    found=f"params {', '.join(self.params)}",
                    edit=f"remove the objective of '{name}'",
                )

    @property
    def choices(self) -> set[str]:
        return {name for part in self.parts.values() for name in part.choices}

    @cached_property
    def coordinates(self) -> Coordinates:
        return Coordinates.of(self.params)

    @property
    def states(self) -> Tensors:
        return {f"{g}/{n}": v for g, part in self.parts.items() for n, v in part.states.items()}

    def values(self, params: Mapping[str, Any] | None = None) -> Tensors:
        given = dict(params or {})
        return {n: given.get(n, p.init) for n, p in self.params.items()}

    def feed(self, batch: Mapping[str, torch.Tensor]) -> None:
        """The minibatch that estimates are made of from now on."""
        for part in self.parts.values():
            part.feed(batch)

    def run(
        self, values: Tensors, seed: int = 0, states: Mapping[str, torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, Tensors, Tensors]:
        """(the first objective's value, gradients by group, next states)."""
        first: torch.Tensor | None = None
        grads: Tensors = {}
        then: Tensors = {}
        for group, part in self.parts.items():
            own = {n: values[n] for n in part.params}
            kept = {
                n: v
                for name, v in (states or {}).items()
                for n in [name.removeprefix(f"{group}/")]
                if name != n
            }
            value, found, following = part.run(own, seed, states=kept)
            first = value if first is None else first
            grads |= found
            then |= {f"{group}/{n}": v for n, v in following.items()}
        assert first is not None
        return first, grads, then

    def sampled(self, values: Tensors, seed: int, draws: int, roots: list[Node]) -> list[torch.Tensor]:
        part = next(iter(self.parts.values()))
        return part.sampled({n: values[n] for n in part.params}, seed, draws, roots)


def _belongs(param: str, group: str, owner: Program | None, programs: Mapping[str, Program]) -> bool:
    if group in programs:
        return owner is programs[group]
    return param == group or param.startswith(f"{group}.")


def _group(param: str, owner: Program | None, programs: Mapping[str, Program]) -> str:
    """The group that a param would be in: that of the program that declares it, else what its name begins with."""
    return next((name for name, p in programs.items() if p is owner), param.partition(".")[0])
