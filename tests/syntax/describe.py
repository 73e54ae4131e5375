"""The table of families that the checker of `.ppl` files reads, written from the registry."""

from __future__ import annotations

import inspect
import json
from typing import Any

from torch.distributions import constraints as torchs

from ppl.distributions import families
from ppl.distributions.constraints import name_of


def described() -> dict[str, Any]:
    return {family.name: _entry(family) for family in families()}


def _entry(family: Any) -> dict[str, Any]:
    needs = getattr(family.cls, "arg_constraints", {})
    needs = {} if isinstance(needs, property) else needs
    parameters = []
    for parameter in list(inspect.signature(family.cls.__init__).parameters.values())[1:]:
        if parameter.name == "validate_args":
            continue
        entry: dict[str, Any] = {"name": parameter.name}
        if parameter.name in needs and (support := _support(needs[parameter.name])):
            entry["support"] = support
        if parameter.default is not parameter.empty:
            entry["optional"] = True
        parameters.append(entry)
    support = getattr(family.cls, "support", None)
    result: dict[str, Any] = {"parameters": parameters}
    if not isinstance(support, property) and support is not None and (text := _support(support)):
        result["support"] = text
    return {**result, "event_dim": family.event_dim, "discrete": family.discrete}


def _support(constraint: Any) -> str | None:
    """A support in the checker's words: a name, or an interval with its ends."""
    if isinstance(constraint, torchs.independent):
        inner = _support(constraint.base_constraint)
        return f"{inner}[{constraint.reinterpreted_batch_ndims}]" if inner else None
    kinds = {
        "IntegerGreaterThan": "whole {lower} inf", "GreaterThan": "open {lower} inf", "GreaterThanEq": "closed {lower} inf",
        "Interval": "closed {lower} {upper}", "HalfOpenInterval": "closed {lower} {upper}", "Boolean": "whole 0 1",
    }  # fmt: skip
    kind = kinds.get(type(constraint).__name__.lstrip("_"))
    if kind is not None:
        lower, upper = getattr(constraint, "lower_bound", None), getattr(constraint, "upper_bound", None)
        if any(hasattr(bound, "shape") for bound in (lower, upper)):
            return None
        return kind.format(
            lower=f"{lower:g}" if lower is not None else "", upper=f"{upper:g}" if upper is not None else ""
        )
    return name_of(constraint)


def text() -> str:
    rows = (f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in described().items())
    return "{\n" + ",\n".join(rows) + "\n}\n"


if __name__ == "__main__":
    print(text(), end="")
