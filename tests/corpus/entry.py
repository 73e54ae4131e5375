"""How a program enters the corpus: by a function that binds it, under its own name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import ppl
from ppl.language.program import Bound

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Entry:
    """A program of the corpus.

    Args:
        bind: makes the bound program, its data conditioned on.
        spread: standard deviation of the unconstrained points at which it is compared.
        long: the interpreter takes seconds for it: compared in the slow suite.
        reference: one of the reference posteriors' models, all of which must run native.
        fails: why it can't be compiled yet.
    """

    bind: Callable[[], Bound]
    spread: float = 0.5
    long: bool = False
    reference: bool = False
    fails: str = ""


HANDWRITTEN: dict[str, Entry] = {}


def program(
    given: Mapping[str, Any] | None = None,
    handle: Callable[[Bound], Bound] = lambda b: b,
    fails: str = "",
    **arguments: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enters a model function, with its arguments, what is observed, and the handlers around it."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        assert name not in HANDWRITTEN, f"two programs {name}"

        def bind() -> Bound:
            return handle(ppl.model(function)(**arguments).condition(given or {}))

        HANDWRITTEN[name] = Entry(bind, fails=fails)
        return function

    return enter


def draws(seed: int) -> np.random.Generator:
    """Random numbers for made-up data."""
    return np.random.default_rng(seed)


def t(*values: Any) -> torch.Tensor:
    """A tensor of numbers as a user writes them."""
    return torch.tensor(values[0] if len(values) == 1 else values, dtype=torch.float64)
