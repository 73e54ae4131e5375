"""The native engine: a graph becomes loops in a readable subset of Python, and these machine code.

    decompose    composite operators as simpler ones
    statements   what must run in loops and be stored: reductions, scatters, stored values
    probe        what a statement reads, and in which order its loops run
    schedule     which statements share a loop
    lower        writes the loops; `frame` reads elements of nodes, `pointwise` writes operators, `index` and
                 `writer` are arithmetic on indices and the text
    regions      scans and switches; `blocks` calls of `routines` (factorisations, running sums)
    function     a graph as one function; `program` its machine code, data and workspace

It computes one point at a time, in float64, on the CPU: what the inference loops call a million times.
"""

from __future__ import annotations

from ppl.compiler.engines.native.pointwise import Unsupported
from ppl.compiler.engines.native.program import NOISE, NOISE_MARGIN, Environment, NativeProgram

__all__ = ["NOISE", "NOISE_MARGIN", "Environment", "NativeProgram", "Unsupported"]
