"""Batches from a loader, epoch after epoch: named tensors, checked, and a place to go on from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from ppl.errors import DataError, MethodError
from ppl.language.checks import is_array

Tensors = dict[str, torch.Tensor]

_SHUFFLING = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


class Batches:
    """The batches of a loader, one after another; a pass over all of them is an epoch.

    Args:
        loader: a torch `DataLoader`, or another iterable that begins anew for every epoch. A batch is a dictionary of
            tensors, or a tuple of them.
        names: of the parts of a tuple.

    Attributes: `first`, the first batch; `epoch`, the epochs begun before this one; `position`, the batches taken in
    it.

    Raises:
        DataError: a batch has other names, shapes or dtypes than the first, or there is none.
    """

    def __init__(self, loader: Iterable[Any], names: Sequence[str] | None = None) -> None:
        self.loader = loader
        self.names = None if names is None else list(names)
        self.generators = generators_of(loader)
        self.epoch = self.position = 0
        self._begin()
        first = self._pull()
        if first is None:
            raise DataError(
                "the loader has no batches",
                expected="an iterable of batches",
                found=f"{type(loader).__name__}, empty",
                edit="a data set with elements; without drop_last=True where it is smaller than a batch",
            )
        self.first: Tensors = self._named(first)
        self._held: Tensors | None = self.first

    # ------------------------------------------------------------ one after another

    def next(self) -> Tensors:
        """The next batch; after the last one the first of a new epoch."""
        if self._held is not None:
            batch, self._held = self._held, None
        else:
            raw = self._pull()
            if raw is None:
                self.epoch, self.position = self.epoch + 1, 0
                self._begin()
                raw = self._pull()
                if raw is None:
                    raise self._exhausted()
            batch = self._named(raw)
            self._check_like_first(batch)
        self.position += 1
        return batch

    def once(self) -> Iterator[Tensors]:
        """The batches of an epoch of their own, which is not counted."""
        for raw in self.loader:
            batch = self._named(raw)
            self._check_like_first(batch)
            yield batch

    @property
    def place(self) -> str:
        """Which batch was taken last, in words."""
        return f"batch {max(0, self.position - 1)} of epoch {self.epoch}"

    @property
    def epochs(self) -> float:
        """How many epochs were taken, the last one in part where its length is known."""
        length = len(self.loader) if isinstance(self.loader, Sized) else None
        return self.epoch + (self.position / length if length else 0.0)

    def _begin(self) -> None:
        self._start = [g.get_state() for g in self.generators or []]
        self._iterator: Iterator[Any] = iter(self.loader)

    def _pull(self) -> Any:
        return next(self._iterator, None)

    def _exhausted(self) -> DataError:
        return DataError(
            f"the loader ended after {self.epoch} epoch{'s' if self.epoch > 1 else ''} and doesn't begin anew",
            expected="an iterable that gives its batches again for every epoch",
            found=f"{type(self.loader).__name__}, which can be iterated once",
            edit="a torch DataLoader, or a list of batches",
        )

    # ------------------------------------------------------------ going on

    def require_resumable(self) -> None:
        """Refuse a loader whose order can't be brought back, where checkpoints are wanted."""
        if self.generators is None:
            raise MethodError(
                "the order of this loader's batches can't be brought back, so the run can't be resumed",
                expected="save_to= and resume= with a loader that shuffles by a generator of its own, or not at all",
                found=f"{type(self.loader).__name__} that draws from torch's global generator"
                if isinstance(self.loader, DataLoader)
                else f"{type(self.loader).__name__}: its order is not known",
                edit="DataLoader(…, shuffle=True, generator=torch.Generator().manual_seed(0)), or without save_to=",
            )

    def state(self) -> Tensors:
        """Where the batches are: the epoch, the batches taken of it, and its shuffling."""
        counts = {"loader.epoch": torch.tensor(self.epoch), "loader.position": torch.tensor(self.position)}
        return counts | {f"loader.generator.{i}": s for i, s in enumerate(self._start)}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on where `state` was taken: the epoch begins anew, and its batches up to there are passed over."""
        for i, generator in enumerate(self.generators or []):
            generator.set_state(state[f"loader.generator.{i}"])
        self.epoch, self._held = int(state["loader.epoch"]), None
        self._begin()
        for self.position in range(1, int(state["loader.position"]) + 1):
            if self._pull() is None:
                raise DataError(
                    "the loader has fewer batches than when the checkpoint was written",
                    expected=f"{int(state['loader.position'])} or more in an epoch",
                    found=str(self.position - 1),
                    edit="resume with the same data set and batch size",
                )

    # ------------------------------------------------------------ what is in a batch

    def _named(self, batch: Any) -> Tensors:
        if isinstance(batch, Mapping):
            parts: dict[Any, Any] = dict(batch)
        else:
            alone = is_array(batch)
            values = [batch] if alone else list(batch) if isinstance(batch, tuple | list) else []
            if self.names is None or len(self.names) != len(values):
                raise self._no_names(batch, len(values), alone)
            parts = dict(zip(self.names, values, strict=True))
        for name, value in parts.items():
            if not isinstance(name, str) or not is_array(value):
                raise DataError(
                    f"'{name}' of a batch is not a tensor",
                    expected="a dictionary from names to tensors",
                    found=f"{type(value).__name__}: {value!r}"[:80],
                    edit="collate_fn=… that gives {name: tensor}, without what the model doesn't take",
                )
        return {name: torch.as_tensor(value) for name, value in parts.items()}

    def _no_names(self, batch: Any, count: int, alone: bool) -> DataError:
        found = "one tensor" if alone else f"a {type(batch).__name__} of {count}"
        return DataError(
            "the parts of a batch have no names" if self.names is None else "the names don't fit the batches",
            expected="dictionaries from names to tensors, or batch_names= with a name for each part",
            found=found if self.names is None else f"{found}, and batch_names={tuple(self.names)!r}",
            edit='ppl.VI(…, batch_names=("x", "y")): arguments of the model and observed sites',
        )

    def _check_like_first(self, batch: Tensors) -> None:
        where = f"batch {self.position} of epoch {self.epoch}"
        if set(batch) != set(self.first):
            raise DataError(
                f"{where} has other names than the first",
                expected=", ".join(self.first),
                found=", ".join(batch) or "none",
                edit="let the data set give the same names for every element",
            )
        for name, first in self.first.items():
            value = batch[name]
            if value.dtype != first.dtype or value.shape[1:] != first.shape[1:]:
                raise DataError(
                    f"'{name}' in {where} is of another kind than in the first",
                    expected=f"{first.dtype} of shape {['…', *first.shape[1:]]}".replace("'", ""),
                    found=f"{value.dtype} of shape {list(value.shape)}",
                    edit="let the data set give the same shapes and dtypes; only the number of elements may differ",
                )


def generators_of(loader: Any) -> list[torch.Generator] | None:
    """The random generators that decide a loader's order: none where it is fixed; None where they are not known."""
    if isinstance(loader, list | tuple):
        return []
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return None
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler:
        return None
    order = loader.sampler if loader.batch_sampler is None else loader.batch_sampler.sampler
    own = [] if loader.generator is None else [loader.generator]
    if type(order) is SequentialSampler:
        return own
    generator = getattr(order, "generator", None)
    if not isinstance(order, _SHUFFLING) or generator is None:
        return None
    return own if any(g is generator for g in own) else [*own, generator]


__all__ = ["Batches", "generators_of"]
