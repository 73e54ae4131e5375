"""Log densities as the native loop calls them, made from Python functions, and the way back."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Words = NDArray[np.int64]
PythonDensity = Callable[[Array, Array, Words], int]

_SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int64,
    ctypes.POINTER(ctypes.c_double),
    ctypes.POINTER(ctypes.c_double),
    ctypes.POINTER(ctypes.c_int64),
)


@dataclass(slots=True)
class Callback:
    """A machine address that calls a Python density.

    An exception can't cross machine code: the first one is kept in `error` and all later calls report failure.

    Args:
        function: `(x [dim], out [1 + dim], env) -> code`.
        dim, words: the lengths of x and of env.
        on_error: called, once, when there is an exception.
    """

    function: PythonDensity
    dim: int
    words: int
    on_error: Callable[[], None]
    error: BaseException | None = None
    _pointer: ctypes._FuncPointer | None = field(default=None, repr=False)

    @property
    def address(self) -> int:
        """Good as long as this object lives."""
        if self._pointer is None:
            self._pointer = _SIGNATURE(self._call)
        return ctypes.cast(self._pointer, ctypes.c_void_p).value or 0

    def _call(self, x: ctypes._Pointer, out: ctypes._Pointer, env: ctypes._Pointer) -> int:
        if self.error is not None:
            return 1
        try:
            point = np.ctypeslib.as_array(x, (self.dim,))
            result = np.ctypeslib.as_array(out, (1 + self.dim,))
            with np.errstate(
                all="ignore"
            ):  # overflow far from the mode is expected: the sampler tests for it
                return int(self.function(point, result, np.ctypeslib.as_array(env, (self.words,))))
        except BaseException as error:
            self.error = error
            self.on_error()
            return 1


def python_density(address: int) -> PythonDensity:
    """The density at an address, as a function of arrays.

    >>> def parabola(x, out, env):
    ...     out[0], out[1] = -0.5 * x[0] * x[0], -x[0]
    ...     return 0
    >>> there = Callback(parabola, 1, 0, lambda: None)
    >>> out = np.zeros(2)
    >>> python_density(there.address)(np.array([2.0]), out, np.zeros(0, np.int64)), out.tolist()
    (0, [-2.0, -2.0])
    """
    pointer = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(address)
    return lambda x, out, env: pointer(x.ctypes.data, out.ctypes.data, env.ctypes.data)


def for_plain_python(density: int | PythonDensity, dim: int) -> PythonDensity:
    """A density for the sampler run as plain Python, whose pointers are arrays without an end.

    >>> whole = for_plain_python(lambda x, out, env: print(len(x), len(out)) or 0, 3)
    >>> whole(np.zeros(99), np.zeros(99), np.zeros(0, np.int64))
    3 4
    0
    """
    function = density if callable(density) else python_density(density)

    def call(x: Array, out: Array, env: Words) -> int:
        with np.errstate(all="ignore"):
            return int(function(x[:dim], out[: 1 + dim], env))

    return call


class DensityTarget:
    """A native density as a `Target` of the other samplers, for `find_initial_points`.

    Args:
        density: its address, or a Python function `(x, out, env) -> code`.
        env: its private words.
        dim: D.

    >>> def parabola(x, out, env):
    ...     out[0], out[1] = -0.5 * x[0] * x[0], -x[0]
    ...     return 0
    >>> DensityTarget(parabola, np.zeros(0, np.int64), 1).value_and_grad(np.array([[1.0], [2.0]]))[0].tolist()
    [-0.5, -2.0]
    """

    def __init__(self, density: int | PythonDensity, env: Words, dim: int) -> None:
        self.dim = dim
        self._call = density if callable(density) else python_density(density)
        self._env = env

    def value_and_grad(self, q: Array) -> tuple[Array, Array]:
        """Log densities [W] and gradients [W, D] at the rows of q [W, D]; nan where the density fails."""
        result = np.zeros((q.shape[0], 1 + self.dim))
        for row, point in zip(result, np.ascontiguousarray(q, np.float64), strict=True):
            if self._call(point, row, self._env) != 0:
                row[:] = np.nan
        return result[:, 0], result[:, 1:]
