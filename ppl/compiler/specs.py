"""Distributions, supports and bijectors inside the Graph.

An object is taken apart into a *spec* (its class and everything static, hashable) and its tensors; the
tensors become operands of
a node, and the object can be put together again from any tensors. So every family works, a user's own
included, with no list of
known ones. Log densities and bijectors are recorded once per spec and operand types, as small graphs that
are then inlined.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.distributions import Distribution, Independent, Normal, Transform, TransformedDistribution
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import _InverseTransform

from ppl import distributions
from ppl.compiler.graph import Graph, Node, Type, inline, topological
from ppl.compiler.ops import make_input
from ppl.compiler.tracer import trace, working_dtype
from ppl.distributions.bijectors import biject_to


@dataclass(frozen=True)
class Leaf:
    index: int

    def text(self, names: Sequence[str]) -> str:
        return names[self.index] if self.index < len(names) else f"%{self.index}"

    def __repr__(self) -> str:
        return self.text(())


@dataclass(frozen=True)
class Record:
    """An object by class and attributes."""

    cls: type
    fields: tuple[tuple[str, Any], ...]

    def text(self, names: Sequence[str]) -> str:
        """As it would be written, with `names` for its tensors: `Normal(loc=%2, scale=%3)`. Equal
        texts, equal specs.
        """
        shown = [f"{_FIELDS.get(k, k)}={spec_text(v, names)}" for k, v in self.fields if not _usual(k, v)]
        return f"{class_name(self.cls)}({', '.join(shown)})"

    def __repr__(self) -> str:
        return self.text(())


@dataclass(frozen=True)
class Items:
    cls: type
    values: tuple[Any, ...]

    def text(self, names: Sequence[str]) -> str:
        if self.cls is dict:
            return "{" + ", ".join(f"{k!r}: {spec_text(v, names)}" for k, v in self.values) + "}"
        inside = ", ".join(spec_text(v, names) for v in self.values)
        if self.cls is list:
            return f"[{inside}]"
        if self.cls in (tuple, torch.Size):
            return f"({inside},)" if len(self.values) == 1 else f"({inside})"
        return f"{class_name(self.cls)}({inside})"

    def __repr__(self) -> str:
        return self.text(())


@dataclass(frozen=True)
class Opaque:
    """A static value that can't be hashed: equal only to itself."""

    value: Any

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.value is self.value

    def text(self, names: Sequence[str]) -> str:
        return class_name(type(self.value))

    def __repr__(self) -> str:
        return self.text(())


_FIELDS = {"_batch_shape": "batch", "_event_shape": "event"}


def _usual(field: str, value: Any) -> bool:
    """Whether a field has the value nearly all objects have, and is left out of their text."""
    if field in _FIELDS:
        return isinstance(value, Items) and not value.values
    return field == "_validate_args" or (field == "_cache_size" and value == 0)


def spec_text(value: Any, names: Sequence[str]) -> str:
    """A spec, or anything static inside one, as text that is the same in every process."""
    if isinstance(value, Leaf | Record | Items | Opaque):
        return value.text(names)
    if isinstance(value, type):
        return class_name(value)
    if hasattr(value, "__qualname__"):  # a function's repr has its address
        return f"{value.__module__}.{value.__qualname__}"
    shown = repr(value)
    return class_name(type(value)) if " at 0x" in shown else shown


def class_name(cls: type) -> str:
    """A family's public name; other people's classes with their module, so that no two share one."""
    if cls.__module__.startswith(("ppl.distributions", "builtins")):
        return cls.__qualname__
    if cls.__module__.startswith("torch.distributions"):
        return (
            cls.__qualname__
            if getattr(distributions, cls.__name__, cls) is cls
            else f"torch.{cls.__qualname__}"
        )
    return f"{cls.__module__}.{cls.__qualname__}"


_PARTS = (Distribution, Transform, Constraint)
_CACHES = {"_cached_x_y", "_validate_args"}


def take_apart(obj: Any, tensors: list[torch.Tensor]) -> Any:
    """The spec of `obj`; its tensors are appended to `tensors`."""
    if isinstance(obj, torch.Tensor):
        tensors.append(obj)
        return Leaf(len(tensors) - 1)
    if isinstance(obj, _PARTS):
        skip = (
            _CACHES
            if isinstance(obj, _InverseTransform) or not isinstance(obj, Transform)
            else _CACHES | {"_inv"}
        )
        fields = tuple((k, take_apart(v, tensors)) for k, v in sorted(vars(obj).items()) if k not in skip)
        return Record(type(obj), fields)
    if isinstance(obj, list | tuple):
        return Items(type(obj), tuple(take_apart(v, tensors) for v in obj))
    if isinstance(obj, dict):
        return Items(dict, tuple((k, take_apart(v, tensors)) for k, v in obj.items()))
    try:
        hash(obj)
    except TypeError:
        return Opaque(obj)
    return obj


def put_together(
    spec: Any, tensors: Sequence[Any], lead: tuple[int, ...] = (), rank: int | None = None
) -> Any:
    """The object of `spec` with these tensors. With `lead`, every tensor has these leading axes and
    distributions get them as
    batch axes; `rank` is the element rank to which a transform's tensors are padded so that they
    broadcast.
    """
    if isinstance(spec, Leaf):
        tensor = tensors[spec.index]
        if lead and rank is not None:
            own = tensor.shape[len(lead) :]
            tensor = tensor.reshape(lead + (1,) * (rank - len(own)) + own)
        return tensor
    if isinstance(spec, Record):
        obj: Any = object.__new__(spec.cls)
        inner = _inner_rank(spec, lead, rank)
        for k, v in spec.fields:
            value = put_together(v, tensors, lead, inner)
            if k == "_batch_shape" and lead:
                value = torch.Size(lead) + value
            obj.__dict__[k] = value
        if issubclass(spec.cls, Distribution):
            obj.__dict__["_validate_args"] = False
        elif issubclass(spec.cls, Transform):
            obj.__dict__["_cached_x_y"] = (None, None)
            obj.__dict__.setdefault("_inv", None)
        return obj
    if isinstance(spec, Items):
        if spec.cls is dict:
            return {k: put_together(v, tensors, lead, rank) for k, v in spec.values}
        values = [put_together(v, tensors, lead, rank) for v in spec.values]
        return spec.cls(values) if spec.cls in (list, tuple, torch.Size) else spec.cls(*values)
    return spec.value if isinstance(spec, Opaque) else spec


def _inner_rank(spec: Record, lead: tuple[int, ...], rank: int | None) -> int | None:
    """Inside a distribution tensors align on the left; inside a transform or support they broadcast on
    the right.
    """
    if not lead:
        return None
    if issubclass(spec.cls, TransformedDistribution):
        fields = dict(spec.fields)
        return len(_plain(fields["_batch_shape"])) + len(_plain(fields["_event_shape"]))
    return None if issubclass(spec.cls, Distribution) else rank


def _plain(value: Any) -> tuple[int, ...]:
    return tuple(value.values) if isinstance(value, Items) else tuple(value)


# ---------------------------------------------------------------- recorded once, inlined everywhere


@functools.lru_cache(maxsize=4096)
def _log_density_graph(spec: Any, types: tuple[Type, ...], value: Type, guarded: bool) -> Graph:
    inputs = [make_input(f"p{i}", t.shape, t.dtype) for i, t in enumerate(types)]

    def density(*args: torch.Tensor) -> torch.Tensor:
        d = put_together(spec, args[:-1])
        inside = d.support.check(args[-1]) if guarded else None
        return (
            d.log_prob(args[-1]) if inside is None else torch.where(inside, d.log_prob(args[-1]), -torch.inf)
        )

    with working_dtype(_float(types, value)):
        return trace(density, [*inputs, make_input("value", value.shape, value.dtype)])


def _float(types: Sequence[Type], value: Type) -> torch.dtype:
    """The floating dtype of a site: its value's, or its parameters'."""
    return next((t.dtype for t in (value, *types) if t.dtype.is_floating_point), torch.float64)


def log_density(spec: Any, params: Sequence[Node], value: Node, guarded: bool = False) -> Node:
    """log p(value; params), with the batch shape of the distribution. `guarded`: −∞ outside the
    support, whatever the formula says.
    """
    return inline(
        _log_density_graph(spec, tuple(p.type for p in params), value.type, guarded), [*params, value]
    )[0]


@functools.lru_cache(maxsize=4096)
def _attribute_graph(spec: Any, types: tuple[Type, ...], name: str) -> Graph:
    inputs = [make_input(f"p{i}", t.shape, t.dtype) for i, t in enumerate(types)]
    dtype = next((t.dtype for t in types if t.dtype.is_floating_point), torch.float64)
    with working_dtype(dtype):
        return trace(lambda *args: getattr(put_together(spec, args), name), inputs)


def attribute(spec: Any, params: Sequence[Node], name: str) -> Node:
    """An attribute of a distribution, such as `probs`, as a function of its tensors."""
    return inline(_attribute_graph(spec, tuple(p.type for p in params), name), params)[0]


def behind(spec: Any, params: Sequence[Node], name: str) -> list[int]:
    """Which of a distribution's tensors an attribute is computed from."""
    graph = _attribute_graph(spec, tuple(p.type for p in params), name)
    reached = set(topological(graph.outputs))
    return [i for i, node in enumerate(graph.inputs) if node in reached]


@dataclass(frozen=True)
class Support:
    """A recorded bijector from unconstrained space onto a support.

    Args:
        unconstrained: the shape of u.
        forward: (params…, u) → (x, log |dx/du| summed over everything).
        record_inverse: how `inverse` is recorded.
    """

    unconstrained: tuple[int, ...]
    forward: Graph
    record_inverse: Callable[[], Graph]

    @functools.cached_property
    def inverse(self) -> Graph:
        """(params…, x) → u; recorded when first asked for, which few are."""
        return self.record_inverse()


def support_of(spec: Any, tensors: Sequence[torch.Tensor]) -> Any:
    """The support of a distribution, event axes included."""
    d = put_together(spec, tensors)
    support = d.support
    while isinstance(d, Independent):
        d = d.base_dist
    return support


@functools.lru_cache(maxsize=4096)
def bijector(spec: Any, types: tuple[Type, ...], value: Type) -> Support:
    """The bijector onto the support of a site's distribution."""
    inputs = [make_input(f"p{i}", t.shape, t.dtype) for i, t in enumerate(types)]

    def transform(params: Sequence[torch.Tensor]) -> Transform:
        return biject_to(support_of(spec, params))

    shape: list[tuple[int, ...]] = []

    def measure(*params: torch.Tensor) -> torch.Tensor:
        shape.append(tuple(transform(params).inverse_shape(torch.Size(value.shape))))
        return torch.zeros(())

    dtype = _float(types, value)
    with working_dtype(dtype):
        trace(measure, inputs)
    unconstrained = make_input("u", shape[0], value.dtype)
    constrained = make_input("x", value.shape, value.dtype)

    def forward(*args: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        t = transform(args[:-1])
        x = t(args[-1])
        return x.expand(value.shape), t.log_abs_det_jacobian(args[-1], x).sum()

    def inverse(*args: torch.Tensor) -> torch.Tensor:
        return transform(args[:-1]).inv(args[-1]).expand(shape[0])

    def record(function: Callable[..., Any], last: Node) -> Graph:
        with working_dtype(dtype):
            return trace(function, [*inputs, last])

    return Support(shape[0], record(forward, unconstrained), functools.partial(record, inverse, constrained))


# ---------------------------------------------------------------- drawing


def draw(
    spec: Any, params: Sequence[torch.Tensor], lead: tuple[int, ...], shape: tuple[int, ...]
) -> torch.Tensor:
    """One draw per element of `lead`, `[*lead, *shape]`. Uses torch's global generator."""
    if getattr(spec, "cls", None) is Normal and all(tuple(p.shape) == lead + shape for p in params):
        return torch.normal(*params)  # by far the most frequent, and the same numbers
    if not lead:
        return put_together(spec, params).sample()
    whole = _try(lambda: put_together(spec, params, lead).sample())
    if whole is not None and tuple(whole.shape) == lead + shape:
        return whole
    count = 1
    for n in lead:
        count *= n
    flat = [p.reshape(count, *p.shape[len(lead) :]) for p in params]
    rows = [put_together(spec, [p[i] for p in flat]).sample() for i in range(count)]
    return torch.stack(rows).reshape(lead + shape) if rows else torch.empty(lead + shape)


def _try(f: Callable[[], Any]) -> Any:
    try:
        return f()
    except (RuntimeError, ValueError, TypeError, IndexError):
        return None
