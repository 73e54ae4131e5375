"""Runs of programs inside an objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from ppl.language import agreement
from ppl.language.marginals import Law
from ppl.language.program import Bound

if TYPE_CHECKING:
    from ppl.language.objectives import ObjectiveRecorder


class RunTrace(Mapping[str, torch.Tensor]):
    """One run of a program inside an objective: `trace["x"]`, `trace.value`, `trace.log_density`.

    `origin` is what a law needs to know of how this run was made (see `integrals`).
    """

    def __init__(
        self,
        recorder: ObjectiveRecorder,
        bound: Bound | Law,
        values: dict[str, Any],
        sites: Any,
        value: Any,
        origin: Any = None,
    ) -> None:
        self._recorder, self._values = recorder, values
        self.bound, self.sites, self.value, self.origin = bound, sites, value, origin

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._values:
            raise agreement.unknown_choice(name, self.bound, list(self._values))
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def log_density(self) -> torch.Tensor:
        return self._recorder.log_density(self.bound, self)

    def without(self, *names: str) -> RunTrace:
        """The trace with these sites left out."""
        for name in names:
            self[name]
        kept = {k: v for k, v in self._values.items() if k not in names}
        return RunTrace(self._recorder, self.bound, kept, self.sites, self.value, self.origin)
