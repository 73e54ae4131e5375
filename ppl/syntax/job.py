"""A file made ready to run: a bound model, its data, and the settings of inference.

Arguments and data come from the file's `data:` block and from what the caller gives; what the caller gives wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ppl.errors import DataError, MethodError, closest, listed
from ppl.language.program import Bound
from ppl.language.reparam import NonCentered
from ppl.syntax.load import SourceModule, SourceProgram

_PROGRAMS = ("guide", "objective")


@dataclass(frozen=True, slots=True)
class Job:
    """`ppl.infer(job.model, job.data, coords=job.coords, **job.options)` is what `ppl run` does."""

    model: Bound
    data: dict[str, Any] = field(default_factory=dict)
    coords: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    """Sites that a summary leaves out: the coordinates behind non-centred ones."""


def job(module: SourceModule, data: Mapping[str, Any] | None = None, **options: Any) -> Job:
    """Bind a file's model to data.

    Args:
        module: what `ppl.load` gave.
        data: values by name; they take the place of those in the file.
        options: of `infer`; they take the place of those in the file. `model` names the model if there are several.

    Raises:
        DataError: an argument is missing, or the model has nothing of a datum's name.
    """
    settings = {**module.infer, **{k: v for k, v in options.items() if v is not None}}
    program = _model(module, settings.pop("model", None))
    given = {**module.data, **(data or {})}
    labels = {
        n: v for n, v in given.items() if isinstance(v, list) and v and all(isinstance(x, str) for x in v)
    }
    values = {n: v for n, v in given.items() if n not in labels}
    parameters = program.signature.parameters
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in values]
    if missing:
        raise DataError(
            f"the model {program.name} needs {listed(missing)}",
            expected=f"{program.name}{program.signature}",
            found=f"data for {listed(values)}" if values else "no data",
            edit=f"--data file.json with {missing[0]}, or a data: block",
        )
    arguments = {n: values[n] for n in parameters if n in values}
    bound = program(**arguments)
    reparam = settings.pop("reparam", None) or []
    names = [reparam] if isinstance(reparam, str) else reparam
    if names:
        bound = bound.reparam({name: NonCentered() for name in names})
    rest = {n: _number(v) for n, v in values.items() if n not in parameters}
    hidden = tuple(f"{name}_base" for name in names)
    return Job(bound, rest, labels, _method(module, settings, arguments), hidden)


def _number(value: Any) -> Any:
    import numpy as np

    return np.asarray(value, dtype=float) if isinstance(value, list) else value


def _model(module: SourceModule, name: str | None) -> SourceProgram:
    models = {n: p for n, p in module.programs.items() if p.kind == "model"}
    if name is None and models:
        return list(models.values())[-1]  # type: ignore[return-value]
    if name not in models:
        near = closest(name, models) if name is not None else []
        raise DataError(
            f"there is no model {name}" if name is not None else "there is no model in this file",
            expected=listed(models) or "model name(…):",
            edit=f"--model {near[0]}" if near else None,
        )
    return models[name]  # type: ignore[return-value]


def _method(module: SourceModule, settings: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """`guide = mean_field` names a guide of the file, else one of ppl.guides; `objective` likewise."""
    for kind in _PROGRAMS:
        name = settings.get(kind)
        if not isinstance(name, str):
            continue
        program = module.visible.get(name)
        if program is not None and program.kind != kind:
            raise MethodError(f"{name} is a {program.kind}, not a {kind}", edit=f"{kind} = …")
        if program is not None and kind == "guide":
            own = {n: v for n, v in arguments.items() if n in program.signature.parameters}
            settings[kind] = program(**own)
        elif program is not None:
            settings[kind] = program
    return settings
