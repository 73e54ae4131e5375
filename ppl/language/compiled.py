"""A bound program compiled: its log density and gradient over a flat unconstrained vector, and the maps to and from values."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ppl.compiler.engines import engine_named
from ppl.compiler.graph import Graph, Node, Plate, inline, substitute
from ppl.compiler.ops import make, make_input
from ppl.compiler.ops.batching import reshape
from ppl.compiler.passes import PASSES
from ppl.compiler.passes.differentiate import value_and_grad
from ppl.compiler.passes.fold import fold
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.passes.sites import Layout, Lowering, input_for, layouts
from ppl.compiler.passes.vectorise import add_plate, vectorise
from ppl.distributions import family_of
from ppl.distributions.bijectors import biject_to
from ppl.errors import DataError, MethodError, closest
from ppl.language.program import Bound, as_bound
from ppl.language.record import Missing, Recorded, record


@dataclass(frozen=True)
class Part:
    """Where one site lives in the flat vector."""

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]
    layout: Layout
    missing: Missing | None = None


class Compiled:
    """A compiled program. `x` is unconstrained and flat, `[dim]` or a batch `[n, dim]`.

    Attributes: `graph` (log density of x), `recorded`, `parts` (where each site lives in x), `dim`, `engine`.
    """

    def __init__(
        self,
        bound: Bound,
        engine: str = "auto",
        passes: Sequence[str] = PASSES,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        recorded: Recorded | None = None,
    ) -> None:
        self.bound = bound
        self.passes = tuple(passes)
        self.device = device
        self.recorded = record(bound, dtype) if recorded is None else recorded
        self.engine, self.engine_reason = engine_named(engine, self.recorded.graph, device)
        self.layouts = layouts(self.recorded.graph)
        self._cache: dict[Any, Any] = {}

    # ------------------------------------------------------------ layout

    @functools.cached_property
    def dim(self) -> int:
        """The number of unconstrained coordinates."""
        return self.parts[-1].stop if self.parts else 0

    @functools.cached_property
    def x(self) -> Node:
        return make_input("x", (self.dim,), self.recorded.dtype, (), "flat")

    @functools.cached_property
    def parts(self) -> list[Part]:
        """Where each latent site lives in x."""
        parts: list[Part] = []
        start = 0
        for layout in self.layouts:
            missing = self.recorded.missing.get(layout.name)
            _require_movable(layout)
            shape = (missing.count,) if missing is not None else layout.unconstrained
            size = 1
            for n in shape:
                size *= n
            parts.append(Part(layout.name, start, start + size, shape, layout, missing))
            start += size
        return parts

    def _require_no_params(self) -> None:
        if self.recorded.params:
            name = next(iter(self.recorded.params))
            raise MethodError(
                f"param '{name}' has no prior, so its posterior is not defined",
                expected="sites only",
                found=f"params {', '.join(self.recorded.params)}",
                edit=f'{name} = ppl.sample("{name}", Flat()), or a method that optimises params',
            )

    def _read(self, lowering: Lowering) -> tuple[dict[tuple[str, str], Node], Any]:
        """Lower the program with every site read off the flat vector."""
        supplies, jacobian = self._supplies()
        reading, _, _ = lowering.run(self.recorded.graph, supplies)
        return reading.parts, (reading.total, jacobian)

    def _supplies(self) -> tuple[dict[str, Node], list[Node]]:
        supplies: dict[str, Node] = {}
        jacobians = []
        for part in self.parts:
            u = make("slice", self.x, dim=-1, start=part.start, stop=part.stop, step=1) if (part.start, part.stop) != (0, self.dim) else self.x
            u = reshape(u, part.shape)
            if part.missing is not None:
                u, jacobian = _fill(part, u)
                jacobians.append(jacobian)
            supplies[part.name] = u
        return supplies, jacobians

    def _policy(self, effect: Any) -> str:
        return "value" if effect.name in self.recorded.missing else "unconstrained"

    # ------------------------------------------------------------ graphs

    @functools.cached_property
    def graph(self) -> Graph:
        """log p(x) + log |Jacobian|, as a function of x and the data."""
        self._require_no_params()
        _, (total, jacobians) = self._read(Lowering(self._policy))
        for jacobian in jacobians:
            total = make("add", total, jacobian)
        if not isinstance(total, Node):
            from ppl.compiler.ops import full

            total = full(total, (), self.recorded.dtype)
        return self._finish(Graph((self.x, *self.recorded.graph.inputs), (total,), names=("log_density",)))

    @functools.cached_property
    def gradient_graph(self) -> Graph:
        """(log p, d log p / dx)."""
        graph = value_and_grad(self.graph, [self.x])
        return simplify(graph) if "simplify" in self.passes else graph

    @functools.cached_property
    def values_graph(self) -> Graph:
        """Every site's value, and the deterministics, as functions of x."""
        parts, _ = self._read(Lowering(self._policy, frozenset({"value", "deterministic"}), total=False))
        outputs = {name: node for (_, name), node in parts.items()}
        for part in self.parts:
            if part.missing is not None:
                flat = reshape(outputs[part.name], (_numel(outputs[part.name]),))
                outputs[part.name] = make("index", flat, part.missing.places, positions=(0,))
        return self._finish(Graph((self.x, *self.recorded.graph.inputs), tuple(outputs.values()), names=tuple(outputs)))

    @functools.cached_property
    def pointwise_graph(self) -> Graph:
        """Pointwise log densities of the observed sites."""
        parts, _ = self._read(Lowering(self._policy, frozenset({"log_density"}), total=False))
        outputs = {name: node for (_, name), node in parts.items()}
        return self._finish(Graph((self.x, *self.recorded.graph.inputs), tuple(outputs.values()), names=tuple(outputs)))

    @functools.cached_property
    def sites_graph(self) -> Graph:
        """The log density of every site, elementwise."""
        parts, _ = self._read(Lowering(self._policy, frozenset({"site"}), total=False))
        outputs = {name: node for (_, name), node in parts.items()}
        return self._finish(Graph((self.x, *self.recorded.graph.inputs), tuple(outputs.values()), names=tuple(outputs)))

    @functools.cached_property
    def inverse_graph(self) -> Graph:
        """x as a function of every site's value (inputs in the order of `parts`)."""
        values = {p.name: input_for(p.layout, False) for p in self.parts}
        lowering = _Inverse(lambda e: "value", frozenset({"value"}), total=False)
        reading, _, _ = lowering.run(self.recorded.graph, values)
        pieces = []
        for part in self.parts:
            node = reading.parts["value", part.name]
            if part.missing is not None:
                flat = reshape(values[part.name], (_numel(values[part.name]),))
                held = make("index", flat, part.missing.places, positions=(0,))
                node = inline(_elementwise(part)[1], [held])[0]
            pieces.append(reshape(node, (part.stop - part.start,)))
        out = make("cat", *pieces, dim=-1) if len(pieces) > 1 else pieces[0]
        return self._finish(Graph((*values.values(), *self.recorded.graph.inputs), (out,)))

    def _finish(self, graph: Graph) -> Graph:
        return simplify(graph) if "simplify" in self.passes else graph

    # ------------------------------------------------------------ running

    @functools.cached_property
    def data(self) -> dict[Node, torch.Tensor]:
        return {n: t.to(self.device) for n, t in self.recorded.data.items()}

    def program(self, which: str, batch: int | None = None) -> Any:
        """The compiled callable of a graph ("graph", "gradient_graph", …), batched over a leading axis of `batch`."""
        key = (which, batch)
        if key not in self._cache:
            graph: Graph = getattr(self, which)
            data = self.data
            if "fold" in self.passes:
                graph, data = fold(graph, data)
            flat = [n for n in graph.inputs if n.attr("role") in ("flat", "value")]
            if batch is not None:
                plate = Plate(-1, "batch", batch)
                graph = add_plate(graph, flat, plate)
                physical = vectorise(graph, (plate,))
            else:
                physical = vectorise(graph)
            rest = [constant_input(self.recorded, n, data, self.device) for n in graph.inputs if n.attr("role") not in ("flat", "value")]
            program = self.engine.compile(physical, self.device)
            self._cache[key] = lambda *xs: program(*xs, *rest)
        return self._cache[key]

    def _call(self, which: str, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if x.shape[-1:] != (self.dim,) or x.dim() > 2:
            raise DataError(
                "the vector has the wrong size", expected=f"[{self.dim}] or [n, {self.dim}]", found=f"shape {list(x.shape)}"
            )
        x = x.to(self.recorded.dtype)
        with torch.no_grad():
            return self.program(which, x.shape[0] if x.dim() == 2 else None)(x)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """log p(x, data) plus the log-Jacobian of the map onto the sites' supports; `[]` or `[n]`."""
        return self._call("graph", x)[0]

    def value_and_grad(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(log density, its gradient); shapes `[]` and `[dim]`, or `[n]` and `[n, dim]`."""
        value, grad = self._call("gradient_graph", x)
        return value, grad

    def constrain(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every site's value (and deterministics) at x, by name; a batch has its axis first."""
        return dict(zip(self.values_graph.names, self._call("values_graph", x), strict=True))

    def pointwise_log_likelihood(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """log p(y_i | …) for every observed element."""
        return dict(zip(self.pointwise_graph.names, self._call("pointwise_graph", x), strict=True))

    def unconstrain(self, values: Mapping[str, Any]) -> torch.Tensor:
        """The flat vector at which the sites take these values (batched if they have one more leading axis)."""
        tensors = []
        for part in self.parts:
            if part.name not in values:
                near = closest(part.name, values) or [part.name]
                raise DataError(f"no value for site '{part.name}'", expected=f"values for {', '.join(p.name for p in self.parts)}", edit=f"add {near[0]}=…")
            tensors.append(torch.as_tensor(values[part.name]).to(part.layout.dtype))
        extra = tensors[0].dim() - len(self.parts[0].layout.shape) if tensors else 0
        with torch.no_grad():
            return self.program("inverse_graph", tensors[0].shape[0] if extra == 1 else None)(*tensors)[0]

    @property
    def sampler(self) -> Any:
        """`sampler(seed, n)`: n joint draws of all sites from the program, by name."""
        from ppl.language.sampling import Sampler

        return Sampler(self.recorded, self.engine, self.device)

    def explain(self) -> Any:
        from ppl.language.explain import explain

        return explain(self)


def _require_movable(layout: Layout) -> None:
    """Refuse latent sites that no continuous coordinate can describe."""
    family = family_of(layout.effect.site.spec.cls)
    if not layout.discrete and not family.atoms:
        return
    what = "is discrete" if layout.discrete else "has points of positive probability"
    raise MethodError(
        f"site '{layout.name}' {what} ({family.name}): there is no gradient in it",
        site=layout.name,
        where=layout.effect.node.mark,
        expected="continuous latent sites",
        found=f"a latent {family.name}",
        edit="observe it, or sum it out by hand (torch.logsumexp over its values in a ppl.factor)",
    )


def constant_input(recorded: Recorded, node: Node, data: Mapping[Node, torch.Tensor], device: str) -> torch.Tensor:
    """The tensor of an input that isn't a site: data, a param's starting value, the first elements of a subsample."""
    if node in data:
        return data[node]
    if node.attr("role") == "param":
        return recorded.params[node.attr("name")].init.to(device)
    return torch.arange(node.shape[0], device=device)


class _Inverse(Lowering):
    """Reads every random choice as a value and reports where it lies in unconstrained space."""

    def _keep(self, reading: Any, kind: str, name: str, value: Node | None, inner: Any) -> None:
        if kind == "value" and value is not None:
            super()._keep(reading, kind, name, value, inner)

    def _sample(self, e: Any, original: Node, memo: Any, supplies: Any, inner: Any, reading: Any, hidden: bool) -> list[Node]:
        from ppl.compiler import specs
        from ppl.compiler.ops import plate_slice

        x = supplies[e.name]
        for plate in inner:
            x = plate_slice(x, plate)
        memo[original] = x
        support = specs.bijector(e.site.spec, tuple(p.type for p in e.params), e.node.type)
        self._keep(reading, "value", e.name, inline(support.inverse, [*e.params, x])[0], inner)
        return []


def _numel(node: Node) -> int:
    count = 1
    for n in node.shape:
        count *= n
    return count


def _elementwise(part: Part) -> tuple[Graph, Graph]:
    """The bijector of a univariate support for a vector of missing elements: (u → x, log-Jacobian), (x → u)."""
    from torch.distributions import constraints

    from ppl.compiler.specs import put_together
    from ppl.compiler.tracer import trace

    assert part.missing is not None
    metas = [torch.empty(p.shape, dtype=p.dtype, device="meta") for p in part.layout.effect.params]
    support = put_together(part.layout.effect.site.spec, metas).support
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    t = biject_to(support)
    u = make_input("u", (part.missing.count,), part.layout.dtype)

    def forward(u: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = t(u)
        return x, t.log_abs_det_jacobian(u, x).sum()

    return trace(forward, [u]), trace(lambda x: t.inv(x), [u])


def _fill(part: Part, u: Node) -> tuple[Node, Node]:
    """All elements of a partly observed site, its holes filled from u; and the log-Jacobian."""
    assert part.missing is not None
    x, jacobian = inline(_elementwise(part)[0], [u])
    data, places = part.missing.data, part.missing.places
    flat = reshape(data, (_numel(data),))
    change = make("sub", x, make("index", flat, places, positions=(0,)))
    moved = make("index_put_add", change, places, positions=(0,), shape=flat.shape)
    return reshape(make("add", flat, moved), data.shape), jacobian


def compile(b: Bound, engine: str = "auto", *, device: str = "cpu", passes: Sequence[str] = PASSES, dtype: torch.dtype | None = None) -> Compiled:
    """Compile a bound program.

    Args:
        b: the program, with its data conditioned on.
        engine: "torch", "inductor" or "auto".
        passes: the optional passes to run (`ppl.compiler.passes.PASSES`); leaving one out never changes a result.

    Returns:
        `.log_density(x)`, `.value_and_grad(x)`, `.constrain(x)`, `.unconstrain(values)`, `.sampler`, `.graph`, `.explain()`;
        x is unconstrained and flat.

    >>> import ppl, torch
    >>> from ppl.distributions import Normal
    >>> @ppl.model
    ... def m():
    ...     x = ppl.sample("x", Normal(0.0, 1.0))
    ...     ppl.sample("y", Normal(x, 1.0))
    >>> c = ppl.compile(m().condition(y=1.0))
    >>> value, grad = c.value_and_grad(torch.zeros(1, dtype=torch.float64))
    >>> round(float(value), 4), float(grad[0])
    (-2.3379, 1.0)
    """
    return Compiled(as_bound(b), engine, passes, device, dtype)


__all__ = ["Compiled", "Part", "compile", "substitute"]
