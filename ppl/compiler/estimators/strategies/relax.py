"""RELAX: the score function of a coin or a category with a learned control variate.

With b = H(z) the choice as a function of relaxed noise z, and z̃ drawn again given b (as in REBAR),

    ∇E[f(b)] = E[(f(b) − c(z̃)) ∇log p(b) + ∇c(z) − ∇c(z̃)],   c(z) = η f(σ(z / λ)) + r(z)

unbiased for every c. r is any function of the noise, η and λ are numbers; their params lower the variance of the
gradient ĝ, which is E[ĝ²] less a constant: they get the gradient of −ĝ². With η = 0 f need not be known between the
values, and may jump.

Source: Grathwohl, Choi, Wu, Roeder & Duvenaud, "Backpropagation through the void: optimizing control variates for
black-box gradient estimation" (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from ppl.compiler import specs
from ppl.compiler.estimators.credit import credit
from ppl.compiler.estimators.strategies.rebar import control_variate, given_choice
from ppl.compiler.estimators.strategies.relaxation import ONE_HOT, hardened, scores
from ppl.compiler.estimators.strategy import Build, Facts, Strategy, Tensors, Terms, at, own_leaves
from ppl.compiler.graph import Node
from ppl.compiler.ops.core import Operand
from ppl.compiler.ops.effects import Effect
from ppl.compiler.ops.pointwise import sub
from ppl.errors import MethodError


class Relax(Strategy):
    """RELAX for coins and categories.

    Args:
        control: r, a function of the relaxed noise (a number for a coin, one for each category else) that returns a
            number, such as `ppl.module("control", net)`; None: 0.
        temperature: λ, of the relaxation, above 0; a number, or a param.
        eta: η, the weight of the objective at relaxed values; a number, or a param. 0 leaves it out.

    >>> import ppl
    >>> ppl.Relax(eta=0.0, control=abs)
    Relax(control=<built-in function abs>, temperature=0.5, eta=0.0)
    """

    name = "relax"

    def __init__(
        self,
        control: Callable[[Tensor], Tensor] | None = None,
        temperature: float | Tensor = 0.5,
        eta: float | Tensor = 1.0,
    ) -> None:
        if not isinstance(temperature, Tensor) and not temperature > 0:
            raise MethodError(
                "the temperature of a relaxation is positive",
                expected="a number above 0, or a param; 0.5 is usual",
                found=repr(temperature),
                edit='temperature=ppl.param("temperature", 0.5, constraint="positive")',
            )
        if control is None and not isinstance(eta, Tensor) and eta == 0:
            raise MethodError(
                "RELAX without a control variate is the score function",
                expected="a function of the noise, or eta other than 0",
                found="control=None, eta=0",
                edit='grad="score", or ppl.Relax(control=ppl.module("control", net))',
            )
        self.control, self.temperature, self.eta = control, temperature, eta

    def apart(self, d: Distribution, later: Callable[[Sequence[int]], Tensor]) -> tuple[Strategy, Tensors]:
        kept = Relax()
        reads: list[Tensor] = []
        for name, given in (("temperature", self.temperature), ("eta", self.eta)):
            setattr(kept, name, _READ if isinstance(given, Tensor) else float(given))
            reads += [given] if isinstance(given, Tensor) else []
        logits: Any = getattr(d, "logits", None)
        if self.control is not None and logits is not None:
            value = self.control(later(logits.shape))
            one = torch.as_tensor(value)
            if one.shape != ():
                raise MethodError(
                    "the control variate is not one number",
                    expected="a function of the relaxed noise that returns a tensor without axes",
                    found=f"shape {list(one.shape)}",
                    edit="control=lambda z: net(z).sum()",
                )
            kept.control = _READ
            reads.append(one)
        return kept, tuple(reads)

    @property
    def relaxes(self) -> bool:  # type: ignore[override]
        return isinstance(self.eta, str | Tensor) or self.eta != 0

    def refusal(self, site: Facts) -> str | None:
        name = site.family.name
        if name not in ("Bernoulli", "Categorical", *ONE_HOT):
            return f"{name} has no relaxation"
        if not self.relaxes:
            return None
        if name == "Categorical":
            return "between whole numbers there is nothing; with eta=0 and a control= nothing is asked there"
        return site.jumping or site.split or site.rough()

    def value(self, e: Effect, build: Build) -> Node:
        return hardened(e, scores(e, build))

    def terms(self, e: Effect, value: Node, root: Node, build: Build) -> Terms:
        reward = credit(root, {value: frozenset(value.plates)})
        if not isinstance(reward, Node):
            return []
        self._note_own(e.reads, root, build)
        reads = iter(e.reads)
        temperature, eta = (_given(x, reads) for x in (self.temperature, self.eta))
        free, bound = scores(e, build), given_choice(e, value, build)
        centred: Operand = reward
        terms: Terms = []
        if self.relaxes:
            at_bound, moved = control_variate(e, value, root, (free, bound), temperature, eta)
            centred = sub(centred, at_bound)
            terms += moved
        if self.control is not None:
            control = next(reads)
            at_free, at_bound = at(control, free), at(control, bound)
            centred = sub(centred, at_bound)
            terms += [(at_free, 1.0), (at_bound, -1.0)]
        return [(specs.log_density(e.site.spec, e.params, value), centred), *terms]

    def _note_own(self, reads: Sequence[Node], root: Node, build: Build) -> None:
        for read in reads:
            build.tuned.update(own_leaves(read, root))
        build.fitted |= build.tuned


_READ: Any = "…"
"""In place of what the program computes."""


def _given(option: Any, reads: Iterator[Node]) -> Operand:
    """A number, or what the program computes for it."""
    return next(reads) if option is _READ else float(option)
