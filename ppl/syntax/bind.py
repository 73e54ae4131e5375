"""Arguments of a program, converted and compared with the types of its parameters; dims bound from their sizes."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppl.distributions.constraints import constraint_from
from ppl.errors import DataError, Location
from ppl.language.runtime import running
from ppl.syntax import tree
from ppl.syntax.functions import CONSTANTS
from ppl.syntax.info import PROGRAM_TYPES
from ppl.syntax.runtime import SQUARE, STRUCTURED, Type, as_tensor

_KINDS = {"bool": "true and false", "int": "whole numbers", "index": "whole numbers"}

Evaluate = Callable[[tree.Expression, dict[str, Any]], Any]


class Binder:
    """`sigma, J = bind(sigma)`: called at the top of every program and function."""

    def __init__(
        self,
        path: str,
        name: str,
        parameters: Sequence[tree.Parameter],
        dims: Sequence[str],
        sampled: frozenset[str],
        evaluate: Evaluate,
        is_program: bool = False,
    ) -> None:
        self.path, self.name = path, name
        self.parameters, self.dims, self.sampled = tuple(parameters), tuple(dims), sampled
        self.evaluate, self.is_program = evaluate, is_program

    def __call__(self, *values: Any) -> tuple[Any, ...]:
        known: dict[str, Any] = {}
        arguments: list[Any] = []
        converted = [self._converted(p, v) for p, v in zip(self.parameters, values, strict=True)]
        for parameter, value in zip(self.parameters, converted, strict=True):
            if parameter.type is not None and not parameter.type.shape and isinstance(value, int):
                known[parameter.name.id] = value
        origin = self._named_sizes(converted, known)
        for parameter, value in zip(self.parameters, converted, strict=True):
            if isinstance(value, Tensor) and parameter.type is not None:
                self._sizes(parameter, value, known, origin)
        for parameter, value in zip(self.parameters, converted, strict=True):
            self._possible(parameter, value, known)
            arguments.append(value)
        sizes = {d: self._dim(d, known) for d in self.dims}
        if self.is_program and (runtime := running()):
            runtime.announce({n: v for n, v in {**known, **sizes}.items() if v >= 0})
        return (*arguments, *sizes.values())

    def _dim(self, name: str, known: dict[str, Any]) -> int:
        if name in known:
            return int(known[name])
        givers = [p for p in self.parameters if p.type is not None and _mentions(p.type, name)]
        raise self._error(
            givers[0],
            f"the size {name} is not known: the arguments that have it are not given",
            edit=f"{self.name}({givers[0].name.id}=…)",
        )

    def _converted(self, parameter: tree.Parameter, value: Any) -> Any:
        kind = parameter.type
        if value is None or (kind is not None and kind.name.id in PROGRAM_TYPES) or callable(value):
            return value
        if kind is None:
            return _plain(value)
        try:
            if kind.name.id in ("int", "index") and not kind.shape:
                return self._whole(parameter, value)
            return _tensor(value, kind.name.id)
        except (TypeError, ValueError, RuntimeError):
            raise self._error(
                parameter,
                f"{parameter.name.id} is not an array of {_KINDS.get(kind.name.id, 'numbers')}",
                found=f"{value!r}"[:60],
            ) from None

    def _whole(self, parameter: tree.Parameter, value: Any) -> Any:
        if isinstance(value, Tensor) and (value.is_meta or type(value) is not Tensor):
            return value
        number = value.item() if isinstance(value, Tensor | np.generic | np.ndarray) else value
        if isinstance(number, bool) or not math.isfinite(number) or number != int(number):
            raise self._error(parameter, f"{parameter.name.id} is a whole number", found=repr(value))
        return int(number)

    def _named_sizes(self, values: Sequence[Any], known: dict[str, Any]) -> dict[str, str]:
        """Bind each dim to the first size that is its name alone; and where that is."""
        origin: dict[str, str] = {}
        for parameter, value in zip(self.parameters, values, strict=True):
            if isinstance(value, Tensor) and parameter.type is not None:
                for at, (size, found) in enumerate(zip(_shape(parameter.type), value.shape, strict=False)):
                    if isinstance(size, tree.Name) and size.id not in known:
                        known[size.id] = int(found)
                        origin[size.id] = f"{parameter.name.id} (axis {at})"
        return origin

    def _sizes(
        self, parameter: tree.Parameter, value: Tensor, known: dict[str, Any], origin: dict[str, str]
    ) -> None:
        kind, name = parameter.type, parameter.name.id
        assert kind is not None
        shape = _shape(kind)
        if len(shape) != value.dim():
            raise self._error(
                parameter,
                f"{name} has {_axes(value.dim())}, its type {_axes(len(shape))}",
                expected=f"{name}: {_type_text(kind)}",
                found=f"shape {tuple(value.shape)}",
            )
        for at, (size, found) in enumerate(zip(shape, value.shape, strict=True)):
            if not _names(size) <= known.keys():
                continue  # a size of what is not given: `_dim` says so
            expected = int(self.evaluate(size, known))
            if expected != found:
                text = size.id if isinstance(size, tree.Name) else "this size"
                source = (
                    f", from {origin[size.id]}" if isinstance(size, tree.Name) and size.id in origin else ""
                )
                raise self._error(
                    parameter,
                    f"axis {at} of {name} has {found} elements, but {text} is {expected}{source}",
                    expected=f"shape {tuple(self._size(s, known, '?') for s in shape)}",
                    found=f"shape {tuple(value.shape)}",
                )

    def _size(self, size: tree.Expression, known: dict[str, Any], unknown: Any) -> Any:
        try:
            return int(self.evaluate(size, known))
        except Exception:  # a size whose names are not known yet: this is for the words of an error only
            return unknown

    def _possible(self, parameter: tree.Parameter, value: Any, known: dict[str, Any]) -> None:
        """Values outside of the type's support; nan only where it is a missing datum."""
        kind = parameter.type
        if kind is None or not isinstance(value, Tensor | int) or kind.name.id in PROGRAM_TYPES | {"bool"}:
            return
        x = as_tensor(value)
        if x.is_meta or type(x) is not Tensor:
            return
        missing = torch.isnan(x) if x.is_floating_point() else torch.zeros_like(x, dtype=torch.bool)
        if bool(missing.any()) and parameter.name.id not in self.sampled:
            raise self._error(
                parameter,
                f"{parameter.name.id} has {int(missing.sum())} missing values (nan), and the model has no distribution for it",
                edit=f"{parameter.name.id}[…] ~ …, or leave those rows out",
            )
        if (
            not set().union(*map(_names, (*kind.arguments, *(k.value for k in kind.keywords))))
            <= known.keys()
        ):
            return
        arguments = tuple(self.evaluate(a, known) for a in kind.arguments)
        keywords = {k.name.id: self.evaluate(k.value, known) for k in kind.keywords}
        constraint = Type(kind.name.id, arguments, keywords).constraint
        if constraint is None or x.numel() == 0:
            return
        inside = _within(x, constraint)
        if kind.name.id not in STRUCTURED and kind.name.id not in SQUARE:
            inside = inside | missing
        if not bool(inside.all()):
            at = (~inside).nonzero()[0].tolist() if inside.dim() else []
            place = f"[{', '.join(map(str, at))}]" if at else ""
            raise self._error(
                parameter,
                f"{parameter.name.id}{place} is outside of its type",
                expected=_type_text(kind),
                found=_value_text(x[tuple(at)] if at else x),
            )

    def _error(self, parameter: tree.Parameter, headline: str, **more: Any) -> DataError:
        span = parameter.span
        end = span.end_column if span.end_line == span.line else None
        return DataError(headline, where=Location(self.path, span.line, span.column, end), **more)


def _tensor(value: Any, kind: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    found = torch.as_tensor(np.asarray(value))
    if kind == "bool":
        if bool(((found != 0) & (found != 1)).any()):
            raise ValueError("neither true nor false")
        return found.to(torch.bool)
    if kind in ("int", "index"):
        if found.is_floating_point() and not bool(torch.isnan(found).any()):
            whole = found.to(torch.int64)
            if bool((whole != found).any()):
                raise ValueError("not whole")
            return whole
        return found
    return found if found.is_floating_point() else found.to(torch.float64)


def _within(x: Tensor, support: Any) -> Tensor:
    """Where x is in a support as `Type.constraint` gives it; the bounds of an interval are in it."""
    if not isinstance(support, tuple):
        return constraint_from(support).check(x)
    lower, upper = support
    inside = torch.ones_like(x, dtype=torch.bool)
    if lower is not None:
        inside = inside & (x >= lower)
    return inside & (x <= upper) if upper is not None else inside


def _plain(value: Any) -> Any:
    return torch.as_tensor(np.asarray(value)) if isinstance(value, list | tuple | np.ndarray) else value


def _axes(n: int) -> str:
    return {0: "no axes (one number)", 1: "one axis"}.get(n, f"{n} axes")


def _mentions(kind: tree.Type, name: str) -> bool:
    return any(name in _names(size) for size in kind.shape)


def _names(e: tree.Expression) -> set[str]:
    return {n.id for n in tree.walk(e) if isinstance(n, tree.Name)} - CONSTANTS.keys()


def _shape(kind: tree.Type) -> list[tree.Expression]:
    """The sizes of a type; a square matrix is written with one of its two."""
    return [*kind.shape, kind.shape[-1]] if kind.name.id in SQUARE and kind.shape else list(kind.shape)


def _type_text(kind: tree.Type) -> str:
    from ppl.syntax.format import type_text

    return type_text(kind)


def _value_text(x: Tensor) -> str:
    return f"{x.item():g}" if x.dim() == 0 else str(x.tolist())[:60]


def evaluator(compiled: Callable[[tree.Expression], ast.expr]) -> Evaluate:
    """Evaluate sizes and bounds: arithmetic of known numbers."""

    def evaluate(e: tree.Expression, known: dict[str, Any]) -> Any:
        code = compile(ast.fix_missing_locations(ast.Expression(compiled(e))), "<size>", "eval")
        from ppl.syntax.runtime import STATEMENTS

        return eval(code, {"__builtins__": {}, **STATEMENTS, **CONSTANTS, **known})

    return evaluate
