"""A bound program compiled: its log density and gradient over a flat unconstrained vector, and the maps to
and from values.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ppl.compiler.engines import TORCH, Engine, check_engine, choose
from ppl.compiler.graph import Graph, Node, Plate
from ppl.compiler.passes import PASSES
from ppl.compiler.passes.contract import contract
from ppl.compiler.passes.fold import Folded, fold
from ppl.compiler.passes.layouts import layouts
from ppl.compiler.passes.vectorise import add_plate
from ppl.compiler.portable import remembered
from ppl.compiler.tracer import working_dtype
from ppl.errors import DataError, closest, listed
from ppl.language.program import Bound, as_bound
from ppl.language.readings import Part, Readings, constant_input
from ppl.language.record import Recorded, record


class Compiled(Readings):
    """A compiled program. `x` is unconstrained and flat, `[dim]` or a batch `[n, dim]`. Subsampled plates have
    all their elements here.

    Attributes: `graph` (log density of x), `recorded`, `parts` (where each site lives in x), `dim`, `engine`.
    """

    DENSITIES = ("graph", "gradient_graph")
    """What inference loops call; other graphs run on the torch engine where the chosen one takes one point."""

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
        self.recorded = record(bound, dtype, whole=True) if recorded is None else recorded
        check_engine(engine)
        self._wanted_engine = engine
        self.layouts = layouts(self.recorded.graph)
        self._cache: dict[Any, Any] = {}

    # ------------------------------------------------------------ running

    @functools.cached_property
    def data(self) -> dict[Node, torch.Tensor]:
        return {n: t.to(self.device) for n, t in self.recorded.data.items()}

    @functools.cached_property
    def _chosen(self) -> tuple[Engine, str]:
        if self.dim == 0 and self._wanted_engine == "auto":
            return TORCH, "there is nothing to differentiate"
        return choose(
            self._wanted_engine,
            lambda: self._ready("gradient_graph", None)[0],
            self.device,
            self.recorded.dtype,
        )

    @property
    def engine(self) -> Engine:
        """The engine that runs the density and its gradient."""
        return self._chosen[0]

    @property
    def engine_reason(self) -> str:
        return self._chosen[1]

    @property
    def batch_engine(self) -> Engine:
        """The engine that runs whatever else there is: draws, values, many points at once."""
        return TORCH if self._wanted_engine in ("auto", "native", "torch") else self.engine

    def program(self, which: str, batch: int | None = None) -> Any:
        """The compiled callable of a graph ("graph", "gradient_graph", …), batched over a leading
        axis of `batch`.
        """
        key = (which, batch)
        if key not in self._cache:
            one_point = self.engine.pointwise and which in self.DENSITIES
            if one_point and batch is not None:
                self._cache[key] = _rows(self.program(which))
            else:
                graph, rest = self._ready(which, batch)
                program = (self.engine if one_point else self.batch_engine).compile(graph, self.device)
                self._cache[key] = _bound(program, rest)
        return self._cache[key]

    def _ready(self, which: str, batch: int | None) -> tuple[Graph, list[torch.Tensor]]:
        """A graph as engines take it, and its inputs but for the points."""
        key = ("ready", which, batch)
        if key not in self._cache:
            with working_dtype(self.recorded.dtype):
                known = which == "gradient_graph" and batch is None
                physical = self._gradient() if known else self._physical(getattr(self, which), batch)
            graph, data = physical.graph, physical.data(self.data)
            self._cache[key] = (
                graph,
                [
                    constant_input(self.recorded, n, data, self.device)
                    for n in graph.inputs
                    if n.attr("role") not in ("flat", "value")
                ],
            )
        return self._cache[key]

    def native(self) -> tuple[Any, list[torch.Tensor]]:
        """The native program of value and gradient, and its data."""
        graph, rest = self._ready("gradient_graph", None)
        if "native" not in self._cache:
            self._cache["native"] = self.engine.compile(graph, self.device)
        return self._cache["native"], rest

    def _gradient(self) -> Folded:
        """The gradient as engines take it: known from an earlier process if the density was the same."""
        data = tuple(i for i, n in enumerate(self._lowered.inputs) if n in self.recorded.data)
        return remembered(
            "gradient",
            (self._lowered, self.passes, self.recorded.dtype, data),
            lambda: self._physical(self.gradient_graph, None),
            lambda folded: (folded.graph, folded.made),
            lambda packed: Folded(*packed),
        )

    def _physical(self, graph: Graph, batch: int | None) -> Folded:
        """The graph without plates, its data-only parts taken out."""
        graph = contract(graph) if "contract" in self.passes else graph
        folded = fold(graph, self.recorded.data if "fold" in self.passes else ())
        if batch is None:
            return folded.vectorised()
        plate = Plate(-1, "batch", batch)
        flat = [n for n in folded.graph.inputs if n.attr("role") in ("flat", "value")]
        return Folded(add_plate(folded.graph, flat, plate), folded.made).vectorised((plate,))

    def _call(self, which: str, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if x.shape[-1:] != (self.dim,) or x.dim() > 2:
            raise DataError(
                "the vector has the wrong size",
                expected=f"[{self.dim}] or [n, {self.dim}]",
                found=f"shape {list(x.shape)}",
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
        """The flat vector at which the sites take these values (batched if they have one more
        leading axis).
        """
        tensors = []
        for part in self.parts:
            if part.name not in values:
                near = closest(part.name, values) or [part.name]
                raise DataError(
                    f"no value for site '{part.name}'",
                    expected=f"values for {listed((p.name for p in self.parts), part.name)}",
                    edit=f"add {near[0]}=…",
                )
            tensors.append(torch.as_tensor(values[part.name]).to(part.layout.dtype))
        extra = tensors[0].dim() - len(self.parts[0].layout.shape) if tensors else 0
        with torch.no_grad():
            return self.program("inverse_graph", tensors[0].shape[0] if extra == 1 else None)(*tensors)[0]

    @property
    def sampler(self) -> Any:
        """`sampler(seed, n)`: n joint draws of all sites from the program, by name."""
        from ppl.language.sampling import Sampler

        return Sampler(self.recorded, self.batch_engine, self.device)

    def explain(self) -> Any:
        from ppl.language.explain import explain

        return explain(self)


def compile(
    b: Bound,
    engine: str = "auto",
    *,
    device: str = "cpu",
    passes: Sequence[str] = PASSES,
    dtype: torch.dtype | None = None,
) -> Compiled:
    """Compile a bound program.

    Args:
        b: the program, with its data conditioned on.
        engine: "torch", "inductor" or "auto".
        passes: the optional passes to run (`ppl.compiler.passes.PASSES`); leaving one out never
            changes a result.

    Returns:
        `.log_density(x)`, `.value_and_grad(x)`, `.constrain(x)`, `.unconstrain(values)`,
        `.sampler`, `.graph`, `.explain()`;
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


__all__ = ["Compiled", "Part", "compile"]


def _bound(program: Any, rest: Sequence[torch.Tensor]) -> Any:
    return lambda *xs: program(*xs, *rest)


def _rows(program: Any) -> Any:
    """A program of one point, for a batch of them."""

    def run(*xs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = [program(*(x[i] for x in xs)) for i in range(xs[0].shape[0])]
        return tuple(torch.stack(column) for column in zip(*rows, strict=True))

    return run
