"""Laws stated in unconstrained coordinates: their densities are those of the change of variables."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch.distributions import LogNormal, MultivariateNormal, Normal

from ppl.compiler.engines.torch_engine import compile_torch
from ppl.compiler.ops import make_input
from ppl.compiler.passes.vectorise import vectorise
from ppl.compiler.tracer import trace
from ppl.distributions import Placed, Pushforward, biject_to, constraints, family_of
from ppl.distributions.constraints import constraint_from, name_of

SUPPORTS = [
    "real",
    "positive",
    "unit",
    (-1.0, 2.0),
    (1.0, None),
    "simplex",
    "ordered",
    "corr_cholesky",
    "cov",
]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_a_normal_on_the_positive_line_is_log_normal() -> None:
    x = torch.tensor([0.2, 1.0, 7.0])
    torch.testing.assert_close(
        Pushforward(Normal(0.3, 0.7), "positive").log_prob(x), LogNormal(0.3, 0.7).log_prob(x)
    )


@pytest.mark.parametrize("support", SUPPORTS, ids=str)
def test_the_density_is_that_of_the_change_of_variables(support: object) -> None:
    """log p(T(u)) = log N(u) − log |det dT/du| with the determinant of the Jacobian that autograd gives, taken
    over the coordinates that determine x (all but the last of a simplex, the lower triangle of a matrix)."""
    onto = biject_to(constraint_from(support))
    u = torch.tensor([0.3, -0.8, 0.5]) if onto.domain.event_dim else torch.tensor(0.3)
    x = onto(u)
    free = {
        "simplex": lambda v: v[:-1],
        "corr_cholesky": lambda v: v[torch.tril_indices(3, 3, -1).unbind()],
        "cov": lambda v: v[torch.tril_indices(2, 2).unbind()],
    }.get(str(support), lambda v: v.reshape(-1))
    jacobian = torch.autograd.functional.jacobian(lambda v: free(onto(v)), u).reshape(u.numel(), -1)
    expected = Normal(0.1, 0.9).log_prob(u).sum() - torch.linalg.slogdet(jacobian).logabsdet
    d = Pushforward(Normal(torch.full_like(u, 0.1), 0.9), support)  # type: ignore[arg-type]
    torch.testing.assert_close(d.log_prob(x), expected)
    placed = Placed(u, support)  # type: ignore[arg-type]
    torch.testing.assert_close(placed.log_prob(x), -torch.linalg.slogdet(jacobian).logabsdet)
    assert bool(d.support.check(d.sample((20,))).all())
    assert placed.event_shape == d.event_shape and placed.sample().shape == x.shape


def test_the_base_may_be_a_vector_family() -> None:
    base = MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.4], [0.4, 0.5]]))
    d = Pushforward(base, "simplex")
    x = d.sample()
    onto = biject_to(constraints.simplex)
    u = onto.inv(x)
    torch.testing.assert_close(d.log_prob(x), base.log_prob(u) - onto.log_abs_det_jacobian(u, x))


def test_gradients_of_a_draw_reach_the_parameters() -> None:
    loc = torch.tensor([0.3, -1.0], requires_grad=True)
    torch.manual_seed(0)
    Pushforward(Normal(loc, 1e-12), "positive").rsample().sum().backward()
    torch.testing.assert_close(loc.grad, loc.detach().exp())  # x = exp(loc + 1e-12 ε)
    u = torch.tensor(0.3, requires_grad=True)
    Placed(u, "positive").log_prob(u.detach().exp()).backward()
    torch.testing.assert_close(u.grad, torch.tensor(-1.0))


def test_a_point_elsewhere_has_no_density_and_one_off_by_rounding_has_it() -> None:
    d = Placed(torch.tensor([0.5, -0.5]), "simplex")
    x = d.value
    assert d.log_prob(x) == d.log_prob(x * (1 + 1e-15)) == d.log_density
    assert d.log_prob(torch.tensor([0.2, 0.2, 0.6])) == -math.inf


def test_a_batch_and_its_expansion() -> None:
    d = Pushforward(Normal(torch.zeros(4, 2), 1.0), "simplex")
    assert (d.batch_shape, d.event_shape) == ((4,), (3,))
    wide = d.expand([5, 4])
    x = wide.sample()
    assert isinstance(wide, Pushforward) and wide.log_prob(x).shape == (5, 4)
    torch.testing.assert_close(wide.log_prob(x), d.log_prob(x))
    placed = Placed(torch.tensor([0.5, -0.5]), "simplex")
    many = placed.expand([3])
    assert many.support is constraints.simplex
    torch.testing.assert_close(many.log_prob(many.sample()), placed.log_density.expand(3))


def test_bounds_may_be_tensors_and_then_the_score_function_is_not_offered() -> None:
    low = torch.tensor([0.0, 3.0])
    d = Pushforward(Normal(torch.zeros(2), 1.0), (low, None))
    assert bool((d.sample((50,)) > low).all())
    assert family_of(d).strategies == ("reparam",)
    assert "score" in family_of(Pushforward(Normal(0.0, 1.0), (0.0, 2.0))).strategies
    assert family_of(Placed(torch.tensor(0.1), "real")).strategies == ("reparam",)


@pytest.mark.parametrize("support", SUPPORTS, ids=str)
def test_a_recorded_density_equals_the_one_computed_directly(support: object) -> None:
    onto = biject_to(constraint_from(support))
    u = torch.tensor([0.3, -0.8, 0.5]) if onto.domain.event_dim else torch.tensor(0.3)

    def both(u: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        d = Pushforward(Normal(u, 0.5, validate_args=False), support, validate_args=False)  # type: ignore[arg-type]
        return d.log_prob(x), Placed(u, support).log_prob(x)  # type: ignore[arg-type]

    x = onto(u)
    inputs = [make_input("u", u.shape, u.dtype), make_input("x", x.shape, x.dtype)]
    recorded = compile_torch(vectorise(trace(both, inputs)))(u, x)
    for value, expected in zip(recorded, both(u, x), strict=True):
        torch.testing.assert_close(value, expected)


def test_names_of_constraints_are_those_that_make_them() -> None:
    for name in ("real", "positive", "unit", "simplex", "ordered", "positive_ordered", "cov", "boolean"):
        found = name_of(constraint_from(name))
        assert found is not None and constraint_from(found) is constraint_from(name)
    assert name_of(torch.distributions.constraints.corr_cholesky) == "corr_cholesky"
    assert name_of(constraints.independent(constraints.real, 1)) == "real_vector"
    assert name_of(constraints.independent(constraints.positive, 1)) is None
    assert name_of(constraints.greater_than(torch.zeros(2))) is None
    assert name_of(torch.distributions.constraints.symmetric) is None
