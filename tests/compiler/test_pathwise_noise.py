"""Samplers of users: which of torch's random calls are noise, and which are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from compiler.pathwise_subject import Subject
from torch import Tensor
from torch.distributions import Distribution, constraints

from ppl.compiler.estimators.noise import NoiseTracer
from ppl.compiler.estimators.pathwise import PathwiseError
from ppl.compiler.ops import make_input


class Sampled(Distribution):
    """A family whose sampler is one call of torch's."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, call: Any, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        self.call, self.loc, self.scale = call, loc, scale
        super().__init__(loc.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self.loc + self.scale * self.call(self._extended_shape(sample_shape))


CALLS: dict[str, tuple[Any, str]] = {
    "empty().normal_()": (lambda n: torch.empty(n).normal_(), "normal"),
    "normal_(1, 2)": (lambda n: torch.empty(n).normal_(1.0, 2.0), "normal"),
    "normal(tensor, tensor)": (lambda n: torch.normal(torch.full(n, 1.0), torch.full(n, 2.0)), "normal"),
    "normal(tensor)": (lambda n: torch.normal(torch.full(n, 1.0)), "normal"),
    "normal(1, tensor)": (lambda n: torch.normal(1.0, torch.full(n, 2.0)), "normal"),
    "normal(1, 2, size)": (lambda n: torch.normal(1.0, 2.0, n), "normal"),
    "randn": (torch.randn, "normal"),
    "randn_like": (lambda n: torch.randn_like(torch.zeros(n)), "normal"),
    "rand": (torch.rand, "uniform"),
    "rand_like": (lambda n: torch.rand_like(torch.zeros(n)), "uniform"),
    "uniform_(-1, 3)": (lambda n: torch.empty(n).uniform_(-1.0, 3.0), "uniform"),
    "exponential_()": (lambda n: torch.empty(n).exponential_(), "exponential"),
    "exponential_(2)": (lambda n: torch.empty(n).exponential_(2.0), "exponential"),
    "cauchy_(1, 2)": (lambda n: torch.empty(n).cauchy_(1.0, 2.0), "cauchy"),
    "bernoulli": (lambda n: torch.bernoulli(torch.full(n, 0.3)), "bernoulli"),
    "bernoulli_": (lambda n: torch.empty(n).bernoulli_(0.3), "bernoulli"),
    "_standard_gamma": (lambda n: torch._standard_gamma(torch.full(n, 1.5)), "gamma"),
}


@pytest.mark.parametrize("call", CALLS)
def test_random_calls_of_torch_are_standard_noise(call: str) -> None:
    """The same numbers as torch gives from the same seed."""
    draw, name = CALLS[call]
    subject = Subject.of(Sampled(draw, torch.tensor([0.0, 1.0]), torch.tensor([0.5, 2.0])))
    assert [(n.name, n.standard, n.type.shape) for n in subject.sampler.noises] == [(name, True, (2,))]
    torch.manual_seed(4)
    noise = subject.noise()
    torch.manual_seed(4)
    x, (loc, scale) = subject.pulled(noise, torch.ones(2))
    torch.testing.assert_close(x, subject.distribution().sample())
    torch.testing.assert_close([loc, scale * subject.tensors[1]], [torch.ones(2), x - subject.tensors[0]])


class Coin(Distribution):
    """Says that it can be reparametrised, and tosses a coin."""

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, rate: Tensor, fair: bool, validate_args: bool | None = None) -> None:
        self.rate, self.fair = rate, fair
        super().__init__(rate.shape, validate_args=validate_args)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return self.rate * torch.bernoulli(torch.full(shape, 0.5) if self.fair else self.rate.expand(shape))


class Counted(Coin):
    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        return self.rate * torch.poisson(self.rate)


class Looped(Coin):
    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:
        x = torch.rand(self.batch_shape)
        while x > self.rate:
            x = torch.rand(self.batch_shape)
        return x


@pytest.mark.parametrize(
    ("d", "text"),
    [
        (lambda: Coin(torch.tensor(0.3), False), "a coin whose probability depends on a parameter"),
        (lambda: Counted(torch.tensor(0.3), False), "torch's poisson has no pathwise derivative"),
        (lambda: Looped(torch.tensor(0.3), False), "the sampler of Looped can't be recorded"),
    ],
    ids=["coin", "count", "loop"],
)
def test_samplers_that_have_no_pathwise_derivative_are_refused(
    d: Callable[[], Distribution], text: str
) -> None:
    with pytest.raises(PathwiseError, match=text):
        _ = Subject.of(d()).sampler


def test_a_fair_coin_is_noise() -> None:
    subject = Subject.of(Coin(torch.tensor(0.3), True))
    assert [(n.name, n.standard) for n in subject.sampler.noises] == [("bernoulli", True)]
    x, (slope,) = subject.pulled([torch.tensor(1.0)], torch.tensor(1.0))
    assert (float(x), float(slope)) == (0.3, 1.0)


def test_a_tensor_drawn_in_place_is_known_by_its_own_id_only() -> None:
    """A tensor of another id would die, and the next tensor with that id pass for the noise."""
    tracer = NoiseTracer()
    with torch.no_grad(), tracer:
        x = tracer.lift(make_input("x", (3,), torch.float64))
        torch.empty_like(x).normal_()
        torch.empty_like(x).exponential_()
    assert all(key == id(entry.tensor) for key, entry in tracer.table.items())
