"""torch's Python functions that read values on their way (to check them, say): their formulas alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from ppl.errors import RecordingError, user_mark

SUBSTITUTES: dict[Callable[..., Any], Callable[..., Any]] = {}
"""torch function → what the recorder calls in its place when an argument is traced."""

_APPLY = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]
_DEPTH = 8


def substitute_for(*functions: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(f: Callable[..., Any]) -> Callable[..., Any]:
        SUBSTITUTES.update(dict.fromkeys(functions, f))
        return f

    return register


@substitute_for(F.gaussian_nll_loss)
def _gaussian_nll(
    input: torch.Tensor,
    target: torch.Tensor,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> torch.Tensor:
    var = torch.as_tensor(var)
    if var.shape != input.shape and input.shape[:-1] == var.shape:
        var = var.unsqueeze(-1)
    safe = (
        var + (var.clamp(min=eps) - var).detach()
    )  # clamped without a kink in the gradient, as torch has it
    loss = 0.5 * (safe.log() + (input - target) ** 2 / safe)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


@substitute_for(F.one_hot, torch._C._nn.one_hot)
def _one_hot(tensor: torch.Tensor, num_classes: int = -1) -> torch.Tensor:
    if num_classes < 0:
        raise RecordingError(
            "one_hot of a random value can't be recorded without the number of classes",
            where=user_mark(),
            expected="sizes that don't depend on values",
            found="one_hot(x)",
            edit="torch.nn.functional.one_hot(x, num_classes=K)",
        )
    return (tensor.unsqueeze(-1) == torch.arange(num_classes)).to(torch.int64)


@substitute_for(
    torch.equal,
    torch.Tensor.equal,
    torch.allclose,
    torch.Tensor.allclose,
    torch.is_nonzero,
    torch.Tensor.is_nonzero,
)
def _compare(*_: Any, **__: Any) -> bool:
    raise RecordingError(
        "a branch on a random value can't be recorded",
        where=user_mark(),
        expected="the program does the same whatever values are drawn",
        found="a comparison that answers with a Python bool",
        edit="torch.isclose(a, b).all() is a value; ppl.cond or torch.where branch on it",
    )


def refuse_custom_function() -> None:
    """Raise where the call stands in a `torch.autograd.Function`: its forward alone would be recorded."""
    frame = sys._getframe(2)
    for _ in range(_DEPTH):
        if frame is None:
            return
        if frame.f_code is _APPLY:
            raise RecordingError(
                "a torch.autograd.Function can't be recorded",
                where=user_mark(),
                expected="torch functions, whose derivatives are known",
                found=f"{_class_name(frame)}.apply, whose own backward would be lost",
                edit="write it with torch functions; or surrogate + (value - surrogate).detach()",
            )
        frame = frame.f_back  # type: ignore[assignment]


def _class_name(frame: Any) -> str:
    return getattr(frame.f_locals.get("cls"), "__name__", "Function")
