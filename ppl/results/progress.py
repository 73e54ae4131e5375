"""Live progress of a run: one line per chain, on stderr, only where someone is looking."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_MOST_BARS = 16  # beyond this many chains one bar stands for all


@dataclass(frozen=True, slots=True)
class ChainProgress:
    """How far one chain is. Any object with these attributes will do; `note` (say, a loss) and `name` (of what is no
    chain) are optional.

    `iteration` of `total` (or `iterations`) counts warm-up and draws; `elapsed` is in seconds, by our clock
    if it isn't given.
    """

    chain: int
    iteration: int
    total: int
    phase: str = "sample"
    step_size: float = float("nan")
    divergences: int = 0
    gradient_evaluations: int = 0
    elapsed: float = 0.0
    note: str = ""
    name: str = ""


class Progress:
    """A display to call with the state of all chains, as often as one likes: it draws ten times a second at
    most.

    Arguments: `enabled`, False for no display; None or True show one where stderr is a terminal or a
    notebook. `console`, another rich console; `clock`, seconds, for tests.

    >>> with Progress(enabled=False) as progress:
    ...     progress([ChainProgress(0, 10, 100)])
    """

    def __init__(
        self,
        enabled: bool | None = None,
        *,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        interval: float = 0.1,
    ) -> None:
        self._console = console
        self._clock = clock
        self._interval = interval
        self._last = float("-inf")
        self._bars: dict[int, Any] = {}
        self._display: Any = None
        seen = console.is_terminal if console is not None else sys.stderr.isatty() or _in_notebook()
        self._began = clock()
        self.enabled = enabled is not False and seen

    def __enter__(self) -> Progress:
        if self.enabled:
            self._display = _display(self._console)
            self._display.start()
        return self

    def __call__(self, update: Sequence[Any]) -> None:
        """Show this state. Arguments: `update`, an object like `ChainProgress` for every chain."""
        if self._display is None or not update:
            return
        now = self._clock()
        if now - self._last < self._interval and any(c.iteration < total(c) for c in update):
            return
        self._last = now
        for chain in update if len(update) <= _MOST_BARS else [together(update)]:
            fields = _fields(chain, now - self._began)
            if chain.chain not in self._bars:
                self._bars[chain.chain] = self._display.add_task("", total=total(chain), **fields)
            bar = self._bars[chain.chain]
            self._display.update(bar, completed=chain.iteration, total=total(chain), **fields)
        self._display.refresh()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None


@contextlib.contextmanager
def working(what: str, enabled: bool | None = None, console: Console | None = None) -> Iterator[None]:
    """Say what is done before there are chains to show: a line on stderr, where someone is looking, that goes when it
    is done. `enabled` and `console` as for `Progress`.

    >>> with working("compiling eight_schools", enabled=False):
    ...     pass
    """
    if not Progress(enabled, console=console).enabled:
        yield
        return
    from rich.console import Console

    with (console or Console(stderr=True)).status(what, spinner="dots"):
        yield


def total(chain: Any) -> int:
    """How many iterations a chain makes in all, by either of the names samplers give that."""
    return int(chain.total if hasattr(chain, "total") else chain.iterations)


def together(update: Sequence[Any]) -> ChainProgress:
    """Many chains as one: iterations, divergences and gradients added up, the step size averaged."""
    steps = [c.step_size for c in update if getattr(c, "step_size", None) == getattr(c, "step_size", None)]
    return ChainProgress(
        chain=-len(update),
        iteration=sum(c.iteration for c in update),
        total=sum(total(c) for c in update),
        phase=min(update, key=lambda c: c.iteration).phase,
        step_size=sum(steps) / len(steps) if steps else float("nan"),
        divergences=sum(getattr(c, "divergences", 0) or 0 for c in update),
        gradient_evaluations=sum(getattr(c, "gradient_evaluations", 0) or 0 for c in update),
        elapsed=max(getattr(c, "elapsed", None) or 0.0 for c in update),
    )


def short(number: float) -> str:
    """Three digits and a unit: `950`, `1.2k`, `35M`.

    >>> short(1234), short(35e6), short(7)
    ('1.23k', '35M', '7')
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def _fields(chain: Any, watched: float) -> dict[str, str]:
    step = getattr(chain, "step_size", None)
    gradients = getattr(chain, "gradient_evaluations", 0) or 0
    elapsed = getattr(chain, "elapsed", None) or watched
    diverged = getattr(chain, "divergences", 0) or 0
    parts = [f"step {step:.3g}"] if step is not None and step == step else []
    parts += [f"[red]{diverged} divergences[/red]"] if diverged else []
    parts += [f"{short(gradients / elapsed)} grad/s"] if gradients and elapsed > 0 else []
    parts += [str(chain.note)] if getattr(chain, "note", "") else []
    name = f"chain {chain.chain}" if chain.chain >= 0 else f"{-chain.chain} chains"
    name = getattr(chain, "name", "") or name
    return {
        "name": name,
        "phase": str(getattr(chain, "phase", "")),
        "facts": " · ".join(parts),
        "seconds": f"{elapsed:.1f} s",
    }


def _display(console: Console | None) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.fields[name]}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[phase]}", style="cyan"),
        TextColumn("{task.fields[seconds]}", style="dim"),
        TextColumn("{task.fields[facts]}"),
        console=console if console is not None else Console(stderr=True),
        auto_refresh=False,  # no thread beside the sampler's
        transient=False,
    )


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    instance = shell.get_ipython() if shell is not None and hasattr(shell, "get_ipython") else None
    return instance is not None and type(instance).__name__ == "ZMQInteractiveShell"
