"""Gradient strategies where a site is recorded: what they read of the program becomes operands of the site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ppl.compiler.estimators.strategy import STAND_IN, Strategy
from ppl.compiler.graph import Node
from ppl.compiler.ops import make_input
from ppl.errors import PplError
from ppl.language.handlers import Message

if TYPE_CHECKING:
    from ppl.language.record import Recorder


def apart(message: Message, recorder: Recorder) -> tuple[Any, Sequence[Node]]:
    """The strategy a site asks for, without tensors, and what it reads; nothing outside objectives."""
    if not isinstance(message.grad, Strategy):
        return message.grad, ()

    def later(shape: Sequence[int]) -> Tensor:
        name = f"{message.name} later"
        place = make_input(name, tuple(shape), recorder.dtype, recorder.context, STAND_IN)
        return recorder.tracer.lift(place)

    try:
        grad, reads = message.grad.apart(message.distribution, later)
    except PplError as error:
        error.site, error.where = message.name, message.mark.locate() if message.mark is not None else None
        raise
    return grad, [recorder._node(x) for x in reads] if recorder.holds_programs else ()
