"""A runtime gives the statements of a program their meaning. There are two: the interpreter and the recorder.

This base class does what both share: addresses of subprograms, the walk of a message through the handlers,
    reparametrisation, and
the checks on names. A subclass says what a random choice, a factor, a plate or a region does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch.distributions import Distribution

from ppl.distributions.shapes import broadcast_shapes
from ppl.errors import DataError, Mark, PplError, StructureError, closest, listed, user_mark
from ppl.language.foreign import placed_error
from ppl.language.handlers import Handler, Message, Reparam, StopGradient, naming, requested
from ppl.language.marginals import Law
from ppl.language.program import Bound, Program

_OPTIONS = frozenset({"reparam"})
"""What `sample` accepts beside `dims` and `grad`."""

_CURRENT: ContextVar[Runtime | None] = ContextVar("ppl_runtime", default=None)


def current(statement: str) -> Runtime:
    """The active runtime; outside of one, statements have no meaning."""
    runtime = _CURRENT.get()
    if runtime is None:
        place = user_mark(2)
        function = (
            place.code.co_name if place is not None and not place.code.co_name.startswith("<") else None
        )
        raise StructureError(
            f"ppl.{statement}(…) stands outside a program",
            where=place,
            expected="statements run inside a function decorated with @ppl.model or @ppl.guide",
            found="a plain function that is called directly" if function else "the top of a file",
            edit=f"write @ppl.model above def {function}(…), then ppl.infer({function}(…), data)"
            if function
            else "move it into a model",
        )
    return runtime


def recorder() -> Any:
    """The runtime that records a program, where one is active."""
    runtime = _CURRENT.get()
    return runtime if runtime is not None and runtime.records else None


def running() -> Runtime | None:
    """The active runtime, if a program is being run or recorded."""
    return _CURRENT.get()


def recording_objective() -> Any:
    """The runtime that records an objective, where one is active: `simulate` and `log_density` are its own."""
    runtime = _CURRENT.get()
    return runtime if runtime is not None and runtime.holds_programs else None


@contextlib.contextmanager
def activated(runtime: Runtime, dtype: torch.dtype = torch.float64) -> Iterator[None]:
    """Make `runtime` the meaning of statements; float64 by default; distributions don't validate (ppl
    checks with sites), and the shapes of torch's own are broadcast without importing sympy.
    """
    token = _CURRENT.set(runtime)
    before = torch.get_default_dtype()
    broadcast = torch.broadcast_shapes
    torch.broadcast_shapes = broadcast_shapes
    validate = Distribution._validate_args
    torch.set_default_dtype(dtype)
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(validate)
        torch.set_default_dtype(before)
        torch.broadcast_shapes = broadcast
        _CURRENT.reset(token)


class Runtime:
    """The meaning of statements. Subclasses implement the methods that raise NotImplementedError."""

    records = False  # values are stand-ins
    holds_programs = False  # simulate and log_density have a meaning inside it

    def __init__(self) -> None:
        self.prefix = ""
        self.frames: list[tuple[Handler, str]] = []
        self.used: set[tuple[int, str]] = set()
        self.names: list[str] = []
        self.dim_sizes: dict[str, tuple[int, Mark | None]] = {}

    # ------------------------------------------------------------ running programs

    def run(self, bound: Bound) -> Any:
        """The bound program's return value, its handlers in force; names that match no site are errors."""
        depth = len(self.frames)
        self.frames.extend((h, self.prefix) for h in reversed(bound.handlers))
        try:
            value = bound.call()
        except Exception as error:
            refusal = placed_error(error, bound)
            if refusal is not None:
                raise refusal from error
            raise
        finally:
            del self.frames[depth:]
        self._check_names(bound)
        return value

    def _check_names(self, bound: Bound) -> None:
        here = [n.removeprefix(self.prefix) for n in self.names if n.startswith(self.prefix)]
        for handler in bound.handlers:
            for name in requested(handler):
                if (id(handler), name) in self.used:
                    continue
                if name not in here:
                    if not self.may_be_absent(name):
                        self._unknown_name(name, handler, here, bound)
                elif not isinstance(handler, Reparam):
                    raise DataError(
                        f"'{name}' is not a random choice: ppl.deterministic computes it",
                        site=self.prefix + name,
                        expected="a site made by ppl.sample",
                        found=naming(handler, name),
                        edit=f"remove {name}=…",
                    )

    def _unknown_name(self, name: str, handler: Handler, here: Sequence[str], bound: Bound) -> None:
        near = closest(name, here)
        edit = (
            f"rename it to '{near[0]}'"
            if near
            else f'remove {name}=…, or name a site so: ppl.sample("{name}", …)'
        )
        if name in bound.arguments and not near:
            edit = f"it is an argument: {bound.name}({name}=…) has it already; remove it here"
        raise DataError(
            f"'{name}' is not a site of {bound.name}",
            expected="one of " + listed(here, name),
            found=naming(handler, name),
            edit=edit,
        )

    def may_be_absent(self, name: str) -> bool:
        """Whether a site that didn't run this time may still exist (dynamic programs, branches not taken)."""
        return False

    def sample(self, name: str, d: Any, dims: Sequence[str] = (), grad: str = "auto", **options: Any) -> Any:
        self._check_name("sample", name, d)
        if isinstance(d, Bound):
            return self.subprogram(name, d)
        self._check_options(name, options)
        message = Message(
            "sample",
            self.prefix + name,
            d,
            dims=tuple(dims),
            grad=grad,
            mark=user_mark(2),
            options=dict(options),
        )
        self._check_distribution(message)
        return self._send(message)

    def observe(self, name: str, d: Any, value: Any) -> Any:
        self._check_name("observe", name, d)
        message = Message("sample", self.prefix + name, d, mark=user_mark(2))
        self._check_distribution(message)
        message.value, message.observed = self.observed_value(value, message), True
        return self._send(message)

    def factor(self, name: str, log_weight: Any) -> None:
        self._check_name("factor", name)
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
            "sample",
            message.name + suffix,
            base,
            mask=message.mask,
            scale=message.scale,
            mark=message.mark,
            grad=message.grad,
        )
        inner.dims, inner.hidden, inner.derived = message.dims, message.hidden, True
        value = rebuild(self._send(inner))
        return (
            value
            if message.hidden
            else self.deterministic_at(message.name, value, message.dims, message.mark)
        )

    def _check_name(self, statement: str, name: Any, d: Any = None) -> None:
        if isinstance(name, str) and name:
            return
        shown = "Normal(0.0, 1.0)" if statement in ("sample", "observe") else "…"
        given = isinstance(name, Distribution | Bound)
        raise StructureError(
            f"ppl.{statement} needs a name",
            where=user_mark(2),
            expected=f'ppl.{statement}("name", …)',
            found=f"a {type(name).__name__} as the name" if given else f"{name!r} as the name",
            edit=f'ppl.{statement}("{d if isinstance(d, str) else "x"}", {type(name).__name__ + "(…)" if given else shown})',
        )

    def _check_options(self, name: str, options: Mapping[str, Any]) -> None:
        for option in options:
            if option in _OPTIONS:
                continue
            data = option in ("obs", "observed", "value", "data")
            near = closest(option, ("dims", "grad", *_OPTIONS))
            raise StructureError(
                f"ppl.sample has no option {option}=",
                site=self.prefix + name,
                where=user_mark(2),
                expected="dims=, grad=, " + ", ".join(f"{k}=" for k in sorted(_OPTIONS)),
                found=f"{option}=…",
                edit=f'ppl.observe("{name}", distribution, value), or data={{"{name}": value}} in ppl.infer'
                if data
                else f"{near[0]}=…"
                if near
                else f"remove {option}=",
            )

    def _check_distribution(self, message: Message) -> None:
        d = message.distribution
        if isinstance(d, Distribution):
            self._check_dims(message)
            return
        name = message.name.rpartition("/")[2]
        edit = f'ppl.sample("{name}", Normal(0.0, 1.0))'
        if isinstance(d, Program):
            edit = f'ppl.sample("{name}", {d.name}({", ".join(d.signature.parameters)}))'
        elif isinstance(d, type) and issubclass(d, Distribution):
            edit = f'ppl.sample("{name}", {d.__name__}(…)), with its parameters'
        elif isinstance(d, Law):
            edit = f'ppl.sample("{name}", {d.bound.name}(…)), whose choices nest under "{name}/"'
        elif isinstance(d, int | float):
            edit = f'ppl.deterministic("{name}", {d}) names a value; a random one has a distribution'
        raise StructureError(
            "a site needs a distribution (or a bound program)"
            if not isinstance(d, Law)
            else f"{d.name} can't be a site: ppl.simulate and ppl.log_density take it, in objectives and outside",
            site=message.name,
            where=message.mark,
            expected="ppl.sample(name, distribution)",
            found="nothing"
            if d is None
            else f"the class {d.__name__}"
            if isinstance(d, type)
            else f"{type(d).__name__}: {d!r}"[:120],
            edit=edit,
        )

    @property
    def loop_sizes(self) -> dict[str, tuple[int, Mark | None]]:
        """The loops that were opened, by name."""
        raise NotImplementedError

    def is_open(self, name: str) -> bool:
        """Whether a statement stands inside a loop of this name."""
        raise NotImplementedError

    def axis_name(self, name: str, size: int, loop: bool = False) -> str:
        """What a loop or dim is called in the whole program: where `D` is another size already, or a loop around
        this one, the `D` of a subprogram `beta` is `beta/D`.
        """
        first, _ = self.loop_sizes.get(name) or self.dim_sizes.get(name) or (size, None)
        taken = first != size or (loop and self.is_open(name))
        return self.prefix + name if taken else name

    def announce(self, sizes: Mapping[str, int]) -> None:
        """Sizes that a program knows before it opens loops: their names are its own, not its subprograms'."""
        for name, size in sizes.items():
            if not self.prefix:
                self.dim_sizes.setdefault(name, (size, None))

    def _check_dims(self, message: Message) -> None:
        """Names of a site's own axes: strings, at most one for each axis, each of one size in the
        whole program.
        """
        d, names = message.distribution, message.dims
        shape = tuple(d.batch_shape) + tuple(d.event_shape)
        if len(names) > len(shape) or any(not isinstance(n, str) or not n for n in names):
            letters = len(names) > 1 and all(isinstance(n, str) and len(n) == 1 for n in names)
            raise StructureError(
                "dims must name the site's own axes",
                site=message.name,
                where=message.mark,
                expected=f"at most {len(shape)} name{'s' if len(shape) != 1 else ''}, for shape {list(shape)}; "
                "plates name theirs themselves",
                found=f"{len(names)}: {', '.join(map(str, names))}",
                edit=f'dims=("{"".join(names)}",), a tuple'
                if letters
                else f"dims=({', '.join(repr(str(n)) for n in names[: len(shape)])},)",
            )
        names = tuple(self.axis_name(n, size) for n, size in zip(names, shape, strict=False))
        message.dims = names
        for name, size in zip(names, shape, strict=False):
            first, mark = self.loop_sizes.get(name) or self.dim_sizes.setdefault(name, (size, message.mark))
            if first != size:
                raise StructureError(
                    f"dim '{name}' has two sizes",
                    site=message.name,
                    where=message.mark,
                    expected=f"size {first}, as at {mark.locate() if mark else 'an earlier line'}",
                    found=f"size {size}",
                    edit=f"give this dim a name of its own, for instance '{name}_2'",
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
        self._check_name("deterministic", name)
        mark = user_mark(2)
        self.register(self.prefix + name, mark)
        return self.deterministic_at(self.prefix + name, value, dims, mark)

    def non_centre_automatically(self, message: Message) -> bool:
        """Whether `.reparam()` without names should non-centre this site."""
        raise NotImplementedError

    def param(self, name: str, init: Any, constraint: Any = None) -> Any:
        raise NotImplementedError

    def stopped(self, param: torch.Tensor) -> torch.Tensor:
        """A param as the program sees it: a constant under `stop_gradient`."""
        constant = any(isinstance(handler, StopGradient) for handler, _ in self.frames)
        return param.detach() if constant else param

    def module(self, name: str, module: torch.nn.Module) -> Callable[..., Any]:
        raise NotImplementedError

    def plate(self, name: str, size: Any, subsample: int | None = None) -> Any:
        raise NotImplementedError

    def scan(
        self, name: str, step: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None
    ) -> Any:
        raise NotImplementedError

    def switch(self, index: Any, branches: Sequence[Callable[..., Any]], args: Sequence[Any]) -> Any:
        raise NotImplementedError

    def score_factor(self, name: str, x: Any, score: Any) -> None:
        raise NotImplementedError

    def state(self, name: str, init: Any) -> Any:
        raise PplError(
            f"state('{name}') keeps a value from step to step of an objective; this program is not one",
            where=user_mark(3),
            expected="ppl.state in a function decorated with @ppl.objective",
            found="ppl.state in a program that may run once or many times",
            edit="carry values through ppl.scan, or move the state into an @ppl.objective",
        )
