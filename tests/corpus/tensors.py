"""The operations on tensors that models are made of, by their kinds."""

from __future__ import annotations

import math

import torch

import ppl
from corpus.entry import draws, program, t
from ppl.distributions import (
    Dirichlet,
    Exponential,
    Independent,
    LogNormal,
    MultivariateNormal,
    Normal,
    Poisson,
    Uniform,
)

Y = draws(21).standard_normal(6)
MATRIX = draws(22).standard_normal((4, 3))
INDEX = torch.tensor([2, 0, 1, 2, 1, 0])


def matrix(name="A", n=3, scale=0.3):
    """A random square matrix near the identity, so that it has an inverse."""
    return torch.eye(n) + ppl.sample(name, Normal(0.0, scale).expand([n, n]))


def score(*values):
    """Everything enters the density, each element with a weight of its own."""
    for i, value in enumerate(values):
        value = value.reshape(-1)
        ppl.factor(f"score{i}", torch.sin(value) @ torch.linspace(0.5, 1.5, value.shape[0]))


# ---------------------------------------------------------------- linear algebra


@program()
def inverse_and_determinants():
    A = matrix()
    sign, log_det = torch.linalg.slogdet(A)
    score(torch.linalg.inv(A), sign * log_det, torch.linalg.det(A), torch.logdet(A @ A.T))


@program(b=MATRIX[:3])
def linear_systems(b):
    A = matrix()
    score(torch.linalg.solve(A, b), torch.linalg.solve(A, b[:, 0]))


@program(b=MATRIX[:3])
def triangular_systems(b):
    L = torch.tril(matrix())
    score(
        torch.linalg.solve_triangular(L, b, upper=False),
        torch.linalg.solve_triangular(L.T, b, upper=True),
    )


@program(b=MATRIX[:3])
def systems_with_a_known_cholesky_factor(b):
    L = torch.tril(matrix())
    score(torch.cholesky_solve(b, L), torch.cholesky_inverse(L))


@program()
def cholesky_of_a_covariance():
    A = matrix()
    score(torch.linalg.cholesky(A @ A.T + torch.eye(3)))


@program()
def eigenvalues():
    A = matrix()
    score(torch.linalg.eigvalsh(A + A.T + torch.diag(t(0.0, 1.0, 3.0))))


@program(fails="torch's reverse of eigh writes into a tensor")
def eigenvectors():
    A = matrix()
    values, vectors = torch.linalg.eigh(A + A.T + torch.diag(t(0.0, 1.0, 3.0)))
    score(vectors @ torch.diag(torch.exp(values)) @ vectors.T)


@program()
def singular_values():
    A = matrix() + torch.diag(t(0.0, 1.0, 3.0))
    score(torch.linalg.svdvals(A))


@program()
def norms():
    A = matrix()
    score(torch.linalg.norm(A), torch.linalg.matrix_norm(A, 1), A.norm(dim=0))


@program()
def cross_products_and_other_norms():
    A = matrix()
    score(torch.linalg.cross(A[0], A[1]), torch.linalg.vector_norm(A[0], 3))


@program(fails="torch's reverse of qr writes into a tensor")
def qr_decomposition():
    Q, R = torch.linalg.qr(matrix() + torch.diag(t(0.0, 1.0, 3.0)))
    score(Q @ torch.diag(torch.sign(torch.diagonal(R))), torch.abs(R))


@program()
def matrix_exponential():
    score(torch.linalg.matrix_exp(matrix(scale=0.1)))


@program(b=MATRIX)
def einsum_forms(b):
    A, v = matrix(), ppl.sample("v", Normal(0.0, 1.0).expand([3]))
    score(
        torch.einsum("ij,nj->ni", A, b),
        torch.einsum("i,ij,j->", v, A, v),
        torch.einsum("ij,ji->", A, A),
        torch.einsum("ni,ij,nj->n", b, A, b),
        torch.einsum("i,j->ij", v, v),
    )


@program(b=MATRIX)
def products_of_matrices(b):
    A, v = matrix(), ppl.sample("v", Normal(0.0, 1.0).expand([3]))
    batch = torch.stack([A, A.T, 2.0 * A])
    score(
        b @ v, v @ A @ v, torch.outer(v, v), torch.dot(v, v), torch.bmm(batch, batch), torch.trace(A),
        torch.linalg.matrix_power(A, 3), torch.kron(A, v),
    )  # fmt: skip


# ---------------------------------------------------------------- indexing and shapes


@program(mask=torch.tensor([True, False, True, True, False, True]))
def indexing_forms(mask):
    x, A = ppl.sample("x", Normal(0.0, 1.0).expand([6])), matrix()
    score(
        x[2], x[-1], x[1:4], x[::2], x[INDEX], x[[0, 5]], x[mask], A[1], A[:, 0], A[..., -1], A[[0, 2], [1, 1]],
        A[INDEX], A[None, 1:, :2], x[INDEX[:4].reshape(2, 2)], torch.gather(A, 1, INDEX.reshape(3, 2)),
        torch.index_select(x, 0, INDEX), x.narrow(0, 1, 3),
    )  # fmt: skip


@program()
def writing_at_places():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([6]))
    score(
        torch.zeros(3).index_add(0, INDEX, x),
        torch.zeros(3).scatter_add(0, INDEX, x),
        torch.zeros(8).index_put((torch.arange(6),), x),
    )


@program()
def shapes():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([6]))
    A = x.reshape(2, 3)
    grid = torch.meshgrid(x, x[:2], indexing="ij")[0]
    score(
        A.T, A.permute(1, 0), A.flatten(), x.view(3, 2), A.unsqueeze(0).expand(4, 2, 3), torch.cat([A, A], 1),
        torch.stack([x, 2.0 * x]), torch.flip(x, [0]), torch.diag(x), torch.diagonal(A @ A.T), torch.tril(A @ A.T),
        torch.triu(A.T @ A), torch.cat(torch.split(x, 2)[:2]), torch.cat(torch.chunk(x, 3)), A.squeeze(), grid,
        torch.nn.functional.pad(x, (1, 2)), torch.repeat_interleave(x, 2), torch.broadcast_to(x, (2, 6)),
        torch.movedim(A, 0, 1), torch.zeros(6).masked_fill(INDEX > 0, 2.0) * x,
    )  # fmt: skip


@program()
def repeated_and_rolled():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([6]))
    score(x[:3].repeat(2), torch.tile(x, (2,)), torch.roll(x, 2))


@program()
def moving_windows():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([6]))
    score(x.unfold(0, 3, 1).mean(1))


@program()
def convolutions():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([6]))
    kernel = ppl.sample("kernel", Dirichlet(torch.ones(3)))
    score(torch.conv1d(x[None, None], kernel[None, None]))


# ---------------------------------------------------------------- element by element


@program()
def functions_of_one_number():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([3]))
    p = ppl.sample("p", Uniform(0.1, 0.9).expand([3]))
    score(
        torch.exp(x), torch.expm1(x), torch.log(p), torch.log1p(p), torch.log2(p), torch.log10(p), torch.sqrt(p),
        torch.rsqrt(p), torch.square(x), torch.abs(x), torch.sin(x), torch.cos(x), torch.tan(p), torch.asin(p),
        torch.acos(p), torch.atan(x), torch.sinh(x), torch.cosh(x), torch.tanh(x), torch.asinh(x),
        torch.acosh(1.0 + p), torch.atanh(p), torch.sigmoid(x), torch.reciprocal(p), -x, x**3, p**2.5, 2.0**x, p**x,
        torch.sign(x) * x, torch.floor(x) * x, torch.round(x) * x, torch.trunc(x) * x,
    )  # fmt: skip


@program()
def special_functions():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([3]))
    p = ppl.sample("p", Uniform(0.1, 0.9).expand([3]))
    score(
        torch.erf(x), torch.erfc(x), torch.erfinv(p), torch.special.ndtr(x), torch.special.log_ndtr(x),
        torch.special.ndtri(p), torch.lgamma(p + 1.0), torch.digamma(p + 1.0), torch.polygamma(1, p + 1.0),
        torch.special.gammaln(p), torch.special.xlogy(p, p), torch.special.i0(p), torch.special.i0e(p),
        torch.special.expit(x), torch.special.erfcx(p),
    )  # fmt: skip


@program()
def logits_and_entropies():
    p = ppl.sample("p", Uniform(0.1, 0.9).expand([3]))
    score(torch.logit(p), torch.special.entr(p), torch.special.xlog1py(1.0 - p, -p))


@program()
def activations():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([4]))
    f = torch.nn.functional
    score(
        f.softplus(x), f.relu(x), f.logsigmoid(x), f.silu(x), f.softmax(x, 0), f.log_softmax(x, 0), f.softmin(x, 0),
        f.tanhshrink(x), f.softsign(x), f.normalize(x, dim=0),
    )  # fmt: skip


@program()
def activations_of_deep_networks():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([4]))
    f = torch.nn.functional
    score(f.gelu(x), f.elu(x), f.leaky_relu(x, 0.1), f.selu(x), f.mish(x), f.hardtanh(x), f.glu(x))


@program()
def comparisons_and_choices():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([4]))
    y = ppl.sample("y", Normal(0.0, 1.0).expand([4]))
    score(
        torch.where(x > y, x, y * 2.0), torch.clamp(x, -0.3, 0.3), torch.clamp(x, min=y), torch.maximum(x, y),
        torch.minimum(x, y), torch.where((x > 0) & (y < 0) | ~(x == y), x * y, 0.0), (x > 0).to(torch.float64) * y,
        torch.lerp(x, y, 0.3), torch.fmod(x, 0.7), torch.remainder(x, 0.7), torch.atan2(x, y), torch.hypot(x, y),
        torch.logaddexp(x, y), torch.addcmul(x, x, y), torch.isnan(x) * y,
    )  # fmt: skip


@program()
def totals():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([3, 4]))
    score(
        x.sum(), x.sum(0), x.mean(1), x.var(), x.std(1), torch.logsumexp(x, 1), x.prod(1), x.max(), x.min(1).values,
        x.amax(0), x.amin((0, 1)), torch.norm(x, dim=1), x.norm(), torch.var(x, 0, unbiased=False),
        torch.cumsum(x, 1), torch.logcumsumexp(x, 0), torch.diff(x),
    )  # fmt: skip


@program()
def running_products_and_records():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([3, 4]))
    score(torch.cumprod(x, 1), torch.cummax(x, 1).values)


@program()
def sorting():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([5]))
    values, order = torch.sort(x)
    score(values, x[order], x[torch.argmax(x)], x[torch.argsort(x, descending=True)], torch.quantile(x, 0.3))


@program()
def order_statistics():
    x = ppl.sample("x", Normal(0.0, 1.0).expand([5]))
    score(torch.topk(x, 2).values, torch.kthvalue(x, 2).values, torch.median(x))


@program({"n": t(3, 1, 4)})
def interpolation_at_random_places():
    """A table read between its entries, where a random number says."""
    table = ppl.sample("table", Normal(0.0, 1.0).expand([6]))
    for _ in ppl.plate("i", 3):
        place = ppl.sample("place", Uniform(0.0, 5.0))
        low = torch.clamp(torch.floor(place), 0.0, 4.0)
        k, w = low.long(), place - low
        ppl.sample("n", Poisson(torch.exp((1.0 - w) * table[k] + w * table[k + 1])))


@program()
def discounted_sums():
    weights = ppl.sample("weights", Dirichlet(torch.ones(4)))
    rate = ppl.sample("rate", Exponential(1.0))
    powers = torch.exp(-rate * torch.arange(4))
    score(weights * powers, torch.cumsum(weights, 0))


@program({"y": Y})
def polynomials_and_fourier_series():
    x = torch.linspace(-1.0, 1.0, 6)
    c, w = ppl.sample("c", Normal(0.0, 1.0).expand([3])), ppl.sample("w", LogNormal(0.0, 0.2))
    a = ppl.sample("a", Independent(Normal(torch.zeros(2), 1.0), 1))
    mean = (
        torch.vander(x, 3) @ c + a[0] * torch.sin(2 * math.pi * w * x) + a[1] * torch.cos(2 * math.pi * w * x)
    )
    ppl.sample("y", MultivariateNormal(mean, torch.diag(w * torch.ones(6))))
