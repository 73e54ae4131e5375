"""Natural-gradient steps of exponential families: η ← η + ρ ∂L/∂μ, with η the natural and μ the mean parameters.

A step takes the values θ of a family's params, the gradient ∂L/∂θ of what is maximised, and ρ; it returns new values.
∂L/∂μ is (∂μ/∂θ)⁻ᵀ ∂L/∂θ: the inverse Fisher matrix of η times the gradient in η. With L the ELBO of a conjugate
model η + ∂L/∂μ is the posterior's η, whatever η was: a step with ρ = 1 and no noise ends there.

Where noise leads out of the family, ρ is halved, for that element, until what is positive by definition is more than
(1 − ρ) / 2 of what it was; a step with ρ towards 0 always is.

Source: Hoffman, Blei, Wang & Paisley, "Stochastic variational inference" (2013), section 2; Khan & Lin,
"Conjugate-computation variational inference" (2017); Salimbeni, Eleftheriadis & Hensman, "Natural gradients in
practice" (2018), for the normal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Tensors = Sequence[torch.Tensor]
Step = Callable[[Tensors, Tensors, float], Tensors]

_HALVINGS = 60


def normal(values: Tensors, gradients: Tensors, rate: float) -> Tensors:
    """N(m, s²): s⁻² ← s⁻² − ρ (∂L/∂s) / s, then m ← m + ρ s² ∂L/∂m with the new s. Elementwise.

    >>> [float(x) for x in normal([torch.tensor(0.0), torch.tensor(1.0)], [torch.tensor(2.0), torch.tensor(-3.0)], 1.0)]
    [0.5, 0.5]
    """
    (m, s), (dm, ds) = values, gradients
    precision, slope = s**-2, ds / s
    rates = torch.full_like(s, rate)
    for _ in range(_HALVINGS):
        bad = precision - rates * slope <= 0.5 * (1 - rates) * precision
        if not bool(bad.any()):
            break
        rates = torch.where(bad, 0.5 * rates, rates)
    new = precision - rates * slope
    return m + rates * dm / new, new**-0.5


def multivariate_normal(values: Tensors, gradients: Tensors, rate: float) -> Tensors:
    """N(m, L Lᵀ), as `normal`, with ∂L/∂Σ = L⁻ᵀ (P + Pᵀ) L⁻¹ / 2, P the lower triangle of Lᵀ ∂L/∂L, its diagonal
    halved (Murray 2016, "Differentiation of the Cholesky decomposition").
    """
    (m, factor), (dm, dfactor) = values, gradients
    eye = torch.eye(m.shape[-1], dtype=m.dtype, device=m.device)
    inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    p = (factor.mT @ dfactor).tril()
    p = p - 0.5 * torch.diag_embed(p.diagonal(dim1=-2, dim2=-1))
    precision, slope = inverse.mT @ inverse, inverse.mT @ (p + p.mT) @ inverse
    rates = torch.full(m.shape[:-1], rate, dtype=m.dtype, device=m.device)
    for _ in range(_HALVINGS):
        at = rates[..., None, None]
        _, failed = torch.linalg.cholesky_ex((0.5 + 0.5 * at) * precision - at * slope)
        if not bool(failed.any()):
            break
        rates = torch.where(failed > 0, 0.5 * rates, rates)
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision - rates[..., None, None] * slope))
    moved = m + rates[..., None] * (covariance @ dm[..., None])[..., 0]
    return moved, torch.linalg.cholesky(covariance)


def gamma(values: Tensors, gradients: Tensors, rate: float) -> Tensors:
    """Gamma(a, b): η = (a − 1, −b), μ = (ψ(a) − log b, a / b)."""
    a, b = values
    rows = [torch.polygamma(1, a), -1 / b], [1 / b, -a / b**2]
    da, db = _solved(rows, gradients)
    return _positive(values, (da, -db), rate)


def beta(values: Tensors, gradients: Tensors, rate: float) -> Tensors:
    """Beta(a, b): η = (a − 1, b − 1), μ = (ψ(a) − ψ(a + b), ψ(b) − ψ(a + b))."""
    a, b = values
    both = torch.polygamma(1, a + b)
    rows = [torch.polygamma(1, a) - both, -both], [-both, torch.polygamma(1, b) - both]
    return _positive(values, _solved(rows, gradients), rate)


def bernoulli_logits(values: Tensors, gradients: Tensors, rate: float) -> Tensors:
    """η is the logit, μ its probability p: ∂L/∂μ = (∂L/∂η) / (p (1 − p))."""
    (eta,), (gradient,) = values, gradients
    return [eta + rate * gradient / _not_zero(torch.sigmoid(eta) * torch.sigmoid(-eta))]


def bernoulli_probs(values: Tensors, gradients: Tensors, rate: float) -> Tensors:
    (p,), (gradient,) = values, gradients
    return [torch.sigmoid(torch.logit(p) + rate * gradient)]


def categorical_logits(values: Tensors, gradients: Tensors, rate: float) -> Tensors:
    """η are the logits [K], but for a constant; μ the probabilities p: ∂L/∂η = p ⊙ (∂L/∂μ − pᵀ ∂L/∂μ)."""
    (eta,), (gradient,) = values, gradients
    return [torch.log_softmax(eta + rate * gradient / _not_zero(torch.softmax(eta, -1)), -1)]


def _solved(rows: tuple[Tensors, Tensors], gradients: Tensors) -> Tensors:
    """∂L/∂μ of a family with two parameters, from the rows of ∂μ/∂θ."""
    (a, b), (c, d) = rows
    x, y = gradients
    determinant = a * d - b * c
    return (d * x - c * y) / determinant, (a * y - b * x) / determinant


def _positive(values: Tensors, slopes: Tensors, rate: float) -> Tensors:
    """Values that must stay positive, each moved by its slope; elements of all share a rate."""
    rates = torch.full_like(values[0], rate)
    for _ in range(_HALVINGS):
        bad = torch.zeros_like(rates, dtype=torch.bool)
        for value, slope in zip(values, slopes, strict=True):
            bad |= value + rates * slope <= 0.5 * (1 - rates) * value
        if not bool(bad.any()):
            break
        rates = torch.where(bad, 0.5 * rates, rates)
    return [value + rates * slope for value, slope in zip(values, slopes, strict=True)]


def _not_zero(p: torch.Tensor) -> torch.Tensor:
    return p.clamp(min=torch.finfo(p.dtype).tiny)
