"""`ppl.VI`: the options of variational inference."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ppl.errors import MethodError, closest, user_mark
from ppl.inference.options import is_real, is_whole, named_options, require
from ppl.inference.vi.natural import NaturalGradient
from ppl.inference.vi.stopping import Convergence
from ppl.language.program import Bound, Program

SCHEDULES = ("constant", "cosine", "exponential")
OPTIMIZERS = ("adam", "adamw", "sgd")


@named_options
@dataclass(frozen=True)
class VI:
    """Variational inference: the guide's params are moved by stochastic gradients until the objective is largest.

    Args:
        guide: a bound guide, or the name of an automatic one ("mean_field", "full_rank", "low_rank", "delta",
            "structured", "flow", "mixture", "laplace", "pathfinder"), see `ppl.guides`.
        init: "pathfinder": a guide "full_rank" or "low_rank" starts at Pathfinder's normal (and "full_rank" not at a Laplace
            approximation).
        objective: a program decorated with `@ppl.objective`, called with model and guide, then `arguments`. It is
            maximised; `ppl.minimize(objective)` turns it round. None: the ELBO. A dictionary gives groups of
            params objectives of their own: "guide" and "model" are the params of these programs, any other name
            those that begin with it and a dot (a module's), `{"model": wake, "guide": sleep}`.
        arguments: further arguments of the objective by name, `{"K": 10}`.
        optimizer: "adam", "adamw", "sgd", `ppl.NaturalGradient(…)`, or a function of a list of tensors that returns
            a torch optimiser.
        learning_rate: about how far a coordinate moves in a step of Adam. None: 0.02, and 0.002 where the guide is a
            flow, whose networks multiply what moves.
        steps: of the optimiser; with `stop`, at most.
        particles: estimates averaged in each step.
        schedule: how the learning rate falls over the steps: "constant", "cosine" (to 0) or "exponential" (to
            a hundredth).
        average: the share of the last steps whose iterates are averaged (Polyak & Juditsky 1992); 0: the last
            iterate is taken.
        clip: the largest norm of a gradient; None: not clipped.
        stop: `ppl.Convergence()` ends the run where it has converged. The learning rate and the averaging are then
            the rule's, in place of `schedule` and `average`.
        gradients: strategies of random choices by name, in place of those they ask for, as `ppl.tune_gradients`
            finds them.
        total_size: for batches of a loader, `ppl.infer(model, loader, ppl.VI(total_size=N))`: the number of elements
            of all the data; `{"plate": N}` where several plates have the batch's size. A step takes a batch, a
            dictionary {argument or observed site: tensor}; model and guide take those of its tensors that are
            arguments, the model's sites are observed at the others. What stands in the plate of the batch is
            weighed by total_size / (elements of the batch).
        batch_names: names for the parts of batches that are tuples.

    Raises:
        MethodError: an option is unknown or out of range.

    Source: Kucukelbir et al., "Automatic differentiation variational inference" (2017); Agrawal, Sheldon &
    Domke, "Advances in black-box VI: normalizing flows, importance weighting, and optimization" (2020), for
    averaging.

    >>> VI(steps=500).guide
    'mean_field'
    """

    guide: Bound | Program | str = "mean_field"
    objective: Program | Mapping[str, Program] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    optimizer: str | NaturalGradient | Callable[[list[Any]], Any] = "adam"
    learning_rate: float | None = None
    steps: int = 10_000
    particles: int = 1
    schedule: str = "cosine"
    average: float = 0.1
    clip: float | None = None
    stop: Convergence | None = None
    init: str | None = None
    gradients: Mapping[str, Any] = field(default_factory=dict)
    total_size: int | Mapping[str, int] | None = None
    batch_names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise _unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.schedule not in SCHEDULES:
            raise _unknown("schedule", self.schedule, SCHEDULES)
        rate = self.learning_rate
        good = rate is None or (is_real(rate) and rate > 0)
        require("VI", "learning_rate", self.learning_rate, good, "a positive number", "0.02")
        for name, value, edit in (("steps", self.steps, "10_000"), ("particles", self.particles, "1")):
            require("VI", name, value, is_whole(value) and value >= 1, "an int ≥ 1", edit)
        good = self.stop is None or isinstance(self.stop, Convergence)
        require("VI", "stop", self.stop, good, "ppl.Convergence(…), or None", "ppl.Convergence()")
        good = is_real(self.average) and 0 <= self.average < 1
        require("VI", "average", self.average, good, "0 <= average < 1", "0.1")
        if self.clip is not None:
            require(
                "VI", "clip", self.clip, is_real(self.clip) and self.clip > 0, "a positive number", "10.0"
            )


def minimize(objective: Program) -> Program:
    """The objective with its sign turned, so that what is maximised is its smallest value.

    >>> import ppl
    >>> @ppl.objective
    ... def loss(p, q):
    ...     return ppl.log_density(q, ppl.simulate(q))
    >>> minimize(loss).name
    'loss'
    """

    @functools.wraps(objective.function)
    def turned(*args: Any, **kwargs: Any) -> Any:
        return -objective.function(*args, **kwargs)

    return Program(turned, "objective")


def _unknown(option: str, given: Any, known: tuple[str, ...]) -> MethodError:
    near = closest(given, known) or [known[0]]
    return MethodError(
        f"VI: there is no {option} {given!r}",
        where=user_mark(),
        expected=", ".join(f'"{k}"' for k in known),
        found=repr(given),
        edit=f'{option}="{near[0]}"',
    )
