"""`tune_gradients`: the gradient strategies of an objective, chosen by measuring variance and time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from ppl.compiler.estimators.plan import Decision
from ppl.compiler.estimators.steps import site_name
from ppl.compiler.estimators.strategy import REGISTRY, Strategy
from ppl.errors import MethodError, placed
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.gradients import require_objective
from ppl.language.program import Program

FEW = 16
"""Up to so many combinations all are tried."""

SWEEPS = 3
MARGIN = 0.9
"""What is there stays where nothing has less than this share of its variance × time: these are estimates too."""


@dataclass(frozen=True)
class Trial:
    """A strategy at a site, with the others as they were chosen.

    Attributes:
        variance: of one estimate of the gradient, summed over the params' unconstrained coordinates.
        seconds: of one estimate, on the torch engine, many at once.
        refused: why it was not tried.
    """

    site: str
    strategy: str
    variance: float = math.nan
    seconds: float = math.nan
    chosen: bool = False
    refused: str | None = None


@dataclass(frozen=True)
class TunedGradients(Mapping[str, Strategy]):
    """The strategies that were chosen, by site (sites that keep what they ask for are left out), for
    `ppl.VI(gradients=tuned)` or `guide.grad(tuned)`. It prints as a table of what was measured.
    """

    chosen: Mapping[str, Strategy]
    trials: tuple[Trial, ...]
    combinations: int

    def __getitem__(self, site: str) -> Strategy:
        return self.chosen[site]

    def __iter__(self) -> Iterator[str]:
        return iter(self.chosen)

    def __len__(self) -> int:
        return len(self.chosen)

    def __str__(self) -> str:
        rows = [("site", "strategy", "variance", "µs", "variance × µs", "")]
        for t in self.trials:
            micro = 1e6 * t.seconds
            numbers = (f"{t.variance:.3g}", f"{micro:.3g}", f"{t.variance * micro:.3g}")
            last = "chosen" if t.chosen else ""
            shown = ("", "", "", f"refused: {t.refused}") if t.refused else (*numbers, last)
            rows.append((t.site, t.strategy, *shown))
        widths = [max(len(r[i]) for r in rows) for i in range(5)]
        lines = ["  ".join((*(c.ljust(w) for c, w in zip(r, widths, strict=False)), r[5])) for r in rows]
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__


def tune_gradients(objective: Program) -> Callable[..., TunedGradients]:
    """Measures the gradient strategies that are sound at each random choice of an objective, and picks those with the
    smallest variance × time.

    Args:
        objective: a function decorated with `@ppl.objective`.

    Returns:
        A function of the objective's arguments, and of `draws=1000` (estimates that a variance is measured by),
        `seed=0`, `params={…}` (where: values of params, the others at their start), `biased=False` (whether biased
        strategies are tried: their bias is not measured), `time=True` (False: the variance alone counts). It tries
        all combinations where these are few, otherwise site after site until nothing gets better.

    >>> import ppl
    >>> from ppl.distributions import Normal
    >>> @ppl.guide
    ... def q():
    ...     ppl.sample("x", Normal(ppl.param("loc", 1.0), 1.0), grad="score")
    >>> @ppl.objective
    ... def second_moment(q):
    ...     return ppl.simulate(q)["x"] ** 2
    >>> tuned = ppl.tune_gradients(second_moment)(q(), time=False)
    >>> tuned["x"].name in ("reparam", "icdf", "mvd")
    True
    >>> _, gradients = ppl.value_and_grad(second_moment)(q().grad(tuned))
    """
    require_objective(objective)

    @placed
    def call(
        *args: Any,
        draws: int = 1000,
        seed: int = 0,
        params: Mapping[str, Any] | None = None,
        biased: bool = False,
        time: bool = True,
        **kwargs: Any,
    ) -> TunedGradients:
        if draws < 2:
            raise MethodError(
                "a variance needs several draws",
                expected="draws=2 or more",
                found=f"draws={draws}",
                edit="draws=1000",
            )
        compiled = CompiledObjective(objective(*args, **kwargs), free=True)
        at = compiled.coordinates.start(compiled.values(params))
        return _Search(compiled, at, draws, seed, biased, time).run()

    return call


Choices = tuple[Strategy, ...]


@dataclass
class _Search:
    compiled: CompiledObjective
    at: Mapping[str, Any]
    draws: int
    seed: int
    biased: bool
    time: bool
    measured: dict[Choices, tuple[float, float] | str] = field(default_factory=dict)

    def run(self) -> TunedGradients:
        made: dict[str, list[Decision]] = {}  # of each site: steps of a scan are several choices
        for n, d in self.compiled.estimator.decisions.items():
            if d.strategy is not None:
                made.setdefault(site_name(n), []).append(d)
        self.sites = list(made)
        options = [self._options(d) for d in made.values()]
        best: Choices = tuple(own[0] for own in options)
        if math.prod(map(len, options)) <= FEW:
            best = self._best(itertools.product(*options), best)
        else:
            best = self._greedy(options, best)
        trials = []
        for i, own in enumerate(options):
            for s in own:
                trials.append(self._trial(i, s, (*best[:i], s, *best[i + 1 :]), best))
        chosen = {n: s for n, s, own in zip(self.sites, best, options, strict=True) if s is not own[0]}
        kept = {n: made[n][0].facts.effect.site.grad for n in self.sites}
        auto = {n: s for n, s in zip(self.sites, best, strict=True) if kept[n] == "auto"}
        return TunedGradients(auto | chosen, tuple(trials), len(self.measured))

    def _options(self, decisions: Sequence[Decision]) -> list[Strategy]:
        """The strategy that the site has, and the others that are sound there."""
        found = [d.strategy for d in decisions if d.strategy is not None][:1]
        names = [n for n in REGISTRY if n != "implicit"]  # it is "reparam" by another name
        for other in (REGISTRY[n]() for n in names):
            known = any(type(other) is type(s) for s in found)
            refused = any(other.unsound(d.facts) is not None for d in decisions)
            if not known and (self.biased or not other.biased) and not refused:
                found.append(other)
        return found

    def _greedy(self, options: Sequence[Sequence[Strategy]], best: Choices) -> Choices:
        for _ in range(SWEEPS):
            before = best
            for i, own in enumerate(options):
                best = self._best([(*best[:i], s, *best[i + 1 :]) for s in own], best)
            if best == before:
                break
        return best

    def _best(self, among: Any, now: Choices) -> Choices:
        """The combination with the smallest product; `now` unless another is clearly better."""
        scores = {c: self._score(c) for c in among}
        found = min(scores, key=lambda c: scores[c])
        return found if scores[found][0] < MARGIN * self._score(now)[0] else now

    def _score(self, choices: Choices) -> tuple[float, float]:
        found = self._measure(choices)
        if isinstance(found, str):
            return math.inf, math.inf
        variance, seconds = found
        return (variance * seconds if self.time else variance), seconds

    def _measure(self, choices: Choices) -> tuple[float, float] | str:
        """Variance and time of an estimate, or why there is none."""
        if choices not in self.measured:
            self.measured[choices] = self._measured(choices)
        return self.measured[choices]

    def _measured(self, choices: Choices) -> tuple[float, float] | str:
        program = self.compiled.with_gradients(dict(zip(self.sites, choices, strict=True)))
        try:
            _, grads, _ = program.run(self.at, self.seed, self.draws)
        except MethodError as error:  # two strategies that don't go together
            return error.headline
        aims = [g for n, g in grads.items() if n not in program.estimator.fitted]
        variance = sum(float(g.var(0).sum()) for g in aims)
        times = []
        for _ in range(3):
            began = perf_counter()
            program.run(self.at, self.seed, self.draws)
            times.append(perf_counter() - began)
        return variance, min(times) / self.draws

    def _trial(self, i: int, strategy: Strategy, choices: Choices, best: Choices) -> Trial:
        found = self._measure(choices)
        default = REGISTRY.get(strategy.name)
        label = strategy.name if default is not None and strategy == default() else repr(strategy)
        if isinstance(found, str):
            return Trial(self.sites[i], label, refused=found)
        return Trial(self.sites[i], label, *found, chosen=choices == best)
