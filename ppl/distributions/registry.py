"""What inference must know about a family and cannot read off a sample: strategies for gradients, cdf, dtype,
standard form.

A family is registered beside its class, so that adding one touches a single file. Classes nobody registered
(a user's own) are described from what they say of themselves: `support`, `has_rsample`,
`has_enumerate_support`, `cdf`, `icdf`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from torch import Tensor
from torch.distributions import Distribution

from .tails import has_cdf, has_icdf

__all__ = ["STRATEGIES", "Family", "families", "family_of", "register"]

STRATEGIES = ("reparam", "implicit", "rejection", "score", "enum", "mvd", "icdf")
"""Gradient strategies: pathwise; implicit and acceptance–rejection reparametrisation; score function;
summation over a finite support; measure-valued derivative; pathwise through the inverse cdf."""


@dataclass(frozen=True, slots=True)
class Family:
    """The facts about one family.

    Args:
        name: the public name of the class.
        cls: the class.
        event_dim: number of axes of one value (for a wrapper, of the instance asked about).
        discrete: whether values are discrete.
        finite: whether `enumerate_support` lists all values.
        strategies: gradient strategies the family admits, the best first (from `STRATEGIES`). "score" is
            absent where the support moves with a parameter.
        location_scale: names of the parameters of x = loc + scale · eps with eps of the same family at (0,
            1), or None.
        has_cdf, has_icdf: whether `tails.log_cdf` and `icdf` are known.
        value_dtype: "float" or "int64", what `sample()` returns.
        example: makes one small instance or a list of them, for tests and documentation.
        atoms: whether a continuous value has points of positive probability (censored, zero-inflated, Delta):
            such a site can be observed, but gradient-based samplers can't move it.
        proper: whether it is a probability distribution, so that it can be sampled and integrates to 1.
    """

    name: str
    cls: type
    event_dim: int
    discrete: bool
    finite: bool
    strategies: tuple[str, ...]
    location_scale: tuple[str, str] | None = None
    has_cdf: bool = False
    has_icdf: bool = False
    value_dtype: str = "float"
    example: Callable[[], Any] | None = None
    atoms: bool = False
    proper: bool = True

    def examples(self) -> list[Distribution]:
        """The example instances as a list."""
        made = self.example() if self.example is not None else []
        return list(made) if isinstance(made, Sequence) else [made]


_FAMILIES: dict[str, Family] = {}
_BY_CLASS: dict[type, Family] = {}
_OF_INSTANCE: dict[type, Callable[[Any, Family], Family]] = {}

C = TypeVar("C", bound=type)


def register(
    item: Any = None,
    *,
    strategies: Sequence[str] = (),
    example: Callable[[], Any] | None = None,
    instance: Callable[[Any, Family], Family] | None = None,
    also: Sequence[type] = (),
    **facts: Any,
) -> Any:
    """Enters a family: `register(Family(…))`, `register(cls, strategies=…, …)` or as a decorator
    `@register(…)`.

    Facts left out are derived from the class. `instance` refines the entry for one distribution (wrappers);
    `also` names further classes that share it (torch's class of the same name).

    Errors: ValueError for an unknown strategy or a name already taken by another class.

    >>> @register(strategies=("score",), discrete=False, event_dim=0)
    ... class Toy(Distribution): ...
    >>> family_of(Toy).name, family_of(Toy).strategies
    ('Toy', ('score',))
    >>> del _FAMILIES["Toy"]
    """
    if item is None:

        def decorate(cls: C) -> C:
            register(cls, strategies=strategies, example=example, instance=instance, also=also, **facts)
            return cls

        return decorate
    if isinstance(item, Family):
        family = item
    else:
        known = _describe(item, facts.get("name", item.__name__), facts)
        family = replace(known, strategies=tuple(strategies), example=example, **facts)
    unknown = set(family.strategies) - set(STRATEGIES)
    if unknown:
        raise ValueError(
            f"{family.name}: unknown strategies {sorted(unknown)}; known: {', '.join(STRATEGIES)}"
        )
    taken = _FAMILIES.get(family.name)
    if (
        taken is not None
        and taken.cls is not family.cls
        and taken.cls.__qualname__ != family.cls.__qualname__
    ):
        raise ValueError(
            f"two families named {family.name}: {taken.cls.__module__} and {family.cls.__module__}"
        )
    _FAMILIES[family.name] = family
    for cls in (family.cls, *also):
        _BY_CLASS[cls] = family
        if instance is not None:
            _OF_INSTANCE[cls] = instance
    return item


def families() -> tuple[Family, ...]:
    """Every registered family, by name.

    >>> any(f.name == "Normal" for f in families())
    True
    """
    return tuple(_FAMILIES[name] for name in sorted(_FAMILIES))


def family_of(d: Distribution | type) -> Family:
    """The facts about a distribution or a class; never looks at the values of tensors.

    An unregistered class is described from its own attributes. It does not inherit the entry of a registered
    base, whose density it may have changed.

    >>> from torch.distributions import Normal
    >>> family_of(Normal(0.0, 1.0)).location_scale
    ('loc', 'scale')
    """
    cls = d if isinstance(d, type) else type(d)
    family = _BY_CLASS.get(cls)
    if family is None:
        return _describe(d, cls.__name__, {})
    refine = _OF_INSTANCE.get(cls)
    return refine(d, family) if refine is not None and not isinstance(d, type) else family


def _describe(d: Any, name: str, facts: dict[str, Any]) -> Family:
    """A family from the class's (or better the instance's) own attributes."""
    cls = d if isinstance(d, type) else type(d)
    discrete = facts["discrete"] if "discrete" in facts else _support_fact(d, "is_discrete", False)
    if "event_dim" in facts:
        event_dim = facts["event_dim"]
    else:
        event_dim = _support_fact(d, "event_dim", 0) if isinstance(d, type) else len(d.event_shape)
    finite = getattr(d, "has_enumerate_support", False) is True
    strategies: tuple[str, ...] = ("enum",) if finite else ()
    if getattr(d, "has_rsample", False) is True:
        strategies += ("reparam",)
    if not _support_may_move(d):
        strategies += ("score",)
    return Family(
        name,
        cls,
        int(event_dim),
        bool(discrete),
        finite,
        strategies,
        has_cdf=has_cdf(d) and not event_dim,
        has_icdf=has_icdf(cls) and not event_dim,
        atoms=getattr(d, "atoms", False) is True,
    )


def _support_fact(d: Any, fact: str, default: Any) -> Any:
    try:
        return getattr(d.support, fact)
    except (NotImplementedError, AttributeError):
        return default


def _support_may_move(d: Any) -> bool:
    """Whether the support may depend on a parameter, where the score function is biased; of a class, when
    unsure, yes.
    """
    support = getattr(d, "support", None)
    if isinstance(d, type):
        return isinstance(support, property)
    support = getattr(support, "base_constraint", support)
    return any(isinstance(getattr(support, bound, None), Tensor) for bound in ("lower_bound", "upper_bound"))
