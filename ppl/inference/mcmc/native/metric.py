"""Hamiltonian dynamics in whitened momentum, for a diagonal, a dense and a low-rank Σ.

With Σ = L Lᵀ and momentum p ~ N(0, Σ⁻¹), the whitened momentum r = Lᵀp is standard normal whatever Σ is.
In it the leapfrog step reads

    r½ = r + ε/2 Lᵀ∇log π(q);   q' = q + ε L r½;   r' = r½ + ε/2 Lᵀ∇log π(q')

the kinetic energy is ½ rᵀr, and the products of velocities and sums of momenta that the U-turn test takes are
(Σp)ᵀρ = rᵀ(Lᵀρ): dot products of whitened vectors. So momentum is drawn, energy and U-turns are computed
without Σ, and each vector is kept once where (p, Σp) would be two. The step is the usual one in other
coordinates (Neal 2011, "MCMC using Hamiltonian dynamics", section 5.4.1).

The array `metric` holds L, by kind:

    DIAGONAL   scales [n], variances [n]: L = diag(scales)
    DENSE      the rows of L [D, n], lower triangular
    LOW_RANK   scales [n], stretches [n], directions [k, n]: L = diag(scales) (I + Uᵀ diag(stretches) U), for
               orthonormal rows U and stretches √λ − 1

A gradient is whitened once, when it is computed, and kept so with its point.
"""

from __future__ import annotations

from ppl.compiler.native import Density, Floats, Ints, f64, i64, math, native
from ppl.inference.mcmc.native.layout import (
    BLOCK,
    DENSE,
    DIAGONAL,
    DIM,
    LOW_RANK,
    METRIC,
    PADDED,
    POINT_ENERGY,
    POINT_LOGP,
    POINT_TAIL,
    RANK,
    SCRATCH,
    vector_at,
)

# Loops run to `BLOCK * blocks`, which tells the compiler that no remainder is left over. What is not in the
# innermost loop of the diagonal metric is made of the first four, out of line: they are compiled once.


@native(inline=False)
def copy(a: Floats, out: Floats, n: i64) -> None:
    """out = a."""
    for i in range(n):
        out[i] = a[i]


@native(inline=False)
def dot(a: Floats, b: Floats, blocks: i64) -> f64:
    """aᵀb."""
    total = 0.0
    for i in range(BLOCK * blocks):
        total += a[i] * b[i]
    return total


@native(inline=False)
def accumulate(out: Floats, factor: f64, a: Floats, blocks: i64) -> None:
    """out += factor · a."""
    for i in range(BLOCK * blocks):
        out[i] += factor * a[i]


@native(inline=False)
def multiply(out: Floats, scales: Floats, blocks: i64) -> None:
    """out ← diag(scales) out."""
    for i in range(BLOCK * blocks):
        out[i] *= scales[i]


@native
def kick_and_drift(
    r: Floats,
    q: Floats,
    grad: Floats,
    scales: Floats,
    half: f64,
    step: f64,
    r_new: Floats,
    q_new: Floats,
    blocks: i64,
) -> None:
    """Half a kick and a drift with L = diag(scales), in one pass."""
    for i in range(BLOCK * blocks):
        scale = scales[i]
        kicked = r[i] + half * (scale * grad[i])
        r_new[i] = kicked
        q_new[i] = q[i] + step * (scale * kicked)


@native
def kick(r: Floats, grad: Floats, scales: Floats, half: f64, blocks: i64) -> f64:
    """The other half of a kick, in place; returns rᵀr."""
    total = 0.0
    for i in range(BLOCK * blocks):
        kicked = r[i] + half * (scales[i] * grad[i])
        r[i] = kicked
        total += kicked * kicked
    return total


@native(inline=False)
def stretch(metric: Floats, rank: i64, n: i64, x: Floats, coefficients: Floats) -> None:
    """x ← (I + Uᵀ diag(stretches) U) x in place; `coefficients` is scratch for k numbers."""
    blocks = n // BLOCK
    for k in range(rank):
        coefficients[k] = metric[n + k] * dot(metric[(2 + k) * n :], x, blocks)
    for k in range(rank):
        accumulate(x, coefficients[k], metric[(2 + k) * n :], blocks)


@native(inline=False)
def whiten(metric: Floats, spec: Ints, grad: Floats, out: Floats, scratch: Floats) -> None:
    """out = Lᵀ grad."""
    n = spec[PADDED]
    blocks = n // BLOCK
    if spec[METRIC] == DENSE:
        for i in range(n):
            out[i] = 0.0
        for j in range(spec[DIM]):  # beyond its diagonal element a row is zero
            accumulate(out, grad[j], metric[j * n :], j // BLOCK + 1)
    else:
        copy(grad, out, n)
        multiply(out, metric, blocks)
        if spec[METRIC] == LOW_RANK:
            stretch(metric, spec[RANK], n, out, scratch)


@native(inline=False)
def colour(metric: Floats, spec: Ints, r: Floats, out: Floats, scratch: Floats) -> None:
    """out = L r."""
    n = spec[PADDED]
    blocks = n // BLOCK
    if spec[METRIC] == DENSE:
        for i in range(spec[DIM]):
            out[i] = dot(metric[i * n :], r, i // BLOCK + 1)
    else:
        copy(r, out, n)
        if spec[METRIC] == LOW_RANK:
            stretch(metric, spec[RANK], n, out, scratch)
        multiply(out, metric, blocks)


@native
def start_point(spec: Ints, metric: Floats, work: Floats, here: i64) -> f64:
    """Complete a point with q, r, log density and gradient: whitens the gradient, returns the energy."""
    n = spec[PADDED]
    point = work[here:]
    tail = 3 * n
    if spec[METRIC] != DIAGONAL:
        whiten(metric, spec, point[tail + POINT_TAIL :], point[2 * n :], work[vector_at(n, SCRATCH) :])
    energy = 0.5 * dot(point[n:], point[n:], n // BLOCK) - point[tail + POINT_LOGP]
    point[tail + POINT_ENERGY] = energy
    return energy


@native(inline=False)
def leapfrog(
    spec: Ints,
    metric: Floats,
    work: Floats,
    here: i64,
    there: i64,
    step: f64,
    density: Density,
    env: Ints,
) -> f64:
    """One leapfrog step from the point at `here` in `work` to the one at `there`; returns the energy there.

    The energy is nan where the density reports failure, and not finite where log density or gradient is not.
    """
    n = spec[PADDED]
    blocks = n // BLOCK
    half = 0.5 * step
    tail = 3 * n
    old = work[here:]
    new = work[there:]
    diagonal = spec[METRIC] == DIAGONAL
    if diagonal:
        kick_and_drift(old[n:], old, old[tail + POINT_TAIL :], metric, half, step, new[n:], new, blocks)
    else:
        velocity = work[vector_at(n, SCRATCH) :]
        copy(old, new, 2 * n)
        accumulate(new[n:], half, old[2 * n :], blocks)
        colour(metric, spec, new[n:], velocity, work[vector_at(n, SCRATCH + 1) :])
        accumulate(new, step, velocity, blocks)
    code = density(new, new[tail + POINT_LOGP :], env)
    grad = new[tail + POINT_TAIL :]
    if diagonal:
        kinetic = kick(new[n:], grad, metric, half, blocks)
    else:
        whiten(metric, spec, grad, new[2 * n :], work[vector_at(n, SCRATCH) :])
        accumulate(new[n:], half, new[2 * n :], blocks)
        kinetic = dot(new[n:], new[n:], blocks)
    energy = 0.5 * kinetic - new[tail + POINT_LOGP]
    if code != 0:
        energy = math.nan
    new[tail + POINT_ENERGY] = energy
    return energy
