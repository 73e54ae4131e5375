"""Marginals and normalised programs outside objectives: each question is an objective of its own, run once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from ppl.compiler.engines import TORCH
from ppl.compiler.estimators.assemble import sampler
from ppl.compiler.graph import Graph, Node, Plate
from ppl.compiler.passes.simplify import simplify
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.tracer import working_dtype
from ppl.errors import StructureError
from ppl.language import checks
from ppl.language.interpret import interpret
from ppl.language.marginals import Law, Marginal
from ppl.language.program import Bound, Program
from ppl.language.readings import constant_input
from ppl.language.record import Recorded
from ppl.language.traces import Trace


def simulate(law: Law, seed: int, params: Mapping[str, Any] | None) -> Trace:
    """A run of the law's program; its trace shows the choices of the law alone."""
    if isinstance(law, Marginal):
        trace = interpret(law.bound, seed=seed, params=params)
        shown = {n: s for n, s in trace.sites.items() if n in law.keep or n in trace.deterministics}
        trace = replace(trace, sites=shown)
    else:
        drawn: list[str] = []

        def draw() -> list[torch.Tensor]:
            from ppl.language.gfi import simulate

            values = simulate(law)
            drawn[:] = list(values)
            return [values[name] for name in drawn]

        numbers = _run(draw, seed, params)
        trace = interpret(law.bound, dict(zip(drawn, numbers, strict=True)), params=params, draw=False)
    return replace(trace, undefined=_not_of_the_run(law))


def log_density(law: Law, choices: Mapping[str, Any], params: Mapping[str, Any] | None) -> torch.Tensor:
    """The log density of the law at these choices, or an estimate of it by its importance sampler."""
    given = {name: checks.as_tensor(choices[name], torch.float64) for name in choices}

    def score() -> torch.Tensor:
        from ppl.language.gfi import log_density

        return log_density(law, given)

    return _run(score, 0, params)[0]


def _not_of_the_run(law: Law) -> StructureError:
    return StructureError(
        f"one run of {law.name} does not say its density",
        expected="the density of the choices that the law has, others integrated out",
        found="trace.log_density",
        edit="ppl.log_density(law, trace.latents)",
    )


def _run(function: Callable[[], Any], seed: int, params: Mapping[str, Any] | None) -> list[torch.Tensor]:
    from ppl.language.objectives import record_objective

    function.__name__ = "law"
    recorded = record_objective(Bound(Program(function, "objective")), torch.float64, number=False).recorded
    batch = Plate(-1, "estimate", 1)
    with working_dtype(recorded.dtype):
        drawn = simplify(sampler(Graph(recorded.graph.inputs, recorded.graph.outputs), batch))
        program = TORCH.compile(vectorise(drawn, (batch,)), "cpu")
    with torch.no_grad():
        found = program(*(_input(recorded, n, params or {}) for n in drawn.inputs), seed=seed)
    return [value[0] for value in found]


def _input(recorded: Recorded, node: Node, params: Mapping[str, Any]) -> torch.Tensor:
    if node.attr("role") == "param" and node.attr("name") in params:
        return checks.as_tensor(params[node.attr("name")], recorded.dtype)
    return constant_input(recorded, node, recorded.data, "cpu")
