"""A native function: a Python function of the subset, and what the compiler must know about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from . import builtins, math, types
from .keys import uses
from .origin import FromFunction, FromText, Origin, Text
from .refusals import NativeError

if TYPE_CHECKING:
    from .emit import Fragment

P = ParamSpec("P")
R = TypeVar("R")


FEW_ROUNDS, MANY_LOOPS = 8, 64
"""A loop of at most so many rounds is short; a function of more such loops than this is long to compile."""


class Native(Generic[P, R]):
    """A function of the subset. Calling it runs plain Python; `build` compiles it."""

    def __init__(
        self,
        name: str,
        origin: Origin,
        *,
        exact: bool = False,
        inline: bool | None = None,
        c_library: bool = False,
        vectorise: bool = True,
    ) -> None:
        self.name = name
        self.origin = origin
        self.exact = exact
        self.inline = inline
        self.c_library = c_library
        self.vectorise = vectorise
        self.fragment: tuple[tuple[str, bool], Fragment] | None = None  # its IR, and what that belongs to

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.origin.python(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<native {self.name}>"

    @property
    def python(self) -> Callable[P, R]:
        """The plain Python function."""
        return self.origin.python

    @property
    def source(self) -> str:
        """Its text, decorators included."""
        return self.origin.source

    @property
    def uses(self) -> tuple[Native[..., Any], ...]:
        """The native functions its text names, theirs too, in the order they are first met."""
        return uses(self)


@overload
def native(function: Callable[P, R], /) -> Native[P, R]: ...
@overload
def native(
    *, exact: bool = ..., inline: bool | None = ..., c_library: bool = ..., vectorise: bool = ...
) -> Callable[[Callable[P, R]], Native[P, R]]: ...
def native(
    function: Any = None,
    /,
    *,
    exact: bool = False,
    inline: bool | None = None,
    c_library: bool = False,
    vectorise: bool = True,
) -> Any:
    """Mark a function as one of the subset.

    exact: no fast-math flags, so that every operation rounds as written. Without it sums may be reordered,
        division may become multiplication, products and sums fuse; nan and inf are honoured either way.
    inline: True always, False never, None as LLVM judges.
    c_library: `math.exp` and the like are the C library's, fast for one number, instead of ours, which vectorise.
    vectorise: False for a function whose loops are short, as are those of what it calls: nothing is to be won by
        vectors, and LLVM's passes, most of the time to compile, are left out. It counts where the function is built.

    >>> @native
    ... def square(x: f64) -> f64:
    ...     return x * x
    >>> square(3.0)
    9.0
    """

    def mark(python: Callable[..., Any]) -> Native[..., Any]:
        marked: Native[..., Any] = Native(
            getattr(python, "__name__", "?"),
            FromFunction(python),
            exact=exact,
            inline=inline,
            c_library=c_library,
            vectorise=vectorise,
        )
        update_wrapper(marked, python)
        return marked

    return mark if function is None else mark(function)


# What generated text may name without being given it.
_SUBSET: dict[str, Any] = {
    name: getattr(module, name)
    for module, names in (
        (types, ("f64", "i64", "Floats", "Ints", "Density")),
        (builtins, (*builtins.VALUES, "short_range")),
    )
    for name in names
} | {"math": math}


def from_source(source: str, name: str, uses: Mapping[str, Any] | None = None) -> list[Native[..., Any]]:
    """The functions of a generated text, in its order.

    source: functions of the subset, marked @native or not, and global numbers. Nothing is imported in it.
    name: what tracebacks and errors call the text.
    uses: the globals it may name beside the subset's own: numbers and native functions.

    >>> [twice] = from_source("def twice(x: f64) -> f64:\\n    return 2.0 * x\\n", "example")
    >>> twice(3.0)
    6.0
    """
    text = Text(source, name, _SUBSET | dict(uses or {}))
    found: list[Native[..., Any]] = []
    for function, block in text.blocks():
        if any(function == other.name for other in found):
            raise NativeError(f"`{function}` is defined twice in {text.file}")
        decorators = block.split("def ", 1)[0].replace(" ", "")
        inline = True if "inline=True" in decorators else False if "inline=False" in decorators else None
        origin = FromText(text, function, block)
        exact, vectorise = "exact=True" in decorators, "vectorise=False" not in decorators
        found.append(Native(function, origin, exact=exact, inline=inline, vectorise=vectorise))
    text.names.update({one.name: one for one in found})
    return found
