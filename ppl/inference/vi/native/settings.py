"""Options of the optimisation loop: frozen, validated when made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppl.errors import MethodError, closest
from ppl.inference.mcmc.native.layout import aligned, aligned_ints, padded
from ppl.inference.options import is_real, is_whole, named_options, require
from ppl.inference.random import check_seed
from ppl.inference.vi.moments import MEMORY
from ppl.inference.vi.native import layout as at

Array = NDArray[np.float64]
Words = NDArray[np.int64]

SHAPES = {
    "constant": at.CONSTANT,
    "cosine": at.COSINE,
    "exponential": at.EXPONENTIAL_DECAY,
    "table": at.TABLE,
}
NEVER = 1 << 62


def _positive(method: str, name: str, value: Any, edit: str) -> None:
    require(method, name, value, is_real(value) and value > 0.0, "a positive number", edit)


def _share(method: str, name: str, value: Any, edit: str) -> None:
    require(method, name, value, is_real(value) and 0.0 <= value < 1.0, f"0 <= {name} < 1", edit)


def _not_negative(method: str, name: str, value: Any) -> None:
    require(method, name, value, is_real(value) and value >= 0.0, "a number ≥ 0", "0.0")


@named_options
@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma & Ba 2015, "Adam: a method for stochastic optimization", algorithm 1), with weight decay apart
    from the gradient (Loshchilov & Hutter 2019, "Decoupled weight decay regularization"):

    m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², u ← u − rate (m̂ / (√v̂ + ε) + decay · u),

    where m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).

    Args:
        rate: about how far a parameter moves in a step.
        beta1, beta2: of the moving averages of the gradient and of its square.
        epsilon: ε.
        decay: weight decay; 0: none.

    >>> Adam(rate=0.05).beta1
    0.9
    """

    rate: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0

    def __post_init__(self) -> None:
        _positive("Adam", "rate", self.rate, "0.01")
        _share("Adam", "beta1", self.beta1, "0.9")
        _share("Adam", "beta2", self.beta2, "0.999")
        _positive("Adam", "epsilon", self.epsilon, "1e-8")
        _not_negative("Adam", "decay", self.decay)


@named_options
@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent with momentum (Polyak 1964): m ← momentum · m + g,
    u ← u − rate (m + decay · u).

    Args:
        rate: what the gradient is multiplied by.
        momentum: 0: none.
        decay: weight decay; 0: none.

    >>> SGD(rate=0.1, momentum=0.9).decay
    0.0
    """

    rate: float = 0.01
    momentum: float = 0.0
    decay: float = 0.0

    def __post_init__(self) -> None:
        _positive("SGD", "rate", self.rate, "0.01")
        _share("SGD", "momentum", self.momentum, "0.9")
        _not_negative("SGD", "decay", self.decay)


@named_options
@dataclass(frozen=True, slots=True)
class Schedule:
    """What the learning rate is multiplied by at each step, counted from the first step of all.

    Args:
        shape: "constant"; "cosine", (1 + cos πs)/2 from 1 to `final`; "exponential", finalˢ; where s goes from
            0 to 1 between the end of the warm-up and `steps`; or "table".
        steps: where the rate has come down; from there it stays.
        final: the last factor; for an exponential positive.
        warmup: steps in which the rate rises linearly before.
        factors: the table, step by step; its last entry stays. With this, nothing else is given.

    >>> Schedule("cosine", steps=1000, warmup=100).final
    0.0
    >>> Schedule("table", factors=(1.0, 0.5, 0.25)).factors
    (1.0, 0.5, 0.25)
    """

    shape: str = "constant"
    steps: int = 0
    final: float = 0.0
    warmup: int = 0
    factors: Sequence[float] | Array = ()

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            near = closest(str(self.shape), SHAPES) or list(SHAPES)
            raise MethodError(
                f"there is no schedule of shape {self.shape!r}",
                expected=", ".join(f'"{name}"' for name in SHAPES),
                found=repr(self.shape),
                edit=f'Schedule("{near[0]}")',
            )
        name, falls = f"Schedule of shape {self.shape}", self.shape in ("cosine", "exponential")
        require(name, "warmup", self.warmup, is_whole(self.warmup) and self.warmup >= 0, "an int ≥ 0", "0")
        good = is_whole(self.steps) and (self.steps > self.warmup if falls else self.steps >= 0)
        require(name, "steps", self.steps, good, "an int above `warmup`" if falls else "an int ≥ 0", "1000")
        good = is_real(self.final) and (
            self.final > 0.0 if self.shape == "exponential" else self.final >= 0.0
        )
        expected = "a positive number" if self.shape == "exponential" else "a number ≥ 0"
        require(name, "final", self.final, good, expected, "0.01")
        table = np.asarray(self.factors, np.float64)
        good = table.ndim == 1 and bool(np.isfinite(table).all()) and bool((table >= 0.0).all())
        good = good and (table.size > 0) == (self.shape == "table")
        expected = "finite numbers ≥ 0, in a list" if self.shape == "table" else 'none, or shape="table"'
        require(
            name, "factors", self.factors, good, expected, "[1.0, 0.5]" if self.shape == "table" else "()"
        )


@named_options
@dataclass(frozen=True, slots=True)
class Optimisation:
    """How an objective is optimised.

    Args:
        optimiser: `Adam(...)` or `SGD(...)`.
        schedule: of the learning rate.
        seed: of the noise; a step's noise depends on the seed and the step's number alone.
        maximise: climb rather than descend.
        particles: estimates averaged in a step, each with noise of its own.
        clip: the largest norm of a gradient; longer ones are shortened to it. None: they are left.
        average_from: the steps from this one on (counted from 0) enter the average of the iterates (Polyak &
            Juditsky 1992); None: there is none, and the last iterate stands in its place.
        memory: steps over which mean and variance of the gradient are taken; 0: they are not.

    >>> Optimisation(Adam(rate=0.1), particles=4, maximise=True).clip is None
    True
    """

    optimiser: Adam | SGD = field(default_factory=Adam)
    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 0
    maximise: bool = False
    particles: int = 1
    clip: float | None = None
    average_from: int | None = None
    memory: int = MEMORY

    def __post_init__(self) -> None:
        check_seed(self.seed)
        name, begin = "Optimisation", self.average_from
        require(
            name,
            "particles",
            self.particles,
            is_whole(self.particles) and self.particles >= 1,
            "an int ≥ 1",
            "1",
        )
        if self.clip is not None:
            _positive(name, "clip", self.clip, "10.0")
        good = begin is None or (is_whole(begin) and begin >= 0)
        require(name, "average_from", begin, good, "an int ≥ 0, or None", "None")
        require(name, "memory", self.memory, is_whole(self.memory) and self.memory >= 0, "an int ≥ 0", "100")

    def arrays(self, dim: int) -> tuple[Words, Array, Array]:
        """`spec`, `options` and `factors` as the loop reads them, but for the noise."""
        spec, options = aligned_ints(at.SPEC_SIZE), aligned(at.OPTIONS_SIZE)
        chosen, schedule = self.optimiser, self.schedule
        factors = np.array(schedule.factors if len(schedule.factors) else [1.0], np.float64)
        spec[at.DIM], spec[at.PADDED] = dim, padded(dim)
        spec[at.PARTICLES], spec[at.SEED] = self.particles, np.uint64(self.seed).astype(np.int64)
        spec[at.SCHEDULE], spec[at.WARMUP] = SHAPES[schedule.shape], schedule.warmup
        spec[at.HORIZON], spec[at.FACTORS] = schedule.steps, len(factors)
        spec[at.AVERAGE_FROM] = NEVER if self.average_from is None else self.average_from
        options[at.SIGN] = -1.0 if self.maximise else 1.0
        options[at.RATE], options[at.DECAY] = chosen.rate, chosen.decay
        options[at.CLIP] = np.inf if self.clip is None else self.clip
        options[at.FINAL], options[at.MEMORY] = schedule.final, self.memory
        if isinstance(chosen, SGD):
            spec[at.METHOD], options[at.MOMENTUM] = at.SGD_METHOD, chosen.momentum
        else:
            betas = np.array([chosen.beta1, chosen.beta2])
            options[at.BETA_1 : at.BETA_2 + 1] = betas
            with np.errstate(divide="ignore"):  # log 0 = −∞ is meant: βᵗ = 0
                options[at.LOG_BETA_1 : at.LOG_BETA_2 + 1] = np.log(betas)
            options[at.EPSILON] = chosen.epsilon
        return spec, options, factors
