"""What the interpreter refuses, in words: values that don't fit, densities that don't exist."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NoReturn

import torch

from ppl.errors import DataError, Mark, ParameterError, StructureError, closest, listed
from ppl.language import checks
from ppl.language.handlers import Message


def no_density(message: Message) -> StructureError:
    return StructureError(
        f"{type(message.distribution).__name__} has no density: it can be sampled, not scored",
        site=message.name,
        where=message.mark,
        expected="a distribution with log_prob",
        edit="use an objective that needs samples only, or another family",
    )


def no_score(name: str, mark: Any) -> StructureError:
    return StructureError(
        f"score_factor '{name}' has no value: only its gradient is known",
        site=name,
        where=mark,
        expected="methods that use gradients of the log density alone",
        edit="use ppl.factor with the log density itself where you know it",
    )


def hidden_choice(message: Message) -> NoReturn:
    raise StructureError(
        "the log density of a program with a hidden random choice would need an integral",
        site=message.name,
        where=message.mark,
        expected="every random choice visible",
        found=f"block hides '{message.name}'",
        edit=f"leave '{message.name}' out of .block(…), or give it a value inside with .condition(…)",
    )


def no_value(message: Message, index: tuple[int, ...], given: Iterable[str]) -> NoReturn:
    raise DataError(
        f"no value is given for '{message.name}'" + (f" at {list(index)}" if index else ""),
        site=message.name,
        where=message.mark,
        expected="a value for every random choice",
        found="values for " + (listed(given, message.name) or "nothing"),
        edit=f"add '{message.name}' to the choices, or use generate(…), which draws what is missing",
    )


def check_agreement(given: torch.Tensor, message: Message) -> None:
    """A value given for an observed site has to be the observed one (or nan)."""
    if bool(((given == message.value) | (given != given)).all()):
        return
    raise DataError(
        f"'{message.name}' is observed; its value can't be chosen",
        site=message.name,
        where=message.mark,
        expected="values for random choices",
        found="a value that differs from the data",
        edit=f"leave '{message.name}' out, or change the data with .condition(…)",
    )


def unknown_choice(name: str, latent: list[str], exists: bool) -> NoReturn:
    near = closest(name, latent) or latent[:1]
    raise DataError(
        f"'{name}' is not a random choice" if exists else f"no site is named '{name}'",
        expected="names of random choices: " + listed(latent, name),
        found=name,
        edit=f"rename it to '{near[0]}'" if near and not exists else f"leave '{name}' out",
    )


def unknown_param(name: str, known: Collection[str]) -> NoReturn:
    near = closest(name, known)
    raise DataError(
        f"no param is named '{name}'",
        expected="one of " + (listed(known, name) or "none: the program has no params"),
        found=name,
        edit=f"rename it to '{near[0]}'" if near else f"leave '{name}' out",
    )


def param_with_two_shapes(name: str, first: torch.Size, second: torch.Size, mark: Mark | None) -> NoReturn:
    raise StructureError(
        f"param '{name}' is used with two shapes",
        where=mark,
        expected=f"shape {list(first)}, as where it is used first",
        found=f"shape {list(second)}",
        edit="give the second one a name of its own",
    )


def check_param(name: str, value: torch.Tensor, shape: torch.Size, rule: Any, mark: Mark | None) -> None:
    """A parameter has the shape of its init and satisfies its constraint."""
    if value.shape != shape:
        raise ParameterError(
            f"param '{name}' has the wrong shape",
            where=mark,
            expected=f"shape {list(shape)}",
            found=f"shape {list(value.shape)}",
            edit="give it the shape of its init",
        )
    if not bool(rule.check(value).all()):
        raise ParameterError(
            f"param '{name}' breaks its constraint",
            where=mark,
            expected=checks.describe(rule),
            found=str(value.detach().tolist())[:80],
            edit="start inside the constraint",
        )
