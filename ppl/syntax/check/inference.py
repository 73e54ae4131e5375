"""The `infer:` block: options, methods, programs of the file that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ppl.inference.methods import METHODS
from ppl.syntax import tree
from ppl.syntax.check.near import near
from ppl.syntax.format import expression_text
from ppl.syntax.problems import Problem

OPTIONS = (
    "method", "model", "guide", "objective", "draws", "warmup", "chains", "seed", "device", "engine",
    "dtype", "keep", "target_accept", "max_treedepth", "metric", "steps", "particles", "optimizer",
    "learning_rate", "thin", "init", "reparam", "num_samples", "num_warmup", "tune",
    "random_seed", "step_size", "num_steps", "average",
    "adapt_step_size", "max_energy_error", "jitter", "clip", "paths", "history", "max_steps", "elbo_draws",
)  # fmt: skip
AUTOMATIC = (
    "mean_field", "full_rank", "low_rank", "delta", "structured", "flow", "laplace", "mixture",
    "pathfinder",
)  # fmt: skip
"""The automatic guides, by name."""


_USUAL = {"draws": 1000, "warmup": 1000, "chains": 4, "steps": 2000, "particles": 1000}


def infer_problems(block: tree.Settings, models: set[str], programs: Mapping[str, str]) -> Iterator[Problem]:
    """`programs` are those of the file and its imports, with their kinds."""
    seen: set[str] = set()
    for entry in block.entries:
        name, value = entry.name.id, entry.value
        if name in seen:
            yield Problem("data", entry.span, f"`{name}` is set twice", edit="leave one of them out")
        seen.add(name)
        word = (
            value.id
            if isinstance(value, tree.Name)
            else value.value
            if isinstance(value, tree.String)
            else None
        )
        if name not in OPTIONS:
            alike = near(name, OPTIONS)
            yield Problem(
                "name",
                entry.name.span,
                f"inference has no option `{name}`",
                ", ".join(alike) or "method, draws, warmup, chains, seed, …",
                f"`{name}`",
                f"{alike[0]} = {expression_text(value)}" if alike else "leave it out",
            )
        elif name in _USUAL and not _count(value, least=0 if name == "warmup" else 1):
            yield Problem(
                "type",
                value.span,
                f"`{name}` is a whole number, at least {0 if name == 'warmup' else 1}",
                str(_USUAL[name]),
                expression_text(value),
                f"{name} = {_USUAL[name]}",
            )
        elif word is not None:
            yield from _named(name, word, value, models, programs)


def _named(
    name: str, word: str, value: tree.Expression, models: set[str], programs: Mapping[str, str]
) -> Iterator[Problem]:
    """Options whose values are names."""
    if name == "method" and word not in METHODS:
        alike = near(word, METHODS)
        edit = f"method = {alike[0] if alike else 'nuts'}"
        yield Problem(
            "name", value.span, f"there is no method `{word}`", ", ".join(METHODS), f"`{word}`", edit
        )
    elif name == "model" and word not in models:
        known = sorted(models)
        edit = f"model = {known[-1]}" if known else "model name(…): in this file"
        listed = ", ".join(known) or None
        yield Problem(
            "name", value.span, f"there is no model `{word}` in this file", listed, f"`{word}`", edit
        )
    elif name in ("guide", "objective") and word in programs and programs[word] != name:
        headline = f"`{word}` is a {programs[word]}, and {name} names {_an(name)}"
        known = [n for n, kind in programs.items() if kind == name]
        edit = f"{name} = {known[0] if known else 'mean_field' if name == 'guide' else 'elbo'}"
        yield Problem("type", value.span, headline, _an(name), f"`{word}`", edit)
    elif name in ("guide", "objective") and word not in (*programs, *AUTOMATIC):
        known = [n for n, kind in programs.items() if kind == name]
        alike = near(word, [*known, *(AUTOMATIC if name == "guide" else ())]) or known
        if name == "objective" or alike:
            headline = f"there is no {name} `{word}` in this file"
            edit = (
                f"{name} = {alike[0]}"
                if alike
                else f"from std.objectives import {word}, if it is one of the library"
            )
            yield Problem("name", value.span, headline, ", ".join(alike) or None, f"`{word}`", edit)


def _an(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _count(e: tree.Expression, least: int) -> bool:
    return isinstance(e, tree.Number) and isinstance(e.value, int) and e.value >= least
