"""Threads that run chains: each takes one from a queue, runs a block of it and puts it back."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from threading import Event, Lock, Thread

import numpy as np
from numpy.typing import NDArray

from ppl.inference.mcmc.native import layout as at
from ppl.inference.mcmc.native.runner import ChainRunner

Words = NDArray[np.int64]


def processors() -> int:
    """How many processors this process may use.

    >>> processors() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Crew:
    """As many threads as there are chains, processors and private words for.

    Which thread runs a chain, and when, changes nothing about its draws: all it is stands in its arrays.

    Args:
        runners: the chains.
        envs: private words of the density, an array for every thread.
        control: the array all chains share.
    """

    def __init__(self, runners: Sequence[ChainRunner], envs: Sequence[Words], control: Words) -> None:
        self._control = control
        self._waiting = deque(runner for runner in runners if not runner.finished)
        self._running: list[ChainRunner] = []
        self._lock = Lock()
        self._idle = Event()
        self._errors: list[tuple[int, BaseException]] = []
        count = min(len(self._waiting), processors(), len(envs))
        self._threads = [
            Thread(target=self._work, args=(env,), name=f"chains {i}", daemon=True)
            for i, env in enumerate(envs[:count])
        ]
        self._left = count
        if count == 0:
            self._idle.set()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; whether all is done."""
        return self._idle.wait(seconds)

    def stop(self) -> None:
        """Have every chain give up its transition, and wait for that. No harm when all is done."""
        self._control[at.STOP] = 1
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def raise_error(self) -> None:
        """Raise what went wrong in a thread: of several errors that of the first chain."""
        if self._errors:
            raise min(self._errors, key=lambda entry: entry[0])[1]

    def take_turns(self) -> None:
        """Have running chains make room, if others wait for a thread."""
        with self._lock:
            if self._waiting:
                for runner in self._running:
                    runner.control[at.YIELD] = 1

    def ask_to_publish(self) -> list[ChainRunner]:
        """Have running chains publish their state after their transition; returns these chains."""
        with self._lock:
            for runner in self._running:
                runner.control[at.YIELD] = 1
            return list(self._running)

    def _work(self, env: Words) -> None:
        while (runner := self._next()) is not None:
            try:
                runner.advance(env)
            except BaseException as error:
                self._errors.append((runner.row, error))
                self._control[at.STOP] = 1
            with self._lock:
                self._running.remove(runner)
                if not runner.finished:
                    # To the back if it was asked to make room; otherwise this thread goes on with it.
                    (self._waiting.append if runner.control[at.YIELD] else self._waiting.appendleft)(runner)
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._idle.set()

    def _next(self) -> ChainRunner | None:
        with self._lock:
            if self._control[at.STOP] != 0 or not self._waiting:
                return None
            runner = self._waiting.popleft()
            runner.control[at.YIELD] = 0
            self._running.append(runner)
            return runner
