"""Programs and bound programs: what the decorators give and what calling them gives. Nothing runs here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ppl.errors import DataError, StructureError, closest, user_mark
from ppl.language.handlers import (
    Block,
    Condition,
    Do,
    Grad,
    Handler,
    Mask,
    Reparam,
    Scale,
    ScaleChoices,
    StopGradient,
)


@dataclass(frozen=True, eq=False)
class Program:
    """A recorded-on-demand function. Calling it with arguments gives a `Bound` program.

    `kind` is "model", "guide" or "objective". `dynamic` programs are never recorded: they run on the
    interpreter.
    """

    function: Callable[..., Any]
    kind: str = "model"
    dynamic: bool = False

    def __post_init__(self) -> None:
        for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
            object.__setattr__(self, attribute, getattr(self.function, attribute, None))

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "program")

    @property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> Bound:
        try:
            arguments = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            unknown = [k for k in kwargs if k not in self.signature.parameters]
            near = closest(unknown[0], self.signature.parameters) if unknown else []
            raise DataError(
                f"the arguments don't fit {self.name}: {error}",
                where=user_mark(2),
                expected=f"{self.name}{self.signature}",
                found=f"{self.name}({', '.join([*('…' for _ in args), *(f'{k}=…' for k in kwargs)])})",
                edit=f"{near[0]}=…" if near else f"{self.name}({', '.join(self.signature.parameters)})",
            ) from None
        arguments.apply_defaults()
        return Bound(self, dict(arguments.arguments))

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}{self.signature}>"


@dataclass(frozen=True, eq=False)
class Bound:
    """A program with its arguments, and handlers that change the meaning of its sites. Every method
    returns a new one.
    """

    program: Program
    arguments: dict[str, Any] = field(default_factory=dict)
    handlers: tuple[Handler, ...] = ()

    @property
    def name(self) -> str:
        return self.program.name

    def call(self) -> Any:
        """Run the user's function on the arguments (under whatever runtime is active)."""
        positional, keywords = [], {}
        for name, parameter in self.program.signature.parameters.items():
            if name not in self.arguments:
                continue
            value = self.arguments[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional.extend(value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                keywords.update(value)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                keywords[name] = value
            else:
                positional.append(value)
        return self.program.function(*positional, **keywords)

    def _with(self, handler: Handler) -> Bound:
        return replace(self, handlers=(*self.handlers, handler))

    def condition(self, values: Mapping[str, Any] | None = None, **named: Any) -> Bound:
        """Observe sites: `b.condition(y=y)`, or a mapping for names that are not identifiers
        (`{"sub/y": y}`).

        A value has the site's full shape: plates first (outermost first), then scans' time, then
        the site's own axes. `nan`
        elements stay latent.
        """
        return self._with(Condition({**(values or {}), **named}))

    def do(self, values: Mapping[str, Any] | None = None, **named: Any) -> Bound:
        """Intervene: the sites take these values and no longer depend on anything (Pearl's do-operator)."""
        return self._with(Do({**(values or {}), **named}))

    def mask(self, mask: Any = None, /, **named: Any) -> Bound:
        """Leave elements out of the density where the mask is false; `b.mask(m)` for every site,
        `b.mask(y=m)` for one.
        """
        return self._with(Mask(mask, named))

    def scale(self, factor: Any = None, /, **named: Any) -> Bound:
        """Multiply log densities by a factor: `b.scale(0.5)` everywhere, `b.scale(y=10.0)` at one site."""
        return self._with(Scale(factor, named))

    def reparam(self, strategies: Mapping[str, Any] | None = None, **named: Any) -> Bound:
        """Change the coordinates of sites: `b.reparam(theta=ppl.NonCentered())`. Without arguments
        every location–scale site
        whose location or scale is random is non-centred."""
        for name, strategy in {**(strategies or {}), **named}.items():
            if not hasattr(strategy, "apply"):
                raise StructureError(
                    f"the strategy for '{name}' is not a reparametrisation",
                    where=user_mark(2),
                    expected="an object such as ppl.NonCentered()",
                    found=repr(strategy)[:80],
                    edit=f".reparam({name}=ppl.NonCentered())",
                )
        return self._with(Reparam({**(strategies or {}), **named}))

    def block(self, *names: str) -> Bound:
        """Hide sites from the outside: they are drawn afresh, never traced, conditioned or scored."""
        return self._with(Block(names))

    def scale_choices(self, factor: Any) -> Bound:
        """Multiply the log densities of random choices by a factor; data and factors keep theirs."""
        return self._with(ScaleChoices(factor))

    def grad(self, everywhere: Any = None, /, **named: Any) -> Bound:
        """Gradient strategies in an objective, in place of those the program asks for: `b.grad("score")`
        for every random choice, `b.grad(x="reparam")` for one; or a mapping, such as `ppl.tune_gradients` finds.
        """
        if isinstance(everywhere, Mapping):
            return self._with(Grad(None, {**everywhere, **named}))
        return self._with(Grad(everywhere, named))

    def stop_gradient(self) -> Bound:
        """The same program with its params as constants. Values of choices and arguments pass their
        derivatives on.
        """
        return self._with(StopGradient())

    def __repr__(self) -> str:
        handlers = "".join(f".{h}" for h in self.handlers)
        return f"<bound {self.program.kind} {self.name}{handlers}>"


def _decorator(kind: str) -> Callable[..., Any]:
    def decorate(function: Callable[..., Any] | None = None, *, dynamic: bool = False) -> Any:
        if function is None:
            return lambda f: Program(f, kind, dynamic)
        return Program(function, kind, dynamic)

    return decorate


model = _decorator("model")
guide = _decorator("guide")
objective = _decorator("objective")


def as_bound(value: Any, role: str = "a bound program") -> Bound:
    """`value` if it is bound; otherwise an error that says how to bind it."""
    if isinstance(value, Bound):
        return value
    if isinstance(value, Program):
        arguments = ", ".join(value.signature.parameters)
        raise StructureError(
            f"'{value.name}' is a program that has not been given its arguments",
            expected=role,
            found=f"the {value.kind} {value.name}{value.signature}",
            edit=f"{value.name}({arguments})",
        )
    function = getattr(value, "__name__", None) if callable(value) else None
    raise StructureError(
        f"this is not {role}",
        expected=f"{role}: what a function decorated with @ppl.model gives when it is called",
        found=f"the function {function}, not decorated"
        if function
        else f"{type(value).__name__}: {value!r}"[:80],
        edit=f"write @ppl.model above def {function}(…), and pass {function}(…)"
        if function
        else "model(arguments)",
    )
