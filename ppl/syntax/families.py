"""What the checker knows of the distributions, without loading them: `families.json`, which a test compares with the registry.

After a family was added: `python -m tests.syntax.describe > ppl/syntax/families.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter's name, the support its values need (None: the checker can't say), and whether it may be left out."""

    name: str
    support: str | None
    optional: bool


@dataclass(frozen=True, slots=True)
class Family:
    """A distribution: `support` of its values (None: it depends on the parameters), axes of one value, whether they
    are whole numbers.
    """

    name: str
    parameters: tuple[Parameter, ...]
    support: str | None
    event_dim: int
    discrete: bool

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)

    def signature(self) -> str:
        """`Normal(loc, scale)`; what may be left out has a `=`."""
        return f"{self.name}({', '.join(p.name + ('=' if p.optional else '') for p in self.parameters)})"


@cache
def families() -> dict[str, Family]:
    """All of them, by name."""
    table = json.loads((Path(__file__).parent / "families.json").read_text(encoding="utf-8"))
    return {name: _family(name, entry) for name, entry in table.items()}


def _family(name: str, entry: dict[str, object]) -> Family:
    parameters = tuple(
        Parameter(p["name"], p.get("support"), p.get("optional", False))
        for p in entry["parameters"]  # type: ignore[attr-defined]
    )
    support = entry.get("support")
    return Family(
        name,
        parameters,
        str(support) if support is not None else None,
        int(entry["event_dim"]),  # type: ignore[call-overload]
        bool(entry["discrete"]),
    )
