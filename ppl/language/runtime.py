"""A runtime gives the statements of a program their meaning. There are two: the interpreter and the recorder.

This base class does what both share: addresses of subprograms, the walk of a message through the handlers, reparametrisation, and
the checks on names. A subclass says what a random choice, a factor, a plate or a region does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch.distributions import Distribution

from ppl.errors import DataError, Mark, PplError, StructureError, closest, user_mark
from ppl.language.handlers import Handler, Message, requested
from ppl.language.program import Bound

_CURRENT: ContextVar[Runtime | None] = ContextVar("ppl_runtime", default=None)


def current(statement: str) -> Runtime:
    """The active runtime; outside of one, statements have no meaning."""
    runtime = _CURRENT.get()
    if runtime is None:
        raise StructureError(
            f"ppl.{statement}(…) stands outside a program",
            where=user_mark(2),
            expected="statements run inside a function decorated with @ppl.model or @ppl.guide",
            edit="decorate the function, then call ppl.infer or ppl.simulate on it; a decorated function isn't called directly",
        )
    return runtime


@contextlib.contextmanager
def activated(runtime: Runtime, dtype: torch.dtype = torch.float64) -> Iterator[None]:
    """Make `runtime` the meaning of statements; float64 by default; distributions don't validate (ppl checks with sites)."""
    token = _CURRENT.set(runtime)
    before = torch.get_default_dtype()
    validate = Distribution._validate_args
    torch.set_default_dtype(dtype)
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(validate)
        torch.set_default_dtype(before)
        _CURRENT.reset(token)


class Runtime:
    """The meaning of statements. Subclasses implement the methods that raise NotImplementedError."""

    def __init__(self) -> None:
        self.prefix = ""
        self.frames: list[tuple[Handler, str]] = []
        self.used: set[tuple[int, str]] = set()
        self.names: list[str] = []

    # ------------------------------------------------------------ running programs

    def run(self, bound: Bound) -> Any:
        """The bound program's return value, its handlers in force; names that match no site are errors."""
        depth = len(self.frames)
        self.frames.extend((h, self.prefix) for h in reversed(bound.handlers))
        try:
            value = bound.call()
        finally:
            del self.frames[depth:]
        self._check_names(bound)
        return value

    def _check_names(self, bound: Bound) -> None:
        here = [n.removeprefix(self.prefix) for n in self.names if n.startswith(self.prefix)]
        for handler in bound.handlers:
            for name in requested(handler):
                if (id(handler), name) not in self.used and name not in here and not self.may_be_absent(name):
                    near = closest(name, here) or here[:6]
                    raise DataError(
                        f"'{name}' is not a site of {bound.name}",
                        expected="one of " + ", ".join(dict.fromkeys(here)),
                        found=f"{handler}",
                        edit=f"rename it to '{near[0]}'" if near else "remove it",
                    )

    def may_be_absent(self, name: str) -> bool:
        """Whether a site that didn't run this time may still exist (dynamic programs, branches not taken)."""
        return False

    def sample(self, name: str, d: Any, dims: Sequence[str] = (), grad: str = "auto", **options: Any) -> Any:
        if isinstance(d, Bound):
            return self.subprogram(name, d)
        message = Message(
            "sample", self.prefix + name, d, dims=tuple(dims), grad=grad, mark=user_mark(2), options=dict(options)
        )
        self._check_distribution(message)
        return self._send(message)

    def observe(self, name: str, d: Any, value: Any) -> Any:
        message = Message("sample", self.prefix + name, d, mark=user_mark(2))
        self._check_distribution(message)
        message.value, message.observed = self.observed_value(value, message), True
        return self._send(message)

    def factor(self, name: str, log_weight: Any) -> None:
        message = Message("factor", self.prefix + name, mark=user_mark(2), log_weight=log_weight)
        self._send(message)

    def subprogram(self, name: str, bound: Bound) -> Any:
        before, self.prefix = self.prefix, f"{self.prefix}{name}/"
        try:
            return self.run(bound)
        finally:
            self.prefix = before

    def _send(self, message: Message) -> Any:
        self.register(message.name, message.mark)
        for handler, prefix in reversed(self.frames):
            if message.name.startswith(prefix):
                handler.process(message, message.name[len(prefix) :], self)
        strategy = message.options.pop("reparam", None)
        if strategy is not None and message.value is None:  # data that arrive later undo it
            return self._reparametrised(message, strategy)
        return self.perform(message)

    def _reparametrised(self, message: Message, strategy: Any) -> Any:
        base, suffix, rebuild = strategy.apply(message.distribution, message.name, message.mark)
        inner = Message(
            "sample", message.name + suffix, base, mask=message.mask, scale=message.scale, mark=message.mark, grad=message.grad
        )
        inner.dims, inner.hidden, inner.derived = message.dims, message.hidden, True
        value = rebuild(self._send(inner))
        return value if message.hidden else self.deterministic_at(message.name, value, message.dims, message.mark)

    def _check_distribution(self, message: Message) -> None:
        if isinstance(message.distribution, Distribution):
            return
        raise StructureError(
            "a site needs a distribution (or a bound program)",
            site=message.name,
            where=message.mark,
            expected="sample(name, distribution)",
            found=f"{type(message.distribution).__name__}: {message.distribution!r}"[:120],
            edit=f'ppl.sample("{message.name}", Normal(0.0, 1.0))',
        )

    # ------------------------------------------------------------ what a subclass says

    def register(self, name: str, mark: Mark | None) -> None:
        """Note that a site of this name runs; refuse a duplicate."""
        raise NotImplementedError

    def perform(self, message: Message) -> Any:
        """The meaning of a statement after the handlers; returns the site's value."""
        raise NotImplementedError

    def element(self, value: Any, message: Message, role: str = "value") -> Any:
        """The element of a full value (plates and scans leading) at the place where the statement stands."""
        raise NotImplementedError

    def observed_value(self, value: Any, message: Message) -> Any:
        """A value given to `observe`, as a tensor."""
        raise NotImplementedError

    def deterministic_at(self, name: str, value: Any, dims: Sequence[str], mark: Mark | None) -> Any:
        raise NotImplementedError

    def deterministic(self, name: str, value: Any, dims: Sequence[str] = ()) -> Any:
        mark = user_mark(2)
        self.register(self.prefix + name, mark)
        return self.deterministic_at(self.prefix + name, value, dims, mark)

    def non_centre_automatically(self, message: Message) -> bool:
        """Whether `.reparam()` without names should non-centre this site."""
        raise NotImplementedError

    def param(self, name: str, init: Any, constraint: Any = None) -> Any:
        raise NotImplementedError

    def module(self, name: str, module: torch.nn.Module) -> Callable[..., Any]:
        raise NotImplementedError

    def plate(self, name: str, size: Any, subsample: int | None = None) -> Any:
        raise NotImplementedError

    def scan(self, name: str, step: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None) -> Any:
        raise NotImplementedError

    def switch(self, index: Any, branches: Sequence[Callable[..., Any]], args: Sequence[Any]) -> Any:
        raise NotImplementedError

    def score_factor(self, name: str, x: Any, score: Any) -> None:
        raise NotImplementedError

    def state(self, name: str, init: Any) -> Any:
        raise PplError(
            f"state('{name}') keeps a value from step to step of an objective; this program is not one",
            where=user_mark(3),
            edit="carry values through ppl.scan, or move the state into an @ppl.objective",
        )
