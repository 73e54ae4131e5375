"""What a gradient strategy is: how a random choice takes part in the gradient of an objective's expectation.

A strategy gives the choice's value as a node. If derivatives flow through that node (`pathwise`), that may be
all; otherwise it adds terms: pairs of a node y and a cotangent c, each contributing c · ∂y/∂params to the
gradient, c taken as a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from ppl.compiler import specs
from ppl.compiler.estimators.eliminate import VALUES
from ppl.compiler.estimators.flow import Jump
from ppl.compiler.estimators.noise import described
from ppl.compiler.estimators.pathwise import Pathwise, pathwise
from ppl.compiler.estimators.supports import family_with, stand_in
from ppl.compiler.graph import Node, Plate, Type, inline, substitute, topological
from ppl.compiler.ops import constant, full, make, plate_slice
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect, Site, effect
from ppl.distributions.registry import Family

Terms = list[tuple[Node, Operand]]
Tensors = tuple[Tensor, ...]

STAND_IN = "stand-in"
"""The role of inputs that stand for what is known when terms are made."""

LONG = "it stands in a scan that is too long to be written out"

_INNERMOST = 1 << 20
"""The depth of plates of values."""


@dataclass(frozen=True)
class Facts:
    """What is known of a random choice when its strategy is chosen.

    Attributes:
        effect: the site.
        jumps: where paths from it to the objective are not continuous.
        separate: each element of the plates it stands in meets the others' in sums only.
        in_loop: it stands in a scan that is too long to be written out.
        moving: for each of its parameters, whether a param is behind it.
        rough: why the objective can't be differentiated at values between its own (looked up when asked).
        detached: whether the objective holds something that depends on it fixed (looked up when asked).
    """

    effect: Effect
    jumps: Sequence[Jump]
    separate: bool
    in_loop: bool = False
    moving: tuple[bool, ...] = ()
    rough: Callable[[], str | None] = lambda: None
    detached: Callable[[], bool] = lambda: False

    @cached_property
    def family(self) -> Family:
        return family_at(self.effect)

    @cached_property
    def support_size(self) -> int | None:
        """The number of values of a finite choice of one number (or one event); None otherwise."""
        return support_size(self.effect)

    @property
    def entangled(self) -> str | None:
        """Why its value can't be changed while all others stay."""
        if not is_single(self.effect):
            return "it is a vector of choices; a plate makes each a choice of its own"
        if self.in_loop:
            return LONG
        if not self.separate:
            return (
                "elements of its plate meet in a function that is not a sum, so that all combinations count"
            )
        return None

    @property
    def jumping(self) -> str | None:
        """Where the objective is not a continuous function of it."""
        return f"the objective jumps: {self.jumps[0].what} is not continuous" if self.jumps else None

    @property
    def split(self) -> str | None:
        """Why a derivative that has one part along the draw and one as a score would lose the first."""
        return (
            "the objective detaches what depends on it, so that a part of its derivative is lost"
            if self.detached()
            else None
        )


def family_at(e: Effect) -> Family:
    """The facts about the family of a site's distribution."""
    return family_with(e.site.spec, e.params)


def support_size(e: Effect) -> int | None:
    values = support_values(e) if is_single(e) else None
    return None if values is None else int(values.shape[0])


def is_single(e: Effect) -> bool:
    """Whether the site is one choice, not a vector of choices."""
    return len(e.node.shape) == e.site.event_rank


def support_values(e: Effect) -> torch.Tensor | None:
    """All values of a finite site, `[number, *event]`; None where there is no list, or where it depends on numbers
    that are not constants of the program.
    """
    if not family_at(e).finite:
        return None
    lists = []
    for unknown in (1.0, 3.0):
        try:
            d = specs.put_together(e.site.spec, [stand_in(p, unknown) for p in e.params])
            lists.append(d.enumerate_support(expand=False))
        except Exception:  # such as counts that differ from element to element
            return None
    return lists[0] if torch.equal(*lists) else None


@dataclass(frozen=True, eq=False)
class Kept:
    """What a strategy keeps from step to step: its start, the value now, the value of the next step."""

    init: torch.Tensor
    now: Node
    then: Node


@dataclass
class Build:
    """The estimator that is being built.

    Attributes:
        batch: every draw is made once per element of it.
        particles: plates that the objective itself opens.
        weights: plates over the values of a choice, over which the objective is summed with these weights.
        states: what strategies keep from step to step, by name.
        fitted: params that strategies fit to an aim of their own, none of the objective's.
        tuned: those of them that lower the gradient's variance.
    """

    batch: Plate | None = None
    particles: frozenset[Plate] = frozenset()
    weights: dict[Plate, Node] = field(default_factory=dict)
    states: dict[str, Kept] = field(default_factory=dict)
    fitted: set[Node] = field(default_factory=set)
    tuned: set[Node] = field(default_factory=set)

    def context(self, e: Effect) -> tuple[Plate, ...]:
        own = set(e.node.plates) | ({self.batch} if self.batch is not None else set())
        return tuple(sorted(own))

    def drawn(self, e: Effect, **changes: Any) -> Node:
        """The site as a draw."""
        return e.replaced(mask=None, scale=None, reads=(), context=self.context(e), **changes)

    def values(self, e: Effect, values: torch.Tensor) -> tuple[Node, Plate]:
        """A list of values `[number, *event]` as a value over a plate of their own, inside all others."""
        plate = Plate(_INNERMOST + len(self.weights), VALUES + e.name, len(values))
        return plate_slice(constant(values), plate), plate

    def own(self, e: Effect, value: Node) -> Node:
        """A value that each element of the site's plates has for itself, though it is the same in all."""
        for outer in self.context(e):
            # What it depends on of another choice's values enters its weights.
            if outer not in self.weights and outer not in value.plates:
                value = plate_slice(make("expand", value, shape=(outer.size, *value.shape)), outer)
        return value

    def noise(self, e: Effect, name: str, spec: Any, params: Sequence[Node], type_: Type) -> Node:
        """A draw that belongs to the site: one in every element of its plates."""
        site = Site(f"{e.name}.{name}", spec)
        return effect("sample", site, list(params), type_, self.context(e), mark=e.node.mark)

    def sampled(self, e: Effect, form: Pathwise) -> Node:
        """The site as a function of noise of its own."""
        draws = [
            self.noise(
                e, f"{noise.name}{i or ''}", noise.spec, inline(noise.params, list(e.params)), noise.type
            )
            for i, noise in enumerate(form.noises)
        ]
        return inline(form.value, [*e.params, *draws])[0]

    def draw(
        self, e: Effect, name: str, family: Any, *params: float | Node, type_: Type | None = None
    ) -> Node:
        """Noise from `family` with these parameters, of the site's shape if not said otherwise."""
        type_ = type_ or e.node.type
        given = (p if isinstance(p, Node) else full(p, type_.shape, type_.dtype) for p in params)
        spec, nodes = described(family, *given)
        return self.noise(e, name, spec, nodes, type_)


def pathwise_of(e: Effect, inverse: bool = False) -> Pathwise:
    """The pathwise sampler of a site; `inverse`: by its inverse cdf. Errors: PathwiseError where its family has none."""
    return pathwise(e.site.spec, tuple(p.type for p in e.params), e.node.type, inverse)


class Strategy:
    """A gradient strategy. Subclasses declare `name`, say what they refuse, and give value and terms.

    `pathwise`: derivatives flow through the value. `rolled`: the value is all it is, so that a scan can stay a loop.
    """

    name: ClassVar[str]
    pathwise: ClassVar[bool] = False
    rolled: ClassVar[bool] = False
    relaxes: ClassVar[bool] = False  # what comes after it is differentiated at values between its own
    biased: ClassVar[bool] = False
    paper: ClassVar[str] = ""

    def apart(self, d: Distribution, later: Callable[[Sequence[int]], Tensor]) -> tuple[Strategy, Tensors]:
        """The strategy as a site keeps it, and the program's values that it reads: its terms find them in `e.reads`.

        Args:
            d: the site's distribution.
            later: makes a stand-in of this shape for a value that is known when the terms are made (`at`).
        """
        return self, ()

    def refusal(self, site: Facts) -> str | None:
        """Why it would be wrong at this site, in words that finish "… can't be used here: "; None if it is sound."""
        raise NotImplementedError

    def unsound(self, site: Facts) -> str | None:
        """`refusal`, and that of sites in long scans, where a strategy can only give a value or a score."""
        if site.in_loop and not self.can_stay:
            return LONG
        return self.refusal(site)

    def moves_smoothly(self, e: Effect) -> bool:
        """Whether the value is a differentiable function of the site's parameters and of noise that knows none."""
        return self.pathwise

    @property
    def stays(self) -> bool:
        """Whether scans with such choices stay loops."""
        return self.rolled and type(self).terms is Strategy.terms

    @property
    def can_stay(self) -> bool:
        """Whether scans with such choices can stay loops: a score alone can be weighted outside."""
        return self.stays or hasattr(self, "weighted")

    def value(self, e: Effect, build: Build) -> Node:
        """The choice's value."""
        return build.drawn(e)

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        """What it adds to the gradient of `root`."""
        return []

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted((k, repr(v)) for k, v in vars(self).items()))))

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({options})"


def at(read: Node, value: Node) -> Node:
    """What a strategy reads, with `value` in the place of its stand-in."""
    places = [n for n in topological([read]) if n.op == "input" and n.attr("role") == STAND_IN]
    return substitute([read], dict.fromkeys(places, value))[0]


def own_leaves(read: Node, root: Node) -> list[Node]:
    """The params behind what a strategy reads that the objective does not know: what it may learn."""
    known = set(topological([root]))
    return [
        n for n in topological([read]) if n.op == "input" and n.attr("role") == "param" and n not in known
    ]


REGISTRY: dict[str, Callable[[], Strategy]] = {}
"""Strategies by the name one writes in `grad=`."""


def strategy(cls: type[Strategy]) -> type[Strategy]:
    """Enter a strategy under its name: a class decorator."""
    if cls.name in REGISTRY:
        raise ValueError(f"there are two strategies named '{cls.name}'")
    REGISTRY[cls.name] = cls
    return cls
