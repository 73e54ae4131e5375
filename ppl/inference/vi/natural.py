"""`ppl.NaturalGradient`: an optimiser that moves exponential families along their natural gradient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler.graph import Node, Plate, topological
from ppl.compiler.ops.effects import Effect
from ppl.compiler.specs import Leaf
from ppl.distributions.bijectors import biject_to
from ppl.distributions.constraints import lower_cholesky
from ppl.errors import MethodError
from ppl.inference.options import is_real, named_options, require
from ppl.inference.vi import natural_steps as steps
from ppl.inference.vi.coordinates import Coordinate, Coordinates
from ppl.language.program import Bound
from ppl.language.record import record

OTHERS = ("adam", "adamw", "sgd")


@named_options
@dataclass(frozen=True)
class NaturalGradient:
    """`ppl.VI(optimizer=ppl.NaturalGradient())`: the guide's params move along F⁻¹ ∇, F their Fisher information.

    For a site of an exponential family with natural parameters η and mean parameters μ that is η ← η + ρ ∂L/∂μ: of a
    conjugate model the exact posterior is reached in one step with ρ = 1 and no noise, and any other step is the
    same in whatever params the family is written. It costs a few operations for each number, and for normals of full
    rank a Cholesky decomposition.

    For the guides `"mean_field"` and `"full_rank"` (which then doesn't begin at a Laplace approximation), and for
    guides of one's own whose sites have params as arguments: Normal, LogNormal or Pushforward of it, MultivariateNormal
    (`scale_tril=`), Gamma, Beta, Bernoulli, Categorical and OneHotCategorical (`logits=`). A plate may index them, and
    nothing else may use them. It runs with torch.

    Args:
        step_size: ρ, in (0, 1]; the schedule of `ppl.VI` multiplies it. Noise asks for smaller steps, or for more
            `particles`.
        others: the optimiser of params that are not the guide's, with the `learning_rate` of `ppl.VI`.

    Source: Amari, "Natural gradient works efficiently in learning" (1998); Khan & Lin, "Conjugate-computation
    variational inference" (2017).

    >>> NaturalGradient(step_size=0.5).others
    'adam'
    """

    step_size: float = 0.1
    others: str = "adam"

    def __post_init__(self) -> None:
        good = is_real(self.step_size) and 0 < self.step_size <= 1
        require("NaturalGradient", "step_size", self.step_size, good, "0 < step_size <= 1", "0.1")
        known = ", ".join(f'"{name}"' for name in OTHERS)
        require("NaturalGradient", "others", self.others, self.others in OTHERS, known, '"adam"')


@dataclass(frozen=True)
class Block:
    """Params that move together: those of one site, in the order of its family's step."""

    params: tuple[str, ...]
    step: steps.Step


class NaturalOptimizer:
    """As torch's optimisers: `param_groups`, `state`, `step()`.

    Args:
        blocks, places: what moves, and as which params.
        tensors: coordinates of all params, in their order.
        rule: the step size.
        rest: torch's optimiser of the others, made here.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        places: Coordinates,
        tensors: Sequence[torch.Tensor],
        rule: NaturalGradient,
        rest: Callable[[list[torch.Tensor]], torch.optim.Optimizer],
    ) -> None:
        self.blocks, self.places = blocks, {c.name: c for c in places.parts}
        self.tensors = dict(zip(self.places, tensors, strict=True))
        own = {name for block in blocks for name in block.params}
        others = [t for name, t in self.tensors.items() if name not in own]
        self.rest = rest(others) if others else None
        self.param_groups: list[dict[str, Any]] = [{"lr": rule.step_size}]
        self.param_groups += self.rest.param_groups if self.rest is not None else []
        self.state: Any = {} if self.rest is None else self.rest.state

    def step(self) -> None:
        rate = self.param_groups[0]["lr"]
        for block in self.blocks if rate > 0 else ():
            parts = [(self.places[name], self.tensors[name]) for name in block.params]
            values = [c.value(u.data) for c, u in parts]
            slopes = [-_in_value(c, u) for c, u in parts]
            for (c, u), value in zip(parts, block.step(values, slopes, rate), strict=True):
                u.data.copy_(c.coordinates(value))
        if self.rest is not None:
            self.rest.step()


def _in_value(c: Coordinate, u: torch.Tensor) -> torch.Tensor:
    """The gradient in a param's value, from that in its coordinates, each of which moves one number."""
    assert u.grad is not None
    if c.param.constraint is None:
        return u.grad
    at = u.detach().requires_grad_()
    with torch.enable_grad():
        value = c.value(at)
        (slope,) = torch.autograd.grad(value.sum(), at)
    found = u.grad / slope
    if c.param.constraint is not lower_cholesky:
        return found
    row, column = torch.tril_indices(value.shape[-1], value.shape[-1])
    whole = torch.zeros_like(value)
    whole[..., row, column] = found
    return whole


# ---------------------------------------------------------------- which params are whose

_FAMILIES: Mapping[str, Sequence[tuple[tuple[str, ...], steps.Step]]] = {
    "Normal": [(("loc", "scale"), steps.normal)],
    "MultivariateNormal": [(("loc", "scale_tril"), steps.multivariate_normal)],
    "Gamma": [(("concentration", "rate"), steps.gamma)],
    "Beta": [(("concentration1", "concentration0"), steps.beta)],
    "Bernoulli": [(("logits",), steps.bernoulli_logits), (("probs",), steps.bernoulli_probs)],
    "Categorical": [(("logits",), steps.categorical_logits)],
}
_AROUND = {"LogNormal": "base_dist", "Pushforward": "base_dist", "Independent": "base_dist"}
_AROUND |= {"OneHotCategorical": "_categorical"}
"""Families that are another one, in their field of this name, in other words."""


def blocks_of(guide: Any, dtype: torch.dtype) -> list[Block]:
    """The blocks of all params of a guide.

    Raises:
        MethodError: a param is not an argument of such a family, or is used elsewhere too.
    """
    if not isinstance(guide, Bound):
        raise _refusal("the guide", "a marginal: no site has its params as arguments")
    recorded = record(guide, dtype, whole=True)
    draws = [n for n in recorded.graph.effects if n.op == "sample"]
    effects = [Effect.of(n) for n in recorded.graph.effects if n.op != "deterministic"]
    users = Counter(name for e in effects for name in _params_of(e, draws))
    blocks: list[Block] = []
    for effect in effects:
        used = _params_of(effect, draws)
        if not used:
            continue
        block = _block(effect) if effect.node.op == "sample" else None
        if block is None or set(block.params) != used:
            what = f"arguments that are not just params ({', '.join(sorted(used))}), or another family"
            raise _refusal(f"site '{effect.name}'", what, effect)
        for name in block.params:
            constraint = recorded.params[name].constraint
            if users[name] > 1:
                raise _refusal(
                    f"site '{effect.name}'", f"param '{name}', which another site uses too", effect
                )
            if constraint not in (None, lower_cholesky) and biject_to(constraint).domain.event_dim:
                raise _refusal(f"site '{effect.name}'", f"param '{name}' in {constraint}", effect)
        blocks.append(block)
    return blocks


def _params_of(effect: Effect, draws: Sequence[Node]) -> set[str]:
    """The params that an effect's arguments depend on, but through draws."""
    found = topological(effect.params, stop=draws)
    return {n.attr("name") for n in found if n.op == "input" and n.attr("role") == "param"}


def _block(effect: Effect) -> Block | None:
    """The block of a site whose family's arguments are params, element by element."""
    spec = effect.site.spec
    while spec.cls.__name__ in _AROUND:
        spec = dict(spec.fields)[_AROUND[spec.cls.__name__]]
    family = spec.cls.__name__
    nodes = {name: effect.params[leaf.index] for name, leaf in spec.fields if isinstance(leaf, Leaf)}
    if family == "Beta" and len(effect.params) == 1 and effect.params[0].op == "cat":
        nodes = dict(zip(("concentration1", "concentration0"), effect.params[0].nodes, strict=True))
    for arguments, step in _FAMILIES.get(family, ()):
        given = [_param(nodes[name]) for name in arguments if name in nodes]
        found = [each for each in given if each is not None]
        if len(found) < len(arguments):
            continue
        plates = {axes for _, axes in found}
        if len(plates) == 1 and set(plates.pop()) == set(effect.node.plates):
            return Block(tuple(name for name, _ in found), step)
    return None


def _param(node: Node) -> tuple[str, tuple[Plate, ...]] | None:
    """The param that a node is, and the plates that index it."""
    plates: list[Plate] = []
    while node.op != "input":
        first = node.nodes[0] if node.nodes else None
        if node.op == "plate_slice":
            plates.append(node.attr("plate"))
        elif node.op == "sub":  # Categorical's own normalisation
            other = node.nodes[-1]
            if other.op != "logsumexp" or other.nodes[0] is not first:
                return None
        elif node.op != "reshape":
            return None
        assert first is not None
        node = first
    return (node.attr("name"), tuple(plates)) if node.attr("role") == "param" else None


def _refusal(where: str, found: str, effect: Effect | None = None) -> MethodError:
    return MethodError(
        f"there is no natural gradient for {where}",
        site=effect.name if effect is not None else None,
        where=effect.node.mark if effect is not None else None,
        expected="params as arguments, of its shape, of Normal, LogNormal, MultivariateNormal (scale_tril=), Gamma, "
        "Beta, Bernoulli, Categorical (logits=)",
        found=found,
        edit='optimizer="adam"',
    )


@dataclass(frozen=True)
class Natural:
    """A `NaturalGradient` for one guide: what makes the optimiser of tensors.

    Args:
        rule: the options.
        blocks, places: of the guide, and of all params.
        rest: torch's optimiser of params that are in no block.
    """

    rule: NaturalGradient
    blocks: Sequence[Block]
    places: Coordinates
    rest: Callable[[list[torch.Tensor]], torch.optim.Optimizer]
    reason = "natural gradients are torch's"

    def __call__(self, tensors: Sequence[torch.Tensor]) -> NaturalOptimizer:
        return NaturalOptimizer(self.blocks, self.places, tensors, self.rule, self.rest)
