"""Bijectors against autograd: round trips, log-determinants, supports, tails, shapes, recording."""

import math

import pytest
import torch
from distributions.without_data import WithoutData

from ppl.distributions import bijectors as B
from ppl.distributions import bijectors_matrix as M
from ppl.distributions import constraints as C
from ppl.distributions.bijectors import biject_to
from ppl.errors import PplError


@pytest.fixture(autouse=True)
def _double():
    old = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(old)


def strict_lower(x):
    i, j = torch.tril_indices(x.shape[-2], x.shape[-1], -1)
    return x[..., i, j]


def lower(x):
    i, j = torch.tril_indices(x.shape[-2], x.shape[-1])
    return x[..., i, j]


def orthonormal_tangent(x):
    """An orthonormal basis of the tangent space of the sphere at x."""
    return torch.linalg.svd(x[None], full_matrices=True).Vh[1:]


def plane(x):
    d = x.shape[-1]
    basis = torch.linalg.svd(torch.ones(1, d), full_matrices=True).Vh[1:]
    return basis @ x


# name: (constraint or bijector, event shape, coordinates of the reference measure)
BOUND = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
CASES = {
    "real": (C.real, (), None),
    "positive": (C.positive, (), None),
    "nonnegative": (C.nonnegative, (), None),
    "unit": (C.unit_interval, (), None),
    "interval": (C.interval(-2.0, 3.0), (), None),
    "half_open": (C.half_open_interval(-2.0, 3.0), (), None),
    "interval_tensor": (C.independent(C.interval(BOUND, BOUND + 2.0), 1), (3,), None),
    "interval_mixed": (C.independent(C.interval(-5.0, BOUND), 1), (3,), None),
    "greater_than": (C.independent(C.greater_than(BOUND), 1), (3,), None),
    "less_than": (C.independent(C.less_than(BOUND), 1), (3,), None),
    "ordered": (C.ordered, (4,), None),
    "ordered1": (C.ordered, (1,), None),
    "positive_ordered": (C.positive_ordered, (4,), None),
    "simplex": (C.simplex, (4,), lambda x: x[..., :-1]),
    "simplex2": (C.simplex, (2,), lambda x: x[..., :-1]),
    "log_ratio": (B.IsometricLogRatioTransform(), (4,), lambda x: x[..., :-1]),
    "sum_to_zero": (C.sum_to_zero, (5,), plane),
    "stereographic": (B.StereographicTransform(), (4,), None),
    "row_stochastic": (C.row_stochastic, (2, 3), lambda x: x[..., :-1].reshape(-1)),
    "lower_cholesky": (C.lower_cholesky, (3, 3), lower),
    "cov": (C.cov, (3, 3), lower),
    "cov1": (C.cov, (1, 1), lower),
    "corr_cholesky": (C.corr_cholesky, (4, 4), strict_lower),
    "corr_cholesky2": (C.corr_cholesky, (2, 2), strict_lower),
    "corr_matrix": (C.corr_matrix, (4, 4), strict_lower),
    "mean_and_cov": (C.mean_and_cov, (3, 2), lambda x: torch.cat([x[0], lower(x[1:])])),
    "product": (
        C.product([C.positive, C.simplex, C.independent(C.real, 2)], [(), (3,), (2, 2)]),
        (8,),
        lambda x: torch.cat([x[:3], x[4:]]),
    ),
}
BIJECTIVE = list(CASES)
ALL = {**CASES, "unit_vector": (C.unit_vector, (4,), None)}


def make(name):
    spec, shape, coordinates = ALL[name]
    t = spec if isinstance(spec, torch.distributions.Transform) else biject_to(spec)
    support = t.codomain if t is spec else spec
    return t, support, torch.Size(shape), coordinates


@pytest.mark.parametrize("name", BIJECTIVE)
def test_round_trip_and_support(name):
    t, support, shape, _ = make(name)
    u = 1.5 * torch.randn((50,) + tuple(t.inverse_shape(shape)))
    x = t(u)
    assert x.shape == (50,) + shape
    assert t.forward_shape(t.inverse_shape(shape)) == shape
    assert support.check(x).all() and support.check(x).shape == (50,)
    torch.testing.assert_close(t.inv(x), u, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", BIJECTIVE)
def test_log_determinant_is_that_of_autograd(name):
    t, _, shape, coordinates = make(name)
    for _ in range(5):
        u = torch.randn(t.inverse_shape(shape))
        x = t(u)
        basis = orthonormal_tangent(x) if name == "stereographic" else None

        def flat(v, u=u, basis=basis):
            y = t(v.reshape(u.shape))
            return basis @ y if basis is not None else (coordinates(y) if coordinates else y).reshape(-1)

        jacobian = torch.autograd.functional.jacobian(flat, u.reshape(-1))
        expected = torch.linalg.slogdet(jacobian).logabsdet
        found = t.log_abs_det_jacobian(u, x)
        assert found.shape == ()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", list(ALL))
def test_tails_are_finite_and_differentiable(name):
    t, _, shape, _ = make(name)
    size = t.inverse_shape(shape)
    signs = [torch.ones(size), -torch.ones(size), torch.sign(torch.randn(size) + 0.1)]
    for sign in signs:
        u = (30.0 * sign).requires_grad_()
        x = t(u)
        total = t.log_abs_det_jacobian(u, x)
        assert torch.isfinite(x).all() and torch.isfinite(total).all()
        (gradient,) = torch.autograd.grad(x.sum() + total.sum(), u)
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    "name", ["simplex", "corr_cholesky", "unit", "interval", "positive_ordered", "log_ratio"]
)
def test_round_trip_in_the_tails(name):
    t, support, shape, _ = make(name)
    u = torch.full(t.inverse_shape(shape), -12.0)
    assert support.check(t(u))
    torch.testing.assert_close(t.inv(t(u)), u, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("name", ["simplex", "corr_cholesky"])
def test_log_determinant_in_the_tails_against_high_precision(name):
    """At |u| = 20 each factor of the triangular Jacobian is known in closed form."""
    u = torch.tensor([20.0, -20.0, 20.0])
    if name == "simplex":
        v = u - torch.tensor([3.0, 2.0, 1.0]).log()
        log_z, log_rest = -torch.log1p((-v).exp()), -torch.log1p(v.exp())
        expected = log_z.sum() + 3 * log_rest[0] + 2 * log_rest[1] + log_rest[2]
        found = B.SimplexTransform().log_abs_det_jacobian(u, B.SimplexTransform()(u))
    else:
        log_cosh = u.cosh().log()
        expected = -(2 * log_cosh[0] + 3 * log_cosh[1] + 2 * log_cosh[2])
        found = M.CorrCholeskyTransform().log_abs_det_jacobian(u, M.CorrCholeskyTransform()(u))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("name", list(ALL))
def test_without_data(name):
    t, support, shape, _ = make(name)
    with WithoutData():
        u = torch.empty((7,) + tuple(t.inverse_shape(shape)), device="meta")
        x = t(u)
        assert x.is_meta and x.shape == (7,) + shape
        assert t.log_abs_det_jacobian(u, x).shape == (7,)
        assert t.inv(x).shape == u.shape
        assert support.check(x).shape == (7,)


@pytest.mark.parametrize("name", list(ALL))
def test_gradcheck(name):
    t, _, shape, _ = make(name)
    u = torch.randn((2,) + tuple(t.inverse_shape(shape)), requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: (t(v), t.log_abs_det_jacobian(v, t(v))), u)


def test_sum_to_zero_keeps_lengths():
    u = torch.randn(10, 6)
    x = biject_to(C.sum_to_zero)(u)
    torch.testing.assert_close(x.square().sum(-1), u.square().sum(-1))
    torch.testing.assert_close(x.sum(-1), torch.zeros(10), atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_unit_vector_is_normalised_against_the_surface(dim):
    """The uniform law pulls back to the standard normal: at every u, not only on average."""
    t = biject_to(C.unit_vector)
    u = torch.randn(20, dim)
    log_area = math.log(2.0) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(-1)
    torch.testing.assert_close(t.log_abs_det_jacobian(u, t(u)) - log_area, normal)
    x = t(u)
    torch.testing.assert_close(t(t.inv(x)), x)
    assert C.unit_vector.check(x).all()


@pytest.mark.parametrize(
    "name", ["simplex", "ordered", "unit_vector", "cov", "corr_cholesky", "interval_tensor"]
)
def test_single_precision_stays_single(name):
    spec, shape, _ = ALL[name]
    if name == "interval_tensor":
        spec = C.independent(C.interval(BOUND.float(), BOUND.float() + 2.0), 1)
    t = biject_to(spec)
    u = torch.randn(t.inverse_shape(shape), dtype=torch.float32)
    x = t(u)
    assert x.dtype == torch.float32 and t.log_abs_det_jacobian(u, x).dtype == torch.float32 and spec.check(x)


def test_checks_refuse():
    refused = [
        (C.ordered, [1.0, 3.0, 2.0]),
        (C.ordered, [1.0, math.nan, 2.0]),
        (C.positive_ordered, [-1.0, 1.0]),
        (C.simplex, [0.5, 0.6]),
        (C.simplex, [1.5, -0.5]),
        (C.sum_to_zero, [0.5, 0.1]),
        (C.unit_vector, [0.5, 0.5]),
        (C.row_stochastic, [[0.5, 0.5], [0.1, 0.8]]),
        (C.lower_cholesky, [[1.0, 0.1], [0.0, 1.0]]),
        (C.lower_cholesky, [[1.0, 0.0], [0.0, -1.0]]),
        (C.corr_cholesky, [[1.0, 0.0], [0.5, 0.5]]),
        (C.cov, [[1.0, 2.0], [2.0, 1.0]]),
        (C.cov, [[1.0, 0.2], [0.1, 1.0]]),
        (C.corr_matrix, [[2.0, 0.2], [0.2, 1.0]]),
        (C.mean_and_cov, [[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]]),
        (C.fixed_sum_counts(3), [1.0, 1.0]),
        (C.product([C.positive, C.real], [(), ()]), [-1.0, 0.0]),
    ]
    for constraint, value in refused:
        assert not constraint.check(torch.tensor(value)), constraint


@pytest.mark.parametrize(
    "c", [C.boolean, C.nonnegative_integer, C.integer_interval(0, 3), C.fixed_sum_counts(3), C.one_hot]
)
def test_discrete_supports_have_no_bijector(c):
    with pytest.raises(PplError, match="discrete"):
        biject_to(c)


def test_unknown_supports_and_shapes():
    class Odd(C.Constraint):
        pass

    with pytest.raises(PplError, match="no bijector is known"):
        biject_to(Odd())
    with pytest.raises(PplError, match="depends"):
        biject_to(C.dependent)
    with pytest.raises(PplError, match="triangle"):
        biject_to(C.cov).forward_shape((4,))
    with pytest.raises(PplError, match="square"):
        biject_to(C.cov).inverse_shape((4, 3))


def test_constraint_from():
    assert C.constraint_from("ordered") is C.ordered
    assert C.constraint_from(C.cov) is C.cov
    assert C.constraint_from("unit") is C.unit_interval
    assert C.constraint_from((None, None)) is C.real
    assert C.constraint_from((-math.inf, 2.0)).upper_bound == 2.0
    assert C.constraint_from((1.0, math.inf)).lower_bound == 1.0
    assert C.constraint_from((BOUND, 9.0)).lower_bound is BOUND
    with pytest.raises(PplError) as caught:
        C.constraint_from("orderd")
    assert str(caught.value) == (
        "error\n`orderd` is not the name of a constraint\n"
        "  expected: ordered, positive_ordered\n  found:    'orderd'\n  edit:     constraint=\"ordered\""
    )
    for bad in ((2.0, 1.0), 3.0, ("a", 1.0)):
        with pytest.raises(PplError):
            C.constraint_from(bad)


def test_supports_print_their_names():
    assert repr(C.ordered) == "Ordered()" and repr(C.simplex) == "Simplex()"
    assert repr(C.fixed_sum_counts(3)) == "FixedSumCounts(total=3)"
