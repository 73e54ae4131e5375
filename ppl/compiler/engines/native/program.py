"""The native engine: a graph as machine code, and the data and workspace it runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ppl.compiler.engines.native.columns import arrange
from ppl.compiler.engines.native.function import NOISE, NOT_VECTORISED, VARYING, Source, to_source
from ppl.compiler.engines.native.routines import ROUTINES
from ppl.compiler.engines.native.writer import CALLED as CALLED_SUFFIX
from ppl.compiler.graph import Graph, Node
from ppl.compiler.native import Library, Native, build, from_source
from ppl.compiler.native.special import CALLED, SPECIAL

_ALIGN = 8  # numbers: buffers begin on cache lines

NOISE_MARGIN = 15
"""Numbers by which its array is longer: random numbers are made 16 at a time."""


@dataclass(frozen=True)
class Code:
    """A graph's native function `density(x, out, env)`, by the calling convention of compiled models."""

    source: Source
    text: str
    functions: dict[str, Native[..., Any]]

    @cached_property
    def library(self) -> Library:
        """The machine code, from the cache on disk if it was compiled before."""
        return build([self.functions["density"]], name="density")

    @property
    def address(self) -> int:
        return self.library["density"].address

    def plain(self, x: NDArray[np.float64], out: NDArray[np.float64], data: Sequence[NDArray[Any]]) -> None:
        """Run the text as plain Python, slowly: for debugging."""
        buffers = [np.full(n, np.nan) for n in self.source.buffers]
        self.functions["lowered"](x, out, *data, *buffers, *self.source.numbers)


def compile_source(source: Source) -> Code:
    """The native functions of a source."""
    text = f"{source.text}\n\n{_entry(source)}"
    uses: dict[str, Any] = {"inf": float("inf"), "nan": float("nan")}
    uses |= {name: _function(name, source.vectorise) for name in source.uses}
    functions = {f.name: f for f in from_source(text, "density", uses)}
    return Code(source, text, functions)


def _function(name: str, vectorise: bool) -> Native[..., Any]:
    plain = name.removesuffix(CALLED_SUFFIX)
    return ROUTINES.get(name) or (SPECIAL if plain == name and vectorise else CALLED)[plain]


def _entry(source: Source) -> str:
    """Unpacks the environment: addresses of data and buffers, then numbers."""
    arguments = ["x", "out"]
    kinds = [*source.pointers, *("Floats" for _ in source.buffers)]
    arguments += [f"{'as_floats' if k == 'Floats' else 'as_ints'}(env[{i}])" for i, k in enumerate(kinds)]
    arguments += [f"env[{len(kinds) + i}]" for i in range(len(source.numbers))]
    call = f"lowered({', '.join(arguments)})"
    mark = "" if source.vectorise else NOT_VECTORISED
    return f"{mark}def density(x: Floats, out: Floats, env: Ints) -> i64:\n    return {call}\n"


class Environment:
    """Data and a private workspace, as the words that a native function reads.

    One for each thread: two calls must not share a workspace. Nor must they share noise, so that inputs of this
    role have arrays of their own here, in the place of what was given for them; all others are the arrays given.
    """

    def __init__(self, source: Source, data: Sequence[NDArray[Any]]) -> None:
        self.source = source
        self._given = list(data)
        self.data = [
            _with_margin(array) if node is not None and node.attr("role") == NOISE else array
            for node, array in zip_longest(source.data, data)
        ]
        sizes = [-(-n // _ALIGN) * _ALIGN for n in source.buffers]
        self.workspace = np.zeros(sum(sizes) + _ALIGN)
        start = self.workspace.ctypes.data
        start += -start % (8 * _ALIGN)
        places: Any = start + 8 * np.concatenate([[0], np.cumsum(sizes)[:-1]]) if sizes else []
        self.words = np.array(
            [*(d.ctypes.data for d in self.data), *(int(p) for p in places), *source.numbers, 0], np.int64
        )

    def array(self, name: str) -> NDArray[Any]:
        """What the native function reads for the data input of this name, flat; writing to it changes what the next
        call computes. For an input of role "noise" it is private, and NOISE_MARGIN numbers longer.
        """
        return next(
            a for node, a in zip(self.source.data, self.data, strict=False) if node.attr("name") == name
        )

    def copy(self) -> Environment:
        """The same data with a workspace, and noise, of its own."""
        return Environment(self.source, self._given)


class NativeProgram:
    """A compiled graph: `program(*inputs, seed=0)` gives the tuple of outputs, for one point at a time.

    Args:
        graph: no node varies over a plate; float64 and whole numbers only.

    Raises `Unsupported` if the graph holds an operator that the native engine lacks.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.code = compile_source(to_source(graph))
        self._bound: tuple[tuple[int, ...], tuple[torch.Tensor, ...], Code, Environment] | None = None

    @property
    def source(self) -> str:
        """The loops, as readable Python."""
        return self.code.text

    @cached_property
    def careful(self) -> Code:
        """The same with every index tested, for data with places that count from the end or lie outside."""
        return compile_source(to_source(self.graph, assume=False))

    @property
    def data_inputs(self) -> tuple[Node, ...]:
        """The inputs that are data, noise too, in the order in which they are given."""
        return tuple(n for n in self.graph.inputs if n.attr("role") not in VARYING)

    def bind(self, data: Sequence[torch.Tensor]) -> tuple[Code, list[NDArray[Any]]]:
        """The code that suits the data (in the order of the graph's inputs), and the data as it reads them."""
        given = dict(zip(self.data_inputs, data, strict=True))
        code = self.code if _as_assumed(self.code.source, given) else self.careful
        arrays = [_array(given[n]) for n in code.source.data]
        for place, width in code.source.by_columns:
            arrays[place] = arrange(arrays[place], width)
        return code, arrays + [_array(c.tensor()) for c in code.source.constants]

    def environment(self, data: Sequence[torch.Tensor]) -> tuple[Code, Environment]:
        """Code and a new environment for these data."""
        code, arrays = self.bind(data)
        return code, Environment(code.source, arrays)

    def plain(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """As calling the program, but as plain Python."""
        x, data = self._split(inputs)
        code, arrays = self.bind(data)
        out = np.full(code.source.size_out, np.nan)
        with np.errstate(all="ignore"):
            code.plain(x, out, arrays)
        return self._outputs(out)

    def _split(self, inputs: Sequence[torch.Tensor]) -> tuple[NDArray[np.float64], tuple[torch.Tensor, ...]]:
        """The varying inputs as one vector, and the data."""
        paired = list(zip(self.graph.inputs, inputs, strict=True))
        varying = [t for n, t in paired if n.attr("role") in VARYING]
        flat = [t.detach().to(torch.float64).reshape(-1).numpy() for t in varying]
        x = np.concatenate(flat) if flat else np.zeros(1)
        return x, tuple(t for n, t in paired if n.attr("role") not in VARYING)

    def __call__(self, *inputs: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, ...]:
        x, data = self._split(inputs)
        code, env = self._environment_for(data)
        out = np.empty(code.source.size_out)
        code.library["density"].unchecked(x.ctypes.data, out.ctypes.data, env.words.ctypes.data)
        return self._outputs(out)

    def _environment_for(self, data: tuple[torch.Tensor, ...]) -> tuple[Code, Environment]:
        """Those of the last call, if the data are the same; noise is written into them."""
        paired = list(zip(self.data_inputs, data, strict=True))
        key = tuple(id(t) for node, t in paired if node.attr("role") != NOISE)
        if self._bound is None or self._bound[0] != key:
            code, env = self.environment(data)
            self._bound = (key, data, code, env)  # the data are kept, so that their ids stay theirs
        for node, noise in paired:
            if node.attr("role") == NOISE:
                self._bound[3].array(node.attr("name"))[: noise.numel()] = _array(noise)
        return self._bound[2], self._bound[3]

    def _outputs(self, out: NDArray[np.float64]) -> tuple[torch.Tensor, ...]:
        results, start = [], 0
        for node in self.graph.outputs:
            stop = start + int(np.prod(node.shape))
            part = torch.from_numpy(out[start:stop].copy()).reshape(node.shape)
            results.append(part.to(node.dtype))
            start = stop
        return tuple(results)


def _as_assumed(source: Source, given: dict[Node, torch.Tensor]) -> bool:
    return all(
        not t.numel() or (int(t.min()) >= 0 and int(t.max()) < size)
        for t, size in ((given[n], size) for n, size in source.assume.items())
    )


def _with_margin(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([noise, np.zeros(NOISE_MARGIN)])


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    kind = torch.float64 if tensor.dtype.is_floating_point else torch.int64
    return np.ascontiguousarray(tensor.detach().cpu().to(kind).numpy()).reshape(-1)


__all__ = ["NOISE", "NOISE_MARGIN", "Code", "Environment", "NativeProgram", "compile_source"]
