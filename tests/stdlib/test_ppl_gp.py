"""Gaussian processes: kernels against their formulas, regression against the joint normal law, the
Hilbert-space approximation against the exact covariance, spectra against Fourier transforms.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from closed_form import Values, agrees, normal, real
from torch.distributions import HalfNormal, MultivariateNormal, Normal

import ppl
from ppl.distributions import InverseGamma

library = ppl.std.gp
X = normal(5, 2)
Y = normal(5, seed=1)
KERNELS = {
    "squared_exponential": lambda r: np.exp(-(r**2) / 2),
    "matern12": lambda r: np.exp(-r),
    "matern32": lambda r: (1 + math.sqrt(3) * r) * np.exp(-math.sqrt(3) * r),
    "matern52": lambda r: (1 + math.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-math.sqrt(5) * r),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_their_formulas_with_finite_derivatives(name: str) -> None:
    Z = normal(3, 2, seed=2)
    r = np.linalg.norm(X.numpy()[:, None] - Z.numpy(), axis=2) / 0.7
    expected = torch.from_numpy(1.5**2 * KERNELS[name](r))
    torch.testing.assert_close(getattr(library, name)(X, Z, 1.5, 0.7), expected, rtol=1e-9, atol=1e-9)
    x = X.clone().requires_grad_()
    getattr(library, name)(x, x).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", ["squared_exponential", "matern32", "matern52"])
def test_spectra_are_fourier_transforms(name: str) -> None:
    """S(ω) = ∫ k(r) cos(ω r) dr, by the trapezium rule on [−40 ℓ, 40 ℓ]."""
    length, omega = 0.7, real([0.0, 1.0, 3.0])
    r, step = torch.linspace(-28.0, 28.0, 100_001, dtype=torch.float64, requires_grad=False), 56.0 / 100_000
    k = 1.5**2 * torch.from_numpy(KERNELS[name](np.abs(r.numpy()) / length))
    integral = (k * torch.cos(omega[:, None] * r)).sum(1) * step
    spectrum = getattr(library, f"{name}_spectrum")(omega, 1.5, length)
    torch.testing.assert_close(spectrum, integral, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "error"), [("squared_exponential", 1e-5), ("matern32", 2e-2), ("matern52", 2e-3)]
)
def test_the_hilbert_space_covariance_is_near_the_exact_one(name: str, error: float) -> None:
    """On [−1, 1] with ℓ = 0.5, boundary 3, 80 functions: what is left are the spectrum's tail and the walls."""
    x, L, M = torch.linspace(-1.0, 1.0, 41, dtype=torch.float64), 3.0, 80
    phi = library.eigenfunctions(x, M, L)
    S = getattr(library, f"{name}_spectrum")(library.frequencies(M, L), 1.3, 0.5)
    exact = getattr(library, name)(x[:, None], x[:, None], 1.3, 0.5)
    assert float((phi * S @ phi.T - exact).abs().max()) < error


def priors(v: Values) -> torch.Tensor:
    length = InverseGamma(real(5.0), real(5.0)).log_prob(v["length"])
    scales = HalfNormal(1.0).log_prob(v["magnitude"]) + HalfNormal(1.0).log_prob(v["sigma"])
    return Normal(0.0, 1.0).log_prob(v["mu"]) + length + scales


def squared_exponential(a: torch.Tensor, b: torch.Tensor, v: Values) -> torch.Tensor:
    return v["magnitude"] ** 2 * torch.exp(-0.5 * ((a[:, None] - b) / v["length"]).square().sum(2))


def test_regression_is_the_joint_normal_law() -> None:
    def formula(v: Values) -> torch.Tensor:
        covariance = squared_exponential(X, X, v) + (v["sigma"] ** 2 + 1e-10) * torch.eye(5)
        return priors(v) + MultivariateNormal(v["mu"].expand(5), covariance).log_prob(Y)

    agrees(library.regression(X, Y), formula)


def test_predictions_are_conditional_means() -> None:
    """The mean of a normal law given part of it, by its precision matrix: −Λ_ff⁻¹ Λ_fy (y − μ)."""
    v = {"magnitude": real(1.2), "length": real(0.8)}
    new = normal(2, 2, seed=4)
    both = squared_exponential(torch.cat([new, X]), torch.cat([new, X]), v)
    both[2:, 2:] += (0.3**2 + 1e-10) * torch.eye(5, dtype=torch.float64)
    precision = torch.linalg.inv(both)
    expected = 0.5 - torch.linalg.solve(precision[:2, :2], precision[:2, 2:] @ (Y - 0.5))
    torch.testing.assert_close(library.predicted(X, Y, new, 0.5, 1.2, 0.8, 0.3), expected)


def test_hilbert_regression() -> None:
    x = real([0.0, 0.5, 1.0, 2.5, 4.0])

    def formula(v: Values) -> torch.Tensor:
        L, j = 1.5 * 2.0, torch.arange(1, 11)
        omega = j * math.pi / (2 * L)
        phi = torch.sin(omega * (x[:, None] - 2.0 + L)) / math.sqrt(L)
        S = (
            v["magnitude"] ** 2
            * math.sqrt(2 * math.pi)
            * v["length"]
            * torch.exp(-0.5 * (v["length"] * omega) ** 2)
        )
        f = phi @ (S.sqrt() * v["beta"])
        torch.testing.assert_close(v["f"], f)
        data = Normal(v["mu"] + f, v["sigma"]).log_prob(Y).sum()
        return priors(v) + Normal(0.0, 1.0).log_prob(v["beta"]).sum() + data

    agrees(library.hilbert_regression(x, Y, M=10), formula)
