"""The posterior of a fit to a loader's batches: draws of what all elements share, weighed in one more epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ppl.compiler.engines.torch_engine import key
from ppl.errors import PplError
from ppl.inference.posterior import ModelPredictor, dims_of, fixed_values
from ppl.inference.run import Run
from ppl.inference.vi.compiled import CompiledObjective
from ppl.inference.vi.loader import Tensors
from ppl.inference.vi.minibatch import left_out
from ppl.inference.vi.streamed import Stream, bind, weighed
from ppl.language.compiled import Compiled
from ppl.language.gfi import log_density, simulate
from ppl.language.program import Bound, Program
from ppl.results import Posterior


class BatchPredictor(ModelPredictor):
    """Predictions for data that are given: no batch is the data."""

    def posterior_predictive(self, bound: Any, draws: Any, seed: int) -> dict[str, np.ndarray]:
        return super().posterior_predictive(self._given(bound), draws, seed)

    def prior_predictive(self, bound: Any, draws: int, seed: int) -> dict[str, np.ndarray]:
        return super().prior_predictive(self._given(bound), draws, seed)

    def _given(self, bound: Any) -> Any:
        if bound is None:
            program = self.compiled.bound.program
            raise PplError(
                f"{program.name} was fitted to the batches of a loader: there is no one data set to predict",
                expected="the model with arguments",
                found="nothing",
                edit=f"posterior.predict({program.name}({', '.join(program.signature.parameters)}))",
            )
        return bound


def posterior_of(
    run: Run, stream: Stream, guide: Bound, model: Compiled, values: Tensors, facts: dict[str, Any]
) -> tuple[Posterior, np.ndarray | None]:
    """The posterior of the random choices outside the plate of the batches, and their log weights where these are
    known: where every element is seen once in an epoch and has no random choice of its own.

    Args:
        guide: that of the first batch.
        model: that of the first batch, with the fitted params.
        values: of all params.
    """
    names = [lay.name for lay in model.layouts if lay.name not in stream.local]

    def plain(q: Any) -> Any:
        z: Any = simulate(q)
        return [z[name] for name in names]

    draws: dict[str, torch.Tensor] = {}
    named: dict[str, np.ndarray] = {}
    if names:
        objective = CompiledObjective(
            Program(plain, "objective")(guide), model.recorded.dtype, run.device, number=False
        )
        draws = dict(zip(names, _sampled(objective, values, run), strict=True))
    if names and not stream.local:
        named = fixed_values(model, draws, run.seed)
    else:
        named = {name: value.cpu().numpy()[None] for name, value in draws.items()}
    kept = {n: v for n, v in named.items() if run.keep is None or n in run.keep}
    dims = {n: d for n, d in dims_of(model).items() if n in kept}
    weights = _log_weights(run, stream, guide, names, values, facts) if names else None
    return Posterior(kept, dims, run.coords, attrs=facts, predictor=BatchPredictor(model)), weights


def _sampled(objective: CompiledObjective, values: Tensors, run: Run) -> list[torch.Tensor]:
    given = objective.values({n: v for n, v in values.items() if n in objective.params})
    outputs = objective.objective.recorded.graph.outputs
    return objective.sampled(given, key(run.seed, "draws"), run.draws, outputs)


def _log_weights(
    run: Run, stream: Stream, guide: Bound, names: list[str], values: Tensors, facts: dict[str, Any]
) -> np.ndarray | None:
    """log p − log q, the likelihood added up batch by batch."""
    amortised = any(name in guide.arguments for name in stream.batches.first)
    total = stream.total(stream.plate)
    if (why := left_out(run.draws, total)) is not None:
        facts["weights"] = why
    if stream.local or amortised or why is not None:
        return None

    def terms(p: Any, prior: Any, q: Any) -> Any:
        z: Any = simulate(q)
        shared = log_density(prior, z)
        return [log_density(p, z) - shared, shared - log_density(q, z)]

    made: dict[Any, tuple[CompiledObjective, int]] = {}
    weights, seen = torch.zeros(()), 0
    for batch in stream.batches.once():
        form = tuple((name, v.shape) for name, v in sorted(batch.items()))
        if form not in made:
            model = bind(stream.model, batch)
            bound = Program(terms, "objective")(model, weighed(model, stream.plate, 0.0), guide)
            objective = CompiledObjective(bound, run.dtype, run.device, number=False, batch=list(batch))
            made[form] = objective, stream.size_of(batch)
        objective, size = made[form]
        objective.feed(batch)
        try:
            likelihood, rest = _sampled(objective, values, run)
        except PplError:  # a guide without a density
            return None
        weights = weights + likelihood + (rest if seen == 0 else 0.0)
        seen += size
    return weights.cpu().numpy() if seen == total else None
