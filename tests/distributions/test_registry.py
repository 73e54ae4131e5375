"""The registry: what it knows, what it derives for classes nobody registered, and what it refuses."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
import torch.distributions as td

import ppl.distributions as dist
from ppl.distributions.registry import STRATEGIES


def test_every_name_of_torch_distributions_is_here() -> None:
    assert [name for name in td.__all__ if not hasattr(dist, name)] == []


def test_every_torch_family_is_registered() -> None:
    wrappers = {td.Distribution, td.ExponentialFamily}
    classes = [getattr(td, n) for n in td.__all__ if isinstance(getattr(td, n), type)]
    families = [c for c in classes if issubclass(c, td.Distribution) and c not in wrappers]
    known = {f.name for f in dist.families()}
    assert [c.__name__ for c in families if c.__name__ not in known] == []
    # torch's own class and ours of the same name share the entry
    assert all(dist.family_of(c).name == c.__name__ for c in families)
    assert dist.family_of(td.StudentT) is dist.family_of(dist.StudentT)


@pytest.mark.parametrize("family", dist.families(), ids=lambda f: f.name)
def test_entries_are_true_of_their_examples(family: dist.Family) -> None:
    assert set(family.strategies) <= set(STRATEGIES)
    examples = family.examples()
    assert examples, "an entry has an example"
    for d in examples:
        entry = dist.family_of(d)
        assert entry.event_dim == len(d.event_shape)
        assert entry.discrete == d.support.is_discrete
        assert not entry.finite or d.has_enumerate_support
        assert "enum" not in entry.strategies or entry.finite
        assert "reparam" not in entry.strategies or d.has_rsample
        assert "implicit" not in entry.strategies or d.has_rsample or entry.has_cdf
        # a density without a sampler is improper, an atom has no density to follow
        assert not entry.has_cdf or dist.has_cdf(d)


@pytest.mark.parametrize(
    "family", [f for f in dist.families() if f.location_scale and f.event_dim == 0], ids=lambda f: f.name
)
def test_location_scale_families_standardise(family: dist.Family) -> None:
    """p(x; loc, scale) = p((x − loc)/scale; 0, 1) / scale, the other parameters unchanged."""
    torch.set_default_dtype(torch.float64)
    try:
        assert family.location_scale is not None
        loc, scale = family.location_scale
        for d in family.examples():
            params: dict[str, Any] = {k: getattr(d, k) for k in d.arg_constraints}
            m, s = params[loc], params[scale]
            standard = family.cls(**{**params, loc: torch.zeros_like(m), scale: torch.ones_like(s)})
            x = d.sample((7,))
            assert torch.allclose(d.log_prob(x), standard.log_prob((x - m) / s) - s.log())
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("make", "strategies"),
    [
        (lambda: td.Uniform(0.0, 1.0), ("reparam", "icdf")),
        (lambda: td.Normal(0.0, 1.0), ("reparam", "icdf", "score", "mvd")),
        (lambda: td.Independent(td.Uniform(torch.zeros(2), 1.0), 1), ("reparam", "icdf")),
        (lambda: dist.Truncated(td.Normal(0.0, 1.0), 0.0, 1.0), ("implicit", "score")),
        (lambda: dist.Truncated(td.Normal(0.0, 1.0), torch.tensor(0.0)), ("implicit",)),
        (lambda: dist.Truncated(td.Poisson(1.0), 0, 4), ("enum", "score")),
        (lambda: dist.Censored(td.Normal(0.0, 1.0), 0.0), ("score",)),
        (lambda: dist.Flat(), ()),
    ],
)
def test_score_is_absent_where_the_support_moves(make: Any, strategies: tuple[str, ...]) -> None:
    assert dist.family_of(make()).strategies == strategies


class Mine(td.Distribution):
    """What a user writes: no registration."""

    arg_constraints: ClassVar[dict[str, Any]] = {"rate": td.constraints.positive}
    support = td.constraints.positive
    has_rsample = True

    def __init__(self, rate: torch.Tensor):
        self.rate = rate
        super().__init__(rate.shape, validate_args=False)

    def cdf(self, value: torch.Tensor) -> torch.Tensor:
        return -torch.expm1(-self.rate * value)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        return torch.log(self.rate) - self.rate * value


def test_an_unregistered_class_describes_itself() -> None:
    for entry in (dist.family_of(Mine), dist.family_of(Mine(torch.tensor(2.0)))):
        assert (entry.name, entry.event_dim, entry.discrete, entry.finite) == ("Mine", 0, False, False)
        assert entry.strategies == ("reparam", "score")
        assert (entry.has_cdf, entry.has_icdf, entry.location_scale) == (True, False, None)
    truncated = dist.Truncated(Mine(torch.tensor(2.0)), high=1.0)
    x = torch.linspace(0.0005, 0.9995, 1000)
    assert (truncated.log_prob(x).exp().mean() - 1).abs() < 1e-4


def test_a_subclass_does_not_inherit_an_entry() -> None:
    class Shifted(td.Normal):
        def log_prob(self, value: torch.Tensor) -> torch.Tensor:
            return super().log_prob(value - 1)

    assert dist.family_of(Shifted).location_scale is None
    assert "icdf" not in dist.family_of(Shifted).strategies


def test_symbolic_parameters_are_enough() -> None:
    rate = torch.empty((3,), device="meta")
    assert dist.family_of(Mine(rate)).event_dim == 0
    assert dist.family_of(td.Uniform(rate, rate + 1, validate_args=False)).strategies == ("reparam", "icdf")


def test_unknown_strategies_and_double_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown strategies"):
        dist.register(Mine, strategies=("magic",), discrete=False, event_dim=0)

    class Normal(td.Distribution):
        support = td.constraints.real

    with pytest.raises(ValueError, match="two families named Normal"):
        dist.register(Normal, strategies=("score",))
