"""What can't be recorded is refused with the line that does it, never frozen or dropped in silence."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ppl.compiler.ops import make_input
from ppl.compiler.tracer import trace
from ppl.errors import RecordingError

T = torch.Tensor


class Double(torch.autograd.Function):
    """A function whose backward is not the derivative of its forward."""

    @staticmethod
    def forward(ctx: Any, x: T) -> T:
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: T) -> T:
        return g * 7


def write_into_a_view(x: T) -> T:
    y = x * 1
    row = y[0]
    row.mul_(2.0)
    return y


def write_into_what_is_viewed(x: T) -> T:
    y = x * 1
    row = y[0]
    y.mul_(2.0)
    return row


def write_into_data(x: T) -> T:
    total = torch.zeros(2)
    total += x[0]
    return total


def assign(x: T) -> T:
    y = x * 1
    y[0] = 0.0
    return y


def assign_into_data(x: T) -> T:
    y = torch.zeros(2, 2)
    y[0] = x[0]
    return y


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "bool": (lambda x: x if x.sum() > 0 else -x, "branch"),
    "and": (lambda x: (x.sum() > 0) and x, "branch"),
    "max of Python": (lambda x: max(x[0, 0], x[0, 1]), "branch"),
    "item": (lambda x: x.sum().item() * x, "reading"),
    "float": (lambda x: float(x[0, 0]) * x, "reading"),
    "int": (lambda x: int(x[0, 0]) * x, "reading"),
    "index of a list": (lambda x: x * [1.0, 2.0][x[0, 0].long()], "index"),
    "range": (lambda x: sum(x[0, 0] for _ in range(x[0, 0].long())), "index"),
    "tolist": (lambda x: torch.tensor(x.tolist()), "list"),
    "numpy": (lambda x: torch.from_numpy(x.numpy()), "NumPy"),
    "np.exp": (lambda x: np.exp(x), "NumPy"),
    "np.asarray": (lambda x: torch.as_tensor(np.asarray(x)), "NumPy"),
    "in": (lambda x: x if 1.0 in x else -x, "membership"),
    "mask": (lambda x: x[x > 0], "mask"),
    "mask of data": (lambda x: torch.ones(2, 2)[x > 0], "mask"),
    "masked_select": (lambda x: torch.masked_select(x, x > 0), "size"),
    "nonzero": (lambda x: x.nonzero(), "size"),
    "where of one": (lambda x: torch.where(x > 0)[0], "size"),
    "unique": (lambda x: x.unique(), ""),
    "bincount": (lambda x: torch.bincount(x[0].long()), ""),
    "repeats": (lambda x: torch.repeat_interleave(x[0], x[0].abs().long()), ""),
    "one_hot": (lambda x: F.one_hot(x.long().abs()), "number of classes"),
    "as_strided": (lambda x: x.as_strided((2,), (1,)), "as_strided"),
    "equal": (lambda x: torch.equal(x, x + 1), "branch"),
    "allclose": (lambda x: torch.allclose(x, x + 1), "branch"),
    "randn": (lambda x: x + torch.randn(2), "randomness"),
    "randn_like": (lambda x: x + torch.randn_like(x), "randomness"),
    "dropout": (lambda x: F.dropout(x, 0.5), "randomness"),
    "bernoulli": (lambda x: torch.bernoulli(x.sigmoid()), "randomness"),
    "normal_": (lambda x: (x * 1).normal_(), ""),
    "assign": (assign, ""),
    "assign into data": (assign_into_data, ""),
    "write into a view": (write_into_a_view, "place"),
    "write into what is viewed": (write_into_what_is_viewed, "place"),
    "write into data": (write_into_data, "place"),
    "fill_diagonal": (lambda x: (x * 1).fill_diagonal_(2.0), ""),
    "meta": (lambda x: x + torch.empty(2, device="meta").to("meta"), ""),
    "autograd.Function": (lambda x: Double.apply(x), "autograd.Function"),
}
REFUSED.pop("meta")


@pytest.mark.parametrize("name", list(REFUSED))
def test_refused(name: str) -> None:
    function, word = REFUSED[name]
    with pytest.raises(RecordingError) as caught:
        trace(function, [make_input("x", (2, 2), torch.float64)])
    error = caught.value
    lines, first = inspect.getsourcelines(function)
    assert error.where is not None and os.path.samefile(error.where.file, __file__)
    body = range(first, first + len(lines))
    assert error.where.line in body or name == "autograd.Function"
    assert word in error.headline
    assert error.edit and error.expected


def test_text_of_a_custom_function() -> None:
    with pytest.raises(RecordingError) as caught:
        trace(lambda x: Double.apply(x), [make_input("x", (2,), torch.float64)])
    assert str(caught.value).splitlines()[-4:] == [
        "a torch.autograd.Function can't be recorded",
        "  expected: torch functions, whose derivatives are known",
        "  found:    Double.apply, whose own backward would be lost",
        "  edit:     write it with torch functions; or surrogate + (value - surrogate).detach()",
    ]


def test_the_advice_for_custom_gradients_works() -> None:
    """surrogate + (value − surrogate).detach() has the value of one and the gradient of the other."""
    from compiler.checks import all_same, cotangents_of, differentiated, run

    def function(x: T) -> T:
        surrogate = 3.0 * x
        return surrogate + (x.round() - surrogate).detach()

    graph = trace(function, [make_input("x", (2,), torch.float64)])
    both = differentiated(graph, list(graph.inputs), cotangents_of(graph))
    x, g = torch.tensor([0.4, 1.7]), torch.tensor([1.0, -2.0])
    all_same(run(both, [x, g]), [x.round(), 3.0 * g], "straight through")


def test_what_data_alone_decide_is_plain_python() -> None:
    """Branches, read-outs and masks on real tensors are no business of the recorder."""
    data = torch.tensor([1.0, -1.0, 2.0])

    def function(x: T) -> T:
        scale = float(data.sum()) if bool((data > 0).any()) else 0.0
        kept = data[data > 0]
        kept[0] = 5.0
        return x * scale + kept.sum().item() + len(data.nonzero())

    graph = trace(function, [make_input("x", (), torch.float64)])
    from compiler.checks import run

    assert run(graph, [torch.tensor(3.0)])[0].item() == 3.0 * 2.0 + 7.0 + 3
    assert data.tolist() == [1.0, -1.0, 2.0]
