"""Families of vectors and matrices: against SciPy, against their own samples, normalised, recordable."""

import math

import pytest
import scipy.stats as st
import torch
from distributions.multivariate_families import COV, FAMILIES, LOC, TRIL, v
from distributions.without_data import WithoutData
from torch.distributions import Dirichlet, Normal

from ppl.distributions import constraints as C
from ppl.distributions.bijectors import biject_to
from ppl.distributions.lkj import LKJ, LKJCholesky
from ppl.distributions.matrix import InverseWishart, MatrixNormal, NormalInverseWishart, Wishart
from ppl.distributions.multivariate import (
    DirichletMultinomial,
    LowRankMultivariateNormal,
    MultivariateLogNormal,
    MultivariateNormal,
    MultivariateStudentT,
)
from ppl.distributions.processes import AutoregressiveNormal, BandedNormal, GaussianRandomWalk
from ppl.distributions.product import Product
from ppl.distributions.registry import families, family_of
from ppl.distributions.sphere import UnitSphere, VonMisesFisher
from ppl.distributions.sum_to_zero import IntrinsicCAR, SumToZeroNormal
from ppl.errors import ParameterError

t = torch.tensor


@pytest.fixture(autouse=True)
def double():
    old = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    yield
    torch.set_default_dtype(old)


CONTINUOUS = [name for name in FAMILIES if name != "dirichlet_multinomial"]
# Drawn by rejection or by torch's own sampler without a pathwise derivative.
PATHWISE = [n for n in CONTINUOUS if n not in ("lkj", "lkj_cholesky", "sphere", "fisher", "fisher2")]


def make(name):
    parameters, build = FAMILIES[name]
    return build(*parameters)


def close(found, expected, rtol=1e-10):
    torch.testing.assert_close(found, torch.as_tensor(expected, dtype=torch.float64), rtol=rtol, atol=1e-10)


def within(found, expected, standard_error, sigmas=5.0):
    """Equal up to Monte Carlo error."""
    gap = (found - expected).abs()
    assert (gap <= sigmas * standard_error + 1e-9).all(), f"off by {(gap / standard_error).max():.1f} sigma"


@pytest.mark.parametrize("name", CONTINUOUS)
def test_density_is_normalised_and_is_that_of_the_samples(name):
    """Importance sampling through the bijector: ∫p = 1, and E x, E x² under p are those of `sample`."""
    n = 60_000
    d = make(name)
    transform = biject_to(d.support)
    samples = d.sample((n,))
    if name in ("sphere", "fisher", "fisher2"):
        centre, root = torch.zeros(samples.shape[-1]), 1.3 * torch.eye(samples.shape[-1])
    else:
        u = transform.inv(samples)
        u = u.reshape(n, -1)
        centre, root = u.mean(0), 1.2 * torch.linalg.cholesky(u.T.cov())
    proposal = MultivariateStudentT(5.0, centre, root)
    u = proposal.sample((n,))
    shaped = u.reshape((n,) + tuple(transform.inverse_shape(d.event_shape)))
    x = transform(shaped)
    log_jacobian = transform.log_abs_det_jacobian(shaped, x)
    assert log_jacobian.shape == (n,)
    weight = (d.log_prob(x) + log_jacobian - proposal.log_prob(u)).exp()
    within(weight.mean(), 1.0, weight.std() / n**0.5)
    assert weight.std() < 3.0
    for f in (lambda a: a, torch.square):
        ours, theirs = f(samples).reshape(n, -1), weight[:, None] * f(x).reshape(n, -1)
        error = ((ours.var(0) + theirs.var(0)) / n).sqrt()
        within(ours.mean(0), theirs.mean(0), error)


@pytest.mark.parametrize("name", FAMILIES)
def test_moments(name):
    n = 60_000
    d = make(name)
    if name == "lkj_cholesky":
        pytest.skip("torch gives no moments for it")
    x = d.sample((n,))
    mean, variance = d.mean, d.variance
    assert mean.shape == variance.shape == d.batch_shape + d.event_shape
    within(x.mean(0), mean, x.std(0) / n**0.5)
    squares = (x - mean).square()
    within(squares.mean(0), variance, squares.std(0) / n**0.5)


@pytest.mark.parametrize("name", FAMILIES)
def test_samples_lie_in_the_support(name):
    d = make(name)
    assert d.support.check(d.sample((200,))).all()
    assert d.support.event_dim == len(d.event_shape)
    assert torch.isfinite(d.log_prob(d.sample((200,)))).all()


@pytest.mark.parametrize("name", FAMILIES)
def test_expand_and_shapes(name):
    d = make(name)
    wide = d.expand(torch.Size([4]))
    assert wide.batch_shape == (4,) and wide.event_shape == d.event_shape
    x = wide.sample((5,))
    assert x.shape == (5, 4) + d.event_shape
    assert not torch.equal(x[:, 0], x[:, 1])  # independent copies
    torch.testing.assert_close(wide.log_prob(x), d.log_prob(x))
    assert wide.log_prob(d.sample()).shape == (4,)
    if name != "lkj_cholesky":
        torch.testing.assert_close(wide.mean, d.mean.expand(x.shape[1:]))
        torch.testing.assert_close(wide.variance, d.variance.expand(x.shape[1:]))


@pytest.mark.parametrize("name", FAMILIES)
def test_batched_parameters_are_a_stack(name):
    """The first parameter perturbed in a batch of two: log p of the batch is that of the members."""
    parameters, build = FAMILIES[name]
    if not parameters:
        pytest.skip("no parameters")
    first = [parameters[0], parameters[0] * (-1.0 if name.startswith("fisher") else 1.1)]
    members = [build(p, *parameters[1:]) for p in first]
    batch = build(torch.stack(first), *parameters[1:])
    assert batch.batch_shape == (2,)
    x = batch.sample((3,))
    assert x.shape == (3, 2) + batch.event_shape
    torch.testing.assert_close(
        batch.log_prob(x), torch.stack([m.log_prob(x[:, i]) for i, m in enumerate(members)], 1)
    )
    if name != "lkj_cholesky":
        torch.testing.assert_close(batch.mean, torch.stack([m.mean for m in members]))
        torch.testing.assert_close(batch.variance, torch.stack([m.variance for m in members]))


@pytest.mark.parametrize("name", FAMILIES)
def test_records_without_data(name):
    parameters, build = FAMILIES[name]
    real = make(name)
    with WithoutData():
        d = build(*(p.to("meta") for p in parameters))
        value = torch.empty((5,) + tuple(real.event_shape), device="meta")
        assert d.log_prob(value).shape == (5,)
        assert d.support.check(value).shape == (5,)
        if name != "dirichlet_multinomial":
            transform = biject_to(d.support)
            u = torch.empty((5,) + tuple(transform.inverse_shape(real.event_shape)), device="meta")
            assert transform(u).shape == value.shape


@pytest.mark.parametrize("name", CONTINUOUS)
def test_log_prob_is_differentiable(name):
    parameters, build = FAMILIES[name]
    sample = make(name).sample()
    transform = biject_to(make(name).support)
    inputs = [transform.inv(sample).requires_grad_(), *(p.clone().requires_grad_() for p in parameters)]
    symmetric = name in ("mvn_cov", "mvn_precision", "wishart", "inverse_wishart")

    def density(u, *p):
        p = [(q + q.mT) / 2 if symmetric and q.dim() == 2 else q for q in p]
        return build(*p).log_prob(transform(u))

    assert torch.autograd.gradcheck(density, inputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PATHWISE)
def test_pathwise_gradients_are_those_of_the_moments(name):
    """E ∂(x + x²/2)/∂θ through `rsample` is ∂/∂θ of mean + (variance + mean²)/2."""
    n = 20_000
    parameters, build = FAMILIES[name]
    for i, p in enumerate(parameters):
        wide = p.expand((n,) + p.shape).clone().requires_grad_()
        d = build(*parameters[:i], wide, *parameters[i + 1 :])
        assert d.has_rsample
        x = d.rsample()
        (paths,) = torch.autograd.grad((x + x.square() / 2).sum(), wide)
        one = p.clone().requires_grad_()
        d = build(*parameters[:i], one, *parameters[i + 1 :])
        (expected,) = torch.autograd.grad((d.mean + (d.variance + d.mean.square()) / 2).sum(), one)
        if p.dim() == 2 and name in ("mvn_cov", "mvn_precision", "wishart", "inverse_wishart"):
            # Only symmetric directions mean anything: Cholesky and the moments spread the rest differently.
            paths, expected = paths + paths.mT, expected + expected.mT
        within(paths.mean(0), expected, paths.std(0) / n**0.5)


def test_log_prob_agrees_with_scipy():
    x, mean, cov = v(0.3, 0.2), LOC.numpy(), COV.numpy()
    tril_cov = (TRIL @ TRIL.mT).numpy()
    normal = st.multivariate_normal
    close(make("mvn_cov").log_prob(x), normal(mean, cov).logpdf(x))
    close(make("mvn_precision").log_prob(x), normal(mean, torch.linalg.inv(COV).numpy()).logpdf(x))
    low_rank = v([1.5, 0.5], [0.5, 1.05]).numpy()
    close(make("low_rank").log_prob(x), normal(mean, low_rank).logpdf(x))
    close(make("student").log_prob(x), st.multivariate_t(mean, tril_cov, df=6.0).logpdf(x))
    matrix = v([0.9, -0.2], [-0.2, 1.4])
    close(make("wishart").log_prob(matrix), st.wishart(4.5, cov).logpdf(matrix.numpy()))
    close(make("inverse_wishart").log_prob(matrix), st.invwishart(9.0, cov).logpdf(matrix.numpy()))
    value, loc = torch.randn(2, 2), torch.randn(2, 2)
    rows = st.matrix_normal(loc.numpy(), tril_cov, cov)
    close(MatrixNormal(loc, TRIL, torch.linalg.cholesky(COV)).log_prob(value), rows.logpdf(value.numpy()))
    counts = st.dirichlet_multinomial([1.0, 2.0, 0.5], 4)
    close(make("dirichlet_multinomial").log_prob(v(1.0, 3.0, 0.0)), counts.logpmf([1, 3, 0]))


@pytest.mark.parametrize("dim", [2, 3, 4, 7])
@pytest.mark.parametrize("kappa", [0.05, 2.0, 60.0])
def test_von_mises_fisher_agrees_with_scipy(dim, kappa):
    loc = torch.nn.functional.normalize(torch.randn(dim), dim=-1)
    x = torch.nn.functional.normalize(torch.randn(10, dim), dim=-1)
    theirs = st.vonmises_fisher(loc.numpy(), kappa).logpdf(x.numpy())
    close(VonMisesFisher(loc, kappa, validate_args=False).log_prob(x), theirs, rtol=1e-8)


def test_normal_inverse_wishart_is_the_product_of_its_conditionals():
    d = NormalInverseWishart(LOC, 2.0, 6.0, COV)
    value = d.sample()
    mean, cov = d.split(value)
    normal = st.multivariate_normal(LOC.numpy(), (cov / 2.0).numpy()).logpdf(mean)
    close(d.log_prob(value), normal + st.invwishart(6.0, COV.numpy()).logpdf(cov.numpy()))


def dense(name):
    """Mean and covariance of a process, from its definition."""
    if name == "walk":
        ones = torch.ones(3, 3).tril()
        return v(0.2, 0.4, 0.6), 0.36 * ones @ ones.mT
    if name == "walk_init":
        ones = torch.ones(3, 3).tril()
        return v(1.5, 1.5, 1.5), ones @ torch.diag(v(4.0, 0.36, 0.36)) @ ones.mT
    if name.startswith("ar"):
        init = name == "ar_init"
        recursion = v([1.0, 0.0, 0.0], [0.0 if init else -0.6, 1.0, 0.0], [0.3, -0.6, 1.0])
        noise = torch.diag(v(4.0, 4.0, 0.25) if init else v(0.25, 0.25, 0.25))
        back = torch.linalg.inv(recursion)
        return torch.full((3,), 0.0 if init else 1.0), back @ noise @ back.mT
    factor = v([1.0, 0.0, 0.0], [0.3, 1.2, 0.0], [0.0, -0.4, 0.9])
    return v(0.5, -1.0, 0.0), torch.linalg.inv(factor @ factor.mT)


@pytest.mark.parametrize("name", ["walk", "walk_init", "ar", "ar_init", "banded"])
def test_processes_are_the_normals_they_say(name):
    mean, cov = dense(name)
    d = make(name)
    x = torch.randn(4, 3)
    close(d.log_prob(x), MultivariateNormal(mean, cov).log_prob(x))
    close(d.mean, mean)
    close(d.variance, cov.diagonal())


def test_intrinsic_car_is_the_normal_of_the_laplacian():
    d = make("icar")
    laplacian = v([2.0, -1, -1, 0], [-1, 2.0, -1, 0], [-1, -1, 3.0, -1], [0, 0, -1, 1.0])
    values, vectors = torch.linalg.eigh(laplacian / 0.49)
    x = d.sample((6,))
    along = x @ vectors[:, 1:]
    expected = Normal(0.0, values[1:].rsqrt()).log_prob(along).sum(-1)
    close(d.log_prob(x), expected)
    close(d.variance, torch.linalg.pinv(laplacian / 0.49).diagonal())


def test_lkj_in_two_dimensions_is_a_beta():
    r = v(-0.7, 0.1, 0.9)
    matrices = torch.stack([v([1.0, q], [q, 1.0]) for q in r.tolist()])
    expected = st.beta(1.7, 1.7).logpdf((r.numpy() + 1) / 2) - math.log(2.0)
    close(LKJ(2, 1.7).log_prob(matrices), expected)
    # |dR/dL| is 1 here: L_21 is the correlation itself.
    close(LKJCholesky(2, 1.7).log_prob(torch.linalg.cholesky(matrices)), expected)


def test_lkj_cholesky_is_lkj_in_other_coordinates():
    factors = LKJCholesky(4, 2.3).sample((5,))
    diagonal = factors.diagonal(dim1=-2, dim2=-1)
    log_jacobian = (v(3.0, 2.0, 1.0, 0.0) * diagonal.log()).sum(-1)
    close(LKJ(4, 2.3).log_prob(factors @ factors.mT) + log_jacobian, LKJCholesky(4, 2.3).log_prob(factors))
    close(torch.distributions.LKJCholesky(4, 2.3).log_prob(factors), LKJCholesky(4, 2.3).log_prob(factors))


def test_dirichlet_multinomial_sums_to_one():
    d = DirichletMultinomial(5, v(0.7, 2.0, 1.1))
    counts = [v(a, b, 5 - a - b) for a in range(6) for b in range(6 - a)]
    x = torch.stack(counts).to(torch.float64)
    close(d.log_prob(x).exp().sum(), 1.0)
    totals = DirichletMultinomial(t([2, 7]), v(0.7, 2.0, 1.1)).sample((50,)).sum(-1)
    assert (totals == v(2.0, 7.0)).all()
    unchecked = DirichletMultinomial(5, v(0.7, 2.0, 1.1), validate_args=False)
    assert (
        unchecked.log_prob(v(5.0, 1.0, -1.0)) == -math.inf
        and unchecked.log_prob(v(1.0, 1.0, 1.0)) == -math.inf
    )


def test_product_is_the_sum_of_its_parts():
    d = Product([Normal(0.0, torch.ones(4, 2)), Dirichlet(torch.ones(3)), Wishart(3.0, COV)])
    assert d.batch_shape == (4, 2) and d.event_shape == (8,)
    x = d.sample((5,))
    a, b, c = d.split(x)
    assert c.shape == (5, 4, 2, 2, 2)
    expected = (
        Normal(0.0, 1.0).log_prob(a) + Dirichlet(torch.ones(3)).log_prob(b) + Wishart(3.0, COV).log_prob(c)
    )
    close(d.log_prob(x), expected)
    assert d.support.check(x).all()
    transform = biject_to(d.support)
    assert transform.inverse_shape((8,)) == (6,)
    torch.testing.assert_close(transform(transform.inv(x)), x)


def test_impossible_covariance_has_no_density_and_no_exception():
    bad = v([1.0, 2.0], [2.0, 1.0])
    assert MultivariateNormal(LOC, bad, validate_args=False).log_prob(LOC).isnan()
    with pytest.raises(ValueError, match="covariance_matrix"):
        MultivariateNormal(LOC, bad, validate_args=True)
    good = MultivariateNormal(LOC, COV)
    close(good.precision_matrix, torch.linalg.inv(COV))
    close(good.entropy(), st.multivariate_normal(LOC.numpy(), COV.numpy()).entropy())


def test_outside_the_support():
    d = MultivariateLogNormal(LOC, COV, validate_args=False)
    x = v(1.0, -1.0).requires_grad_()
    assert d.log_prob(x) == -math.inf
    with pytest.raises(ValueError):
        MultivariateLogNormal(LOC, COV, validate_args=True).log_prob(v(1.0, -1.0))


@pytest.mark.parametrize(
    "build",
    [
        lambda: MultivariateNormal(LOC, COV, scale_tril=TRIL),
        lambda: MultivariateNormal(LOC, LOC),
        lambda: LowRankMultivariateNormal(LOC, torch.ones(3, 1), torch.ones(2)),
        lambda: MultivariateStudentT(3.0, torch.zeros(3), TRIL),
        lambda: MultivariateStudentT(torch.ones(3), torch.zeros(2, 2), TRIL),
        lambda: Wishart(3.0),
        lambda: InverseWishart(3.0),
        lambda: InverseWishart(3.0, LOC),
        lambda: MatrixNormal(torch.zeros(2, 3), TRIL, TRIL),
        lambda: LKJ(1),
        lambda: LKJCholesky(1),
        lambda: GaussianRandomWalk(1.0, 0),
        lambda: GaussianRandomWalk(1.0, 3, init=Dirichlet(torch.ones(2))),
        lambda: AutoregressiveNormal(v(0.5, 0.1), 1.0, 2),
        lambda: BandedNormal(torch.zeros(2), torch.ones(3, 2)),
        lambda: SumToZeroNormal(1),
        lambda: IntrinsicCAR(t([0]), t([1]), 3),
        lambda: IntrinsicCAR(t([0]), t([3]), 3),
        lambda: UnitSphere(1),
        lambda: Product([]),
    ],
)
def test_bad_parameters_are_refused(build):
    with pytest.raises(ParameterError):
        build()


def test_error_text():
    with pytest.raises(ParameterError) as caught:
        IntrinsicCAR(t([0, 2]), t([1, 3]), 4)
    assert str(caught.value) == (
        "parameter error\n"
        "the graph of IntrinsicCAR is not connected, so a sum-to-zero constraint doesn't make it proper\n"
        "  expected: all 4 nodes reachable from node 0\n"
        "  found:    2 reachable\n"
        "  edit:     one IntrinsicCAR for each connected part"
    )


def test_supports():
    assert make("lkj").support is C.corr_matrix
    assert make("dirichlet_multinomial").support.is_discrete
    assert biject_to(make("wishart").support).inverse_shape((2, 2)) == (3,)
    assert biject_to(make("niw").support).inverse_shape((3, 2)) == (5,)


def test_registry_tells_the_truth():
    """Each family of these files is registered, and its entry agrees with its instances."""
    files = {"multivariate", "matrix", "lkj", "processes", "product", "sphere", "sum_to_zero"}
    known = [f for f in families() if f.cls.__module__.rpartition(".")[2] in files]
    assert {f.name for f in known} >= {"Wishart", "LKJ", "Product", "IntrinsicCAR", "VonMisesFisher"}
    assert len(known) == 19
    for family in known:
        assert family.examples()
        for d in family.examples():
            entry = family_of(d)
            assert entry.event_dim == len(d.event_shape) == d.support.event_dim
            assert entry.discrete == d.support.is_discrete
            pathwise = {"reparam", "implicit"} & set(entry.strategies)
            assert not pathwise or d.has_rsample
            x = d.sample((3,))
            assert d.support.check(x).all() and torch.isfinite(d.log_prob(x)).all()
