"""When numbers stop being numbers: the error for an estimate that is not finite, with the site to blame."""

from __future__ import annotations

import math
from typing import Any

import torch

from ppl.compiler.ops import stacked
from ppl.errors import MethodError, listed
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.groups import Groups

Tensors = dict[str, torch.Tensor]


class Diverged(MethodError):
    """An estimate was not finite. `params` holds the last params at which everything was."""

    params: Tensors


def not_finite(
    compiled: CompiledObjective | Groups, step: int, value: float, params: list[str], good: Tensors, seed: int
) -> Diverged:
    """The error for an estimate that is not finite: it names the first site whose density is not."""
    site, mark = _first_bad(compiled, good, seed)
    what = f"the objective is {value}" if not math.isfinite(value) else "the objective is finite"
    where = f"; the gradient of {listed(params)} is not finite" if params else ""
    error = Diverged(
        f"step {step} of the optimisation gave no number: {what}{where}",
        site=site,
        where=mark,
        expected="finite estimates at every step",
        found=f"the log density of '{site}' is not finite there"
        if site
        else "every site's log density is finite there: the gradient overflowed",
        edit="a smaller learning_rate=, clip=10.0, or a start nearer to the posterior (the guide's init=)"
        if step
        else "start where the density is finite: guide=ppl.guides.mean_field(model, init={…}, scale=0.01)",
    )
    error.params = good
    return error


def _first_bad(compiled: CompiledObjective | Groups, values: Tensors, seed: int) -> tuple[str | None, Any]:
    """The first site, in program order, whose log density at draws from here is not finite."""
    nodes = compiled.objective.densities
    if not nodes:
        return None, None
    found = compiled.sampled(values, seed, 1000, [stacked(x, x.plates) for x in (n.nodes[0] for n in nodes)])
    for node, numbers in zip(nodes, found, strict=True):
        if not bool(torch.isfinite(numbers).all()):
            return node.attr("site").name, node.mark
    return None, None
