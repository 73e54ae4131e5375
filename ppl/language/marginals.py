"""Marginals and normalised posteriors: laws that programs define, to be drawn from and scored in objectives.

`marginal(b, keep)` integrates random choices of a program out; `normalize(b)` conditions a program on its data.
Both are values that stand where a bound program does: `simulate(m)`, `log_density(m, z)`. How they are read in an
objective is said in `integrals` (importance sampling) and `elimination` (exactly).

Sources: Lew, Ghavamizadeh, Rinard & Mansinghka, "Probabilistic programming with stochastic probabilities"
(2023); Becker et al., "Probabilistic programming with programmable variational inference" (2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ppl.errors import DataError, MethodError, StructureError, user_mark
from ppl.language.program import Bound, Program, as_bound
from ppl.language.traces import Selection, as_selection


@dataclass(frozen=True)
class Importance:
    """Importance sampling with `particles` draws from `proposal`; None: from the program itself."""

    proposal: Any = None
    particles: int = 1

    def __repr__(self) -> str:
        named = getattr(self.proposal, "name", None) or getattr(self.proposal, "__name__", "…")
        given = "" if self.proposal is None else f"{named}, "
        return f"importance({given}particles={self.particles})"


By = Importance | str | None


@dataclass(frozen=True, eq=False)
class Law:
    """What a marginal and a normalised program have in common.

    Attributes:
        bound: the program.
        by: how its integral is found; None: exactly.
        root: the program as it was given, where `bound` is the same with its params held fixed.
    """

    bound: Bound
    by: Importance | None = None
    root: Bound | None = None

    @property
    def program(self) -> Program:
        return self.bound.program

    @property
    def name(self) -> str:
        raise NotImplementedError

    def same(self, other: object) -> bool:
        """Whether the other is this very law, so that a trace of it knows what it was drawn with."""
        return type(other) is type(self) and _root(self) is _root(other)  # type: ignore[arg-type]

    def stop_gradient(self) -> Law:
        """The same law with its params as constants, where its density is exact."""
        if self.by is not None:
            raise MethodError(
                f"the density of {self.name} is an estimate, whose own gradient can't be left out",
                where=user_mark(2),
                expected="a marginal that is summed exactly, or an objective that doesn't hold the density fixed",
                found=f".stop_gradient() of a law by {self.by}",
                edit="log_density(q, z) in the objective, without stop_gradient()",
            )
        return replace(self, bound=self.bound.stop_gradient(), root=_root(self))

    def grad(self, everywhere: Any = None, /, **named: Any) -> Law:
        """The same law with these gradient strategies, as for a bound program."""
        return replace(self, bound=self.bound.grad(everywhere, **named), root=_root(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(Bound, name):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        raise StructureError(
            f"{self.name} has no .{name}(…)",
            where=user_mark(2),
            expected="handlers act on programs",
            found=f"{self.name}.{name}(…)",
            edit=f"ppl.{self.name.partition('(')[0]}({self.bound.name}(…).{name}(…), …)",
        )

    def __repr__(self) -> str:
        return f"<{self.name}>"


def _root(law: Law) -> Bound:
    return law.root or law.bound


def _names(law: Marginal) -> object:
    return law.keep.everything or frozenset(law.keep.names)


@dataclass(frozen=True, eq=False, repr=False)
class Marginal(Law):
    """The law of the kept choices of a program."""

    keep: Selection = field(default_factory=Selection)

    @property
    def name(self) -> str:
        return f"marginal({self.bound.name})"

    def same(self, other: object) -> bool:
        return super().same(other) and isinstance(other, Marginal) and _names(other) == _names(self)


@dataclass(frozen=True, eq=False, repr=False)
class Normalized(Law):
    """The law of a program's choices given its data."""

    @property
    def name(self) -> str:
        return f"normalize({self.bound.name})"

    def same(self, other: object) -> bool:
        # What is drawn depends on the proposal and on the number of particles.
        return super().same(other) and isinstance(other, Normalized) and other.by == self.by


def importance(proposal: Bound | Law | Callable[[Any], Any] | None = None, particles: int = 1) -> Importance:
    """Importance sampling, for `marginal` and `normalize`.

    Args:
        proposal: a bound program over the choices that are integrated out, or a function that is given the kept
            choices, `z["x"]`, and returns one; None: the program itself, its kept choices as given.
        particles: K, how many draws.

    >>> import ppl
    >>> ppl.importance(particles=8)
    importance(particles=8)
    """
    if not isinstance(particles, int) or isinstance(particles, bool) or particles < 1:
        raise MethodError(
            "importance sampling needs at least one particle",
            where=user_mark(2),
            expected="particles=1, 2, …",
            found=f"particles={particles!r}",
            edit="ppl.importance(proposal, particles=10)",
        )
    if isinstance(proposal, Program):
        proposal = as_bound(proposal, "a proposal with its arguments")  # refuses, and says how to bind it
    if proposal is not None and not isinstance(proposal, Bound | Law) and not callable(proposal):
        raise MethodError(
            "the proposal is not a program",
            where=user_mark(2),
            expected="a bound program, or a function from the kept choices to one",
            found=f"{type(proposal).__name__}: {proposal!r}"[:80],
            edit='ppl.importance(lambda z: r(z["x"]), particles=10)',
        )
    return Importance(proposal, particles)


def marginal(bound: Bound, keep: Iterable[str] | str, by: By = None) -> Marginal:
    """The law of some choices of a program, x, its other choices u integrated out: p(x) = ∫ p(x, u) du.

    In an objective, `simulate(m)` runs the program and shows the kept choices; `log_density(m, z)` is

    - by "enumerate", exactly: the sum over all values of the hidden choices, each summed out by itself where it
      can be, element by element in a plate (Obermeyer et al., "Tensor variable elimination", 2019);
    - by `importance(r, particles=K)`, the log of p̂ = (1/K) Σₖ p(x, uₖ) / r(uₖ; x), uₖ ~ r. p̂ is an unbiased estimate
      of the density where z comes from elsewhere. Where z was simulated from this very marginal, the u it was made
      with is one of the K, and 1/p̂ is an unbiased estimate of 1/p(x) (Sobolev & Vetrov, "Importance weighted
      hierarchical variational inference", 2019). So the log is a bound from below for a model and from above for
      a guide, and an ELBO of either stays a lower bound.

    Args:
        bound: a model or a guide.
        keep: the names of the choices to keep; a subprogram's name keeps all of its.
        by: None: "enumerate".

    Raises:
        DataError: a name in `keep` is not a choice of the program (when it is used).
        MethodError: a hidden choice can't be enumerated; a proposal draws other choices than the hidden ones.

    >>> import torch, ppl
    >>> from ppl.distributions import Categorical, Normal
    >>> @ppl.model
    ... def mixture(weights, means):
    ...     k = ppl.sample("k", Categorical(weights))
    ...     ppl.sample("x", Normal(means[k], 1.0))
    >>> m = ppl.marginal(mixture(torch.tensor([0.5, 0.5]), torch.tensor([-1.0, 1.0])), keep=["x"])
    >>> round(float(ppl.log_density(m, {"x": 0.0})), 4)
    -1.4189
    """
    names = [keep] if isinstance(keep, str) else list(keep) if isinstance(keep, Iterable) else [keep]
    if any(not isinstance(name, str) for name in names):
        raise DataError(
            "marginal keeps choices by their names",
            where=user_mark(2),
            expected='keep=["x"], names of random choices',
            found=f"keep={keep!r}"[:80],
            edit='keep=["x"]',
        )
    return Marginal(_program(bound, "marginal"), _by(by, "marginal"), None, as_selection(names))


def normalize(bound: Bound, by: By = None) -> Normalized:
    """The law of a program's choices z given its data y: p(z | y) = p(z, y) / p(y).

    - By "enumerate", exactly.
    - By `importance(r, particles=K)`, what sampling–importance–resampling with K particles draws: z is one of
      z₁ … z_K ~ r, chosen in proportion to wₖ = p(zₖ, y) / r(zₖ). Its log density is estimated by
      log p(z, y) − log (1/K) Σₖ wₖ, z's own weight among the K. Where z was simulated from this very law, the
      weights are those it was chosen by, and the reciprocal of the estimate is unbiased; elsewhere the estimate
      is. The law tends to p(z | y) as K grows. As a guide of the same program its ELBO is the importance-weighted
      one (Cremer, Morris & Duvenaud, "Reinterpreting importance-weighted autoencoders", 2017).

    Args:
        bound: a program with data (`.condition(y=…)`), or with factors.
        by: None: "enumerate". For an importance sampler the proposal is a bound program over all of its choices.

    >>> import ppl
    >>> from ppl.distributions import Bernoulli, Normal
    >>> @ppl.model
    ... def m():
    ...     ppl.sample("y", Normal(2.0 * ppl.sample("z", Bernoulli(0.5)), 1.0))
    >>> posterior = ppl.normalize(m().condition(y=1.0))
    >>> round(float(ppl.log_density(posterior, {"z": 1.0}).exp()), 4)
    0.5
    """
    return Normalized(_program(bound, "normalize"), _by(by, "normalize"))


def _program(bound: Any, word: str) -> Bound:
    if isinstance(bound, Law):
        raise StructureError(
            f"{word} of {bound.name}",
            where=user_mark(3),
            expected="a bound program",
            found=bound.name,
            edit="keep fewer choices in the inner one"
            if isinstance(bound, Marginal)
            else f"ppl.{word}({bound.bound.name}(…), …)",
        )
    return as_bound(bound)


def _by(by: By, word: str) -> Importance | None:
    if by is None or by == "enumerate":
        return None
    if isinstance(by, Importance):
        return by
    raise MethodError(
        f"{word} does not know by={by!r}",
        where=user_mark(3),
        expected='by="enumerate", or by=ppl.importance(proposal, particles=K)',
        found=repr(by)[:80],
        edit='by="enumerate"',
    )


__all__ = ["Importance", "Law", "Marginal", "Normalized", "importance", "marginal", "normalize"]
