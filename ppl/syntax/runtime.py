"""What the Python made of a `.ppl` file calls: statements of the language, and the arithmetic that Python's is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from ppl.distributions import Restricted
from ppl.distributions.bounds import of_support
from ppl.distributions.constraints import constraint_from, name_of
from ppl.errors import DataError, MethodError, StructureError, user_mark
from ppl.language import primitives
from ppl.language.runtime import running
from ppl.syntax.limits import BITS, ELEMENTS

STRUCTURED = ("simplex", "ordered", "positive_ordered", "unit_vector", "sum_to_zero")
SQUARE = {"corr_cholesky": "corr_cholesky", "cholesky": "lower_cholesky", "cov": "cov", "corr": "corr_matrix"}
WHOLE = ("int", "index")


@dataclass(frozen=True, slots=True)
class Type:
    """A type with its sizes known: `real(lower=0)[N]`."""

    name: str
    arguments: tuple[Any, ...] = ()
    keywords: dict[str, Any] | None = None
    shape: tuple[int, ...] = ()

    @property
    def constraint(self) -> Any:
        """The support, as `constraint_from` takes it; None if all numbers are allowed."""
        named = {"positive": "positive", "nonnegative": "nonnegative", "unit": "unit", **SQUARE}
        named |= {name: name for name in STRUCTURED}
        if self.name in named:
            return named[self.name]
        if self.name == "index":
            return (0, int(self.arguments[0]) - 1)
        lower, upper = self.bounds()
        return (lower, upper) if lower is not None or upper is not None else None

    def bounds(self) -> tuple[Any, Any]:
        given = dict(zip(("lower", "upper"), self.arguments, strict=False)) | (self.keywords or {})
        return given.get("lower"), given.get("upper")

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of a value; a square matrix is written with one of its two."""
        whole = tuple(int(s) for s in self.shape)
        counted(math.prod(whole))
        return (*whole, whole[-1]) if self.name in SQUARE and whole else whole


def typed(d: Any, kind: Type) -> Any:
    """A distribution with the shape and on the support of a type."""
    lacking = len(kind.sizes) - len(d.batch_shape) - len(d.event_shape)
    if lacking > 0 or tuple(d.batch_shape) != kind.sizes[: len(kind.sizes) - len(d.event_shape)]:
        _spreads(tuple(d.batch_shape) + tuple(d.event_shape), kind, "the distribution")
        d = d.expand(kind.sizes[: len(kind.sizes) - len(d.event_shape)])
    return d if kind.constraint is None or _already(d, kind) else Restricted(d, kind.constraint)


def _spreads(shape: tuple[int, ...], kind: Type, what: str) -> None:
    """Refuse what doesn't spread over the sizes of a type."""
    own = kind.sizes[len(kind.sizes) - len(shape) :] if len(shape) <= len(kind.sizes) else ()
    if len(own) != len(shape) or any(n not in (1, size) for n, size in zip(shape, own, strict=True)):
        raise StructureError(
            f"{what} has shape {list(shape)}, and its type says {list(kind.sizes)}",
            where=user_mark(3),
            expected=f"shape {list(kind.sizes)}, or fewer axes that spread over it",
            found=f"shape {list(shape)}",
            edit=f"{kind.name}{list(shape)}, or another value",
        )


def _already(d: Any, kind: Type) -> bool:
    """Whether the distribution's own support says what the type does."""
    support = d.support
    if kind.name in STRUCTURED or kind.name in SQUARE:
        return name_of(support) == name_of(constraint_from(kind.constraint))
    low, high = of_support(support)
    wanted = of_support(constraint_from(kind.constraint))
    return _inside(low, wanted[0], 1) and _inside(high, wanted[1], -1)


def _inside(here: Any, wanted: Any, side: int) -> bool:
    """Whether an end of a support is known to be inside of the end that is wanted (None: there is none)."""
    known = isinstance(here, int | float) and isinstance(wanted, int | float)
    return wanted is None or (known and side * (here - wanted) >= 0)


def as_type(name: str, value: Any, kind: Type) -> Any:
    """A computed value as a type says it is: spread over the shape. The checker has compared the rest."""
    value = as_tensor(value)
    if tuple(value.shape) == kind.sizes:
        return value
    _spreads(tuple(value.shape), kind, f"`{name}`")
    return value.expand(kind.sizes)


def param(name: str, init: Any, kind: Type | None) -> Any:
    """`param name: type = init`; one number fills an array."""
    start = as_tensor(init).to(torch.get_default_dtype() if not isinstance(init, Tensor) else init.dtype)
    if kind is not None and tuple(start.shape) != kind.sizes:
        start = start.expand(kind.sizes).clone()
    return primitives.param(name, start, constraint=kind.constraint if kind is not None else None)


def state(name: str, init: Any, kind: Type | None) -> Any:
    start = as_tensor(init)
    if kind is not None and tuple(start.shape) != kind.sizes:
        start = start.expand(kind.sizes).clone()
    return primitives.state(name, start)


def observe(name: str, d: Any, value: Any) -> Any:
    primitives.observe(name, d, value)
    return value


def factor(name: str, weight: Any) -> None:
    primitives.factor(name, weight)


def scan(name: str, length: Any, step: Callable[..., Any], init: tuple[Any, ...], built: int) -> Any:
    """The last carry, and what the loop built: `built` arrays."""
    if isinstance(length, int) and length <= 0:
        if not built:
            return init, ()
        raise DataError("this loop has no steps, so that what it builds has no elements", where=user_mark(2),
                        expected="a step or more", found=f"{length}", edit="more data, or another range")  # fmt: skip
    return primitives.scan(name, step, tuple(as_tensor(i) for i in init), length=int(counted(length)))


def unused(whole: bool, sizes: tuple[Any, ...]) -> Tensor:
    """An element before the first, where no iteration looks at one; a value at which functions are finite."""
    shape = tuple(int(s) for s in sizes)
    return torch.zeros(shape, dtype=torch.int64) if whole else torch.full(shape, 0.5, dtype=torch.float64)


def first(value: Any, whole: bool, sizes: tuple[Any, ...]) -> Tensor:
    """The element before the first, as the loop's carry."""
    shape = tuple(int(s) for s in sizes)
    held = as_tensor(value)
    held = held if whole or held.is_floating_point() else held.to(torch.float64)
    return held.expand(shape) if shape and tuple(held.shape) != shape else held


def as_tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, float):
        return torch.tensor(value, dtype=torch.float64)
    return torch.as_tensor(value)


def floating(value: Any) -> Any:
    """Whole numbers in a tensor as real ones; anything else as it is."""
    return value.to(torch.float64) if isinstance(value, Tensor) and not value.is_floating_point() else value


def array(elements: Sequence[Any]) -> Any:
    """`[a, b, c]`; of distributions, the list."""
    if any(isinstance(e, Distribution) for e in elements):
        return list(elements)
    parts = [as_tensor(e) for e in elements]
    if any(p.is_floating_point() for p in parts):
        parts = [p if p.is_floating_point() else p.to(torch.float64) for p in parts]
    return torch.stack(parts) if parts else torch.zeros(0, dtype=torch.float64)


def times(a: Any, b: Any) -> Any:
    """`a * b`; whole numbers have a largest, so that no program can fill the memory with one."""
    if type(a) is int and type(b) is int and a.bit_length() + b.bit_length() > BITS:
        raise _too_large(a, "*", b)
    return a * b


def power(a: Any, b: Any) -> Any:
    """`a ** b`, likewise."""
    if type(a) is int and type(b) is int and b > 1 and a.bit_length() * b > BITS + b:
        raise _too_large(a, "**", b)
    if isinstance(b, Tensor) or (isinstance(b, int) and b < 0):  # torch's whole numbers have no 1 / x
        return floating(a) ** floating(b)
    return a**b


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """`a @ b`, of real and whole numbers too."""
    return torch.matmul(*of_one_kind(a, b))


def of_one_kind(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both real if one is."""
    if a.is_floating_point() == b.is_floating_point():
        return a, b
    return (a, b.to(a.dtype)) if a.is_floating_point() else (a.to(b.dtype), b)


def _too_large(a: int, operator: str, b: int) -> DataError:
    return DataError(
        "this number is too large",
        where=user_mark(2),
        expected=f"at most {BITS} binary digits",
        found=f"{a:.4g} {operator} {b:.4g}",
        edit="real numbers: 10.0 ** n",
    )


def counted(length: Any) -> Any:
    """The length of a loop or the elements of an array, if memory can hold them."""
    if isinstance(length, int | float) and length > ELEMENTS:
        raise DataError(
            "this has too many elements",
            where=user_mark(2),
            expected=f"at most {ELEMENTS:,}",
            found=f"{length:.4g}",
            edit="fewer elements",
        )
    return length


def between(start: Any, stop: Any) -> Any:
    """How many steps `range(start, stop)` has: none where it ends before it begins."""
    return max(stop - start, 0)


def plate(name: str, size: Any) -> Any:
    return primitives.plate(name, counted(size))


def called_apart(name: str, size: Any) -> str:
    """What a function's loop is called: functions run anywhere, with any sizes, and have no sites that could be told
    by its name.
    """
    here, called, count = running(), name, 1
    while here is not None and isinstance(size, int):
        known = here.loop_sizes.get(called) or here.dim_sizes.get(called) or (size, None)
        if known[0] == size and not here.is_open(called):
            break
        count += 1
        called = f"{name}_{count}"
    return called


def position(index: Any) -> Any:
    """An index: whole numbers that torch holds as floats (draws of Bernoulli or Poisson) as integers."""
    if not isinstance(index, Tensor) or not index.is_floating_point():
        return index
    if _is_known(index) and bool((index != index.round()).any()):
        odd = index[index != index.round()].flatten()[0].item()
        raise DataError("an index is a whole number", where=user_mark(2), expected="0, 1, 2, …", found=f"{odd:g}",
                        edit="whole numbers, or floor(…) of these")  # fmt: skip
    return index.long()


def decided(test: Any) -> bool | None:
    """The value of a test that is known before anything runs, or None."""
    if isinstance(test, Tensor):
        return bool(test) if _is_known(test) and test.dim() == 0 else None
    return bool(test)


def _is_known(x: Tensor) -> bool:
    return type(x) in (Tensor, torch.nn.Parameter) and not x.is_meta


def choose(test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`if` as a statement: the branch that is known to be taken, else both under a `cond`."""
    known = decided(test)
    if known is None:
        return primitives.cond(test, lambda: _tensors(then()), lambda: _tensors(otherwise()))
    return then() if known else otherwise()


def _tensors(results: Any) -> Any:
    return tuple(map(as_tensor, results)) if isinstance(results, tuple) else results


def where(test: Any, value: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """`a if test else b`."""
    known = decided(test)
    if known is not None:
        return value() if known else otherwise()
    a, b = as_tensor(value()), as_tensor(otherwise())
    return torch.where(test, a, b)


def both(a: Any, b: Callable[[], Any]) -> Any:
    known = decided(a)
    if known is None:
        return torch.logical_and(a, as_tensor(b()))
    return b() if known else False


def either(a: Any, b: Callable[[], Any]) -> Any:
    known = decided(a)
    if known is None:
        return torch.logical_or(a, as_tensor(b()))
    return True if known else b()


def no(a: Any) -> Any:
    known = decided(a)
    return torch.logical_not(a) if known is None else not known


def strategy(name: str, *arguments: Any, **options: Any) -> Any:
    """A gradient strategy with options: `grad = score(baseline = mean)`."""
    from ppl.compiler.estimators import strategies

    words = {n.lower(): n for n in strategies.__all__}
    made = getattr(strategies, words.get(name.replace("_", "").lower(), ""), None)
    try:
        if made is not None:
            return made(*arguments, **options)
        what = f"there is no gradient strategy {name} with options"
    except TypeError as error:
        what = f"{name}: {error}"
    raise MethodError(
        what, where=user_mark(2), expected=", ".join(words), found=f"{name}(…)", edit="grad = score"
    )


STATEMENTS: dict[str, Any] = {
    "__sample": primitives.sample,
    "__observe": observe,
    "__factor": factor,
    "__deterministic": primitives.deterministic,
    "__param": param,
    "__module": primitives.module,
    "__state": state,
    "__plate": plate,
    "__apart": called_apart,
    "__between": between,
    "__times": times,
    "__power": power,
    "__matmul": matmul,
    "__scan": scan,
    "__unused": unused,
    "__first": first,
    "__typed": typed,
    "__as_type": as_type,
    "__Type": Type,
    "__array": array,
    "__position": position,
    "__if": choose,
    "__where": where,
    "__and": both,
    "__or": either,
    "__not": no,
    "__strategy": strategy,
}
"""The names that generated code uses beside the user's own."""
