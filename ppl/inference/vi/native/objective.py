"""An objective's estimator as the loop calls it: a function of parameters and noise, with room for the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppl.compiler.engines.native import NOISE, NOISE_MARGIN
from ppl.errors import PplError
from ppl.inference.mcmc.native.densities import PythonDensity
from ppl.inference.vi.native.noise import SIZE, Kind, pools_of, table_of

Array = NDArray[np.float64]
Words = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Objective:
    """A function `(u [D], out [1 + D], env) -> code` that writes an estimate of the objective and its gradient.

    It is a pure function of u, the noise and data, and returns 0, or another number where it failed.

    Args:
        function: its address in machine code, or a Python function.
        dim: D ≥ 1.
        segments: the kinds of the noise, see `noise.table_of`.
        noise: the array that the function reads its noise from, and the loop writes it to.
        env: the function's private words.
        owner: whatever must live as long as the address is used.
    """

    function: int | PythonDensity
    dim: int
    segments: Words
    noise: Array
    env: Words
    owner: Any = None

    @classmethod
    def of_python(
        cls, function: PythonDensity, dim: int, noise: Sequence[tuple[str, int]], env: Words | None = None
    ) -> Objective:
        """A Python function that reads its noise from an array made here.

        >>> import numpy as np
        >>> def square(u, out, env):
        ...     out[0], out[1:] = u @ u, 2 * u
        ...     return 0
        >>> Objective.of_python(square, 2, [("normal", 20)]).noise.shape
        (35,)
        """
        segments = table_of(noise)
        words = np.zeros(0, np.int64) if env is None else env
        return cls(function, dim, segments, _room(segments), words)

    @classmethod
    def of_program(cls, program: Any, data: Sequence[Any], noise: Sequence[Kind] = ()) -> Objective:
        """The estimator that a `NativeProgram` computes: outputs are its value and its gradient.

        Args:
            program: its graph has one varying input, the parameters, and at most one of role "noise", a vector.
            data: tensors for the other inputs, in the order of the graph's.
            noise: kinds and sizes of the segments of the noise vector, in its order.
        """
        import torch

        inputs = [n for n in program.data_inputs if n.attr("role") == NOISE]
        sizes = [int(n.type.shape[0]) for n in inputs]
        pools = pools_of(noise)
        segments = table_of(noise, pools)
        given = segments[:, SIZE].sum()
        if len(inputs) > 1 or sum(sizes) != given:
            raise PplError(
                "the noise doesn't fit the objective",
                expected=f"segments of {' + '.join(map(str, sizes)) or 0} numbers in all, for one input of noise",
                found=f"{given} numbers, for {len(inputs)} such inputs",
            )
        others = iter(data)
        whole = [torch.zeros(n.type.shape) if n in inputs else next(others) for n in program.data_inputs]
        code, environment = program.environment(whole)
        dim = code.source.size_in
        if code.source.size_out != 1 + dim:
            raise PplError(
                "the program is not an objective with its gradient",
                expected=f"{1 + dim} numbers: a value, and a gradient of {dim}",
                found=f"{code.source.size_out} numbers",
            )
        room = environment.array(inputs[0].attr("name")) if inputs else _room(segments)
        return cls(code.address, dim, segments, room, environment.words, (code, environment, pools))


def _room(segments: Words) -> Array:
    """An array that the segments fit in."""
    return np.zeros(segments[:, SIZE].sum() + NOISE_MARGIN)
