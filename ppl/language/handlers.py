"""Handlers change what a statement means. Each turns the message of a statement into another; both runtimes
use them.

A handler belongs to a bound program and sees only names inside it, relative to it. The innermost handler
acts first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ppl.errors import DataError, Mark, listed

if TYPE_CHECKING:
    from ppl.language.runtime import Runtime


@dataclass
class Message:
    """One statement on its way through the handlers.

    `kind` is "sample" or "factor". `value` is None for a random choice; with a value the site is
    observed, or fixed when
    `fixed` (do). `partial` marks a value with missing (nan) elements. `mask` and `scale` accumulate.
    `name` is the full address.
    `derived` marks the base of a reparametrised site, on which masks and scales for all sites have
    acted already.
    """

    kind: str
    name: str
    distribution: Any = None
    value: Any = None
    observed: bool = False
    fixed: bool = False
    hidden: bool = False
    derived: bool = False
    mask: Any = None
    scale: Any = None
    dims: tuple[str, ...] = ()
    grad: Any = "auto"
    mark: Mark | None = None
    log_weight: Any = None
    options: dict[str, Any] = field(default_factory=dict)


class Handler:
    """One change of meaning. `name` is the site's address relative to the program that the handler
    belongs to.
    """

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Condition(Handler):
    values: Mapping[str, Any]

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        if name not in self.values:
            return
        runtime.used.add((id(self), name))
        _choice(message, "data are given for", name)
        _visible(message, name, self)
        if message.fixed:
            raise DataError(
                "data are given for a site that do() has fixed",
                site=message.name,
                where=message.mark,
                expected="a site either observed or intervened on",
                found="both condition and do",
                edit=f"remove {name}=… from the data, or from .do(…)",
            )
        if message.observed:
            raise DataError(
                "the site is observed already",
                site=message.name,
                where=message.mark,
                expected="one value for a site",
                found="two: the program observes it, or two condition(…) name it",
                edit=f"remove {name}=… from the data",
            )
        message.value = runtime.element(self.values[name], message)
        message.observed = True

    def __repr__(self) -> str:
        return f"condition({', '.join(self.values)})"


@dataclass(frozen=True, eq=False)
class Do(Handler):
    values: Mapping[str, Any]

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        if name not in self.values:
            return
        runtime.used.add((id(self), name))
        _choice(message, "do() names", name)
        _visible(message, name, self)
        if message.observed:
            raise DataError(
                "do() names a site that is observed",
                site=message.name,
                where=message.mark,
                expected="a site either observed or intervened on",
                found="both condition and do",
                edit=f"remove {name}=… from the data, or from .do(…)",
            )
        message.value = runtime.element(self.values[name], message)
        message.fixed = True

    def __repr__(self) -> str:
        return f"do({', '.join(self.values)})"


@dataclass(frozen=True, eq=False)
class Mask(Handler):
    everywhere: Any = None
    named: Mapping[str, Any] = field(default_factory=dict)

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        for key, value in ((name, self.named.get(name)), (None, self.everywhere)):
            if value is None or (key is None and message.derived):
                continue
            if key is not None:
                runtime.used.add((id(self), name))
            mask = runtime.element(value, message, role="mask")
            message.mask = mask if message.mask is None else message.mask & mask

    def __repr__(self) -> str:
        return f"mask({', '.join(self.named) or '…'})"


@dataclass(frozen=True, eq=False)
class Scale(Handler):
    everywhere: Any = None
    named: Mapping[str, Any] = field(default_factory=dict)

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        for key, value in ((name, self.named.get(name)), (None, self.everywhere)):
            if value is None or (key is None and message.derived):
                continue
            if key is not None:
                runtime.used.add((id(self), name))
            factor = (
                _number(value, message)
                if isinstance(value, int | float)
                else runtime.element(value, message, role="scale")
            )
            message.scale = factor if message.scale is None else message.scale * factor

    def __repr__(self) -> str:
        return f"scale({', '.join(self.named) or self.everywhere})"


@dataclass(frozen=True, eq=False)
class Reparam(Handler):
    """`strategies` maps names to objects with `apply(message, runtime) -> (base message, value
    function)`; empty: automatic.
    """

    strategies: Mapping[str, Any] = field(default_factory=dict)

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        if (
            message.kind != "sample"
            or message.value is not None
            or message.options.get("reparam") is not None
        ):
            return
        strategy = self.strategies.get(name)
        if strategy is not None:
            runtime.used.add((id(self), name))
            message.options["reparam"] = strategy
        elif not self.strategies and runtime.non_centre_automatically(message):
            from ppl.language.reparam import NonCentered

            message.options["reparam"] = NonCentered()

    def __repr__(self) -> str:
        return f"reparam({', '.join(self.strategies)})"


@dataclass(frozen=True, eq=False)
class Block(Handler):
    names: tuple[str, ...]

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        if not self.names or name in self.names:
            runtime.used.add((id(self), name))
            message.hidden = True

    def __repr__(self) -> str:
        return f"block({', '.join(self.names)})"


@dataclass(frozen=True, eq=False)
class ScaleChoices(Handler):
    """Weights the densities of random choices, and not those of data and factors."""

    factor: Any

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        if message.kind == "sample" and message.value is None:
            Scale(self.factor).process(message, name, runtime)

    def __repr__(self) -> str:
        return f"scale_choices({self.factor})"


@dataclass(frozen=True, eq=False)
class StopGradient(Handler):
    """Params are constants: `Runtime.stopped` asks for it where a program asks for a param."""

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        pass

    def __repr__(self) -> str:
        return "stop_gradient()"


@dataclass(frozen=True, eq=False)
class Grad(Handler):
    """Gradient strategies of random choices, in place of those the program asks for."""

    everywhere: Any = None
    named: Mapping[str, Any] = field(default_factory=dict)

    def process(self, message: Message, name: str, runtime: Runtime) -> None:
        if message.kind != "sample":
            return
        if name in self.named:
            runtime.used.add((id(self), name))
        message.grad = self.named.get(name, message.grad if self.everywhere is None else self.everywhere)

    def __repr__(self) -> str:
        return f"grad({', '.join(self.named) or repr(self.everywhere)})"


def _visible(message: Message, name: str, handler: Handler) -> None:
    if message.hidden:
        raise DataError(
            "a value is given for a site that block() hides",
            site=message.name,
            where=message.mark,
            expected="values for visible sites",
            found=naming(handler, name),
            edit=f"remove {name}=…, or give it before .block(…)",
        )


def _number(value: float, message: Message) -> float:
    if not 0 <= value < float("inf"):
        raise DataError(
            f"the scale for '{message.name}' is not a weight",
            site=message.name,
            where=message.mark,
            expected="a finite number ≥ 0",
            found=f"{value}",
            edit="scale(1.0) leaves the density as it is, scale(0.0) leaves it out",
        )
    return value


def _choice(message: Message, verb: str, name: str) -> None:
    if message.kind != "sample":
        raise DataError(
            f"{verb} '{name}', which is a {message.kind}",
            site=message.name,
            where=message.mark,
            expected="a site made by ppl.sample",
            found=f"ppl.{message.kind}",
            edit=f"remove {name}=…",
        )


def requested(handler: Handler) -> list[str]:
    """The site names a handler speaks of, so that one that matches nothing can be reported."""
    if isinstance(handler, Condition | Do):
        return list(handler.values)
    if isinstance(handler, Mask | Scale | Grad):
        return list(handler.named)
    if isinstance(handler, Reparam):
        return list(handler.strategies)
    return list(handler.names) if isinstance(handler, Block) else []


def naming(handler: Handler, name: str) -> str:
    """A handler that names a site, for an error about it: `condition(y, …)`."""
    return f"{type(handler).__name__.lower()}({listed(requested(handler), name)})"
