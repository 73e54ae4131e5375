"""Factor models against the joint normal law; loadings; factors given the data."""

from __future__ import annotations

import pytest
import torch
from closed_form import Values, agrees, normal, real
from torch.distributions import HalfNormal, MultivariateNormal, Normal

import ppl

library = ppl.std.factor
N, D, K = 5, 4, 2
Y = normal(N, D, seed=1)


def loadings(v: Values, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix by hand, and its prior."""
    a, b, c, d, e, f, g = v[f"{name}/entries"]
    matrix = torch.stack([a, torch.zeros(()), b, c, d, e, f, g]).reshape(D, K)
    torch.testing.assert_close(v[f"{name}/matrix"], matrix * torch.stack([a.sign(), c.sign()]))
    prior = Normal(0.0, 0.5).log_prob(v[f"{name}/entries"]).sum()
    return matrix, prior + Normal(0.0, 10.0).log_prob(v["mu"]).sum()


def test_factor_analysis() -> None:
    def formula(v: Values) -> torch.Tensor:
        matrix, prior = loadings(v, "lambda")
        law = MultivariateNormal(v["mu"], matrix @ matrix.T + torch.diag(v["psi"] ** 2))
        return prior + HalfNormal(1.0).log_prob(v["psi"]).sum() + law.log_prob(Y).sum()

    agrees(library.factor_analysis(N, D, K, Y, loading_scale=0.5), formula)


def test_probabilistic_pca() -> None:
    def formula(v: Values) -> torch.Tensor:
        matrix, prior = loadings(v, "W")
        law = MultivariateNormal(v["mu"], matrix @ matrix.T + v["sigma"] ** 2 * torch.eye(D))
        return prior + HalfNormal(1.0).log_prob(v["sigma"]) + law.log_prob(Y).sum()

    agrees(library.probabilistic_pca(N, D, K, Y, loading_scale=0.5), formula)


@pytest.mark.parametrize("K", [1, 3])
def test_loadings_of_one_and_of_three_factors(K: int) -> None:
    trace = ppl.simulate(library.loadings(5, K), seed=K)
    matrix = trace.value
    assert matrix.shape == (5, K)
    assert (matrix.triu(1) == 0).all()
    assert (trace["matrix"].diagonal() > 0).all()
    torch.testing.assert_close(trace["matrix"] @ trace["matrix"].mT, matrix @ matrix.mT)
    assert len(matrix[matrix != 0].unique()) == 5 * K - K * (K - 1) // 2


def test_scores_are_conditional_means() -> None:
    """E[f | y] = Λᵀ (Λ Λᵀ + Ψ)⁻¹ (y − μ), the regression of f on y."""
    matrix, mu, variance = normal(D, K, seed=2), normal(D, seed=3), real([0.5, 1.0, 2.0, 0.1])
    covariance = matrix @ matrix.T + torch.diag(variance)
    expected = (Y - mu) @ torch.linalg.solve(covariance, matrix)
    torch.testing.assert_close(library.scores(Y, mu, matrix, variance), expected)
