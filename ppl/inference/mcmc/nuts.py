"""The No-U-Turn sampler with multinomial weights, without recursion.

A trajectory doubles, forward or backward in time at random, until it begins to turn back. The next state is
drawn from all its points in proportion to exp(−H) (Betancourt 2017, "A conceptual introduction to Hamiltonian
Monte Carlo", appendix A.3; the doubling is Hoffman & Gelman 2014, "The No-U-Turn Sampler"). The U-turn test
is the generalised one, on the sum ρ of the momenta of a piece of trajectory, and is made on both halves
joined with the neighbouring end of the other as well, which catches trajectories that turn exactly once per
doubling.

The tree of a doubling is built leaf by leaf. Finished subtrees wait on a stack; leaf number i closes as many
of them as i has trailing binary ones, so the stack never holds more than `max_treedepth` of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ppl.inference.mcmc.hamiltonian import Info, Position
from ppl.inference.mcmc.lanes import Coroutine
from ppl.inference.mcmc.metrics import Metric

Array = NDArray[np.float64]


Proposal = tuple[Array, float, Array, float]  # q, log density, gradient, energy


class _Tree(NamedTuple):
    """A stretch of trajectory: momenta p and velocities v at its two ends, in the order of integration.

    `rho` is the sum of its momenta, `log_weight` the log of the sum of exp(H₀ − H) over its points.
    """

    p_first: Array
    v_first: Array
    p_last: Array
    v_last: Array
    rho: Array
    log_weight: float
    proposal: Proposal


def _log_add(a: float, b: float) -> float:
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def _turns(a: _Tree, b: _Tree, rho: Array) -> bool:
    """Does a followed by b turn: over the whole, over a with b's first point, over a's last point with b?"""
    if a.v_first.dot(rho) <= 0.0 or b.v_last.dot(rho) <= 0.0:
        return True
    if a.rho is a.p_last and b.rho is b.p_first:  # two single points: the other two tests are the same one
        return False
    left = a.rho + b.p_first
    if a.v_first.dot(left) <= 0.0 or b.v_first.dot(left) <= 0.0:
        return True
    right = a.p_last + b.rho
    return bool(a.v_last.dot(right) <= 0.0 or b.v_last.dot(right) <= 0.0)


def nuts_step(
    rng: Generator,
    position: Position,
    step_size: float,
    metric: Metric,
    max_treedepth: int = 10,
    max_energy_error: float = 1000.0,
) -> Coroutine[tuple[Position, Info]]:
    """One transition of multinomial NUTS, as a coroutine.

    Args:
        rng: the generator of this transition alone.
        position: the current state.
        step_size: ε > 0.
        metric: Σ.
        max_treedepth: at most 2^max_treedepth − 1 leapfrog steps.
        max_energy_error: H − H₀ above which the trajectory counts as divergent. A log density or gradient
            that is not finite makes H so too and is a divergence, never an exception.

    Returns (as a coroutine): the new position and the transition's `Info`.

    >>> from ppl.inference.mcmc.metrics import unit
    >>> chain = nuts_step(np.random.default_rng(0), Position(np.zeros(2), 0.0, np.zeros(2)), 0.5, unit(2))
    >>> q = next(chain)
    >>> try:
    ...     while True:
    ...         q = chain.send((-0.5 * float(q @ q), -q))
    ... except StopIteration as stop:
    ...     new, info = stop.value
    >>> bool(info.n_steps >= 1 and not info.diverging)
    True
    """
    velocity = metric.drift(1.0)
    p = metric.sample_momentum(rng)
    v = velocity(p)
    energy0 = 0.5 * float(p.dot(v)) - position.logp
    tree = _Tree(p, v, p, v, p, 0.0, (position.q, position.logp, position.grad, energy0))
    # The trajectory's two ends in phase space: (q, p, gradient); `tree` is kept in the order of time.
    back = front = (position.q, p, position.grad)
    acceptance, steps, depth, worst = 0.0, 0, 0, 0.0
    broke_at = broke_to = None
    turned = False
    while depth < max_treedepth and not turned:
        uniforms = rng.random(
            (1 << depth) + 1
        ).tolist()  # direction, choices within the new half, choice between halves
        forward = uniforms[0] < 0.5
        q, p, grad = front if forward else back
        eps = step_size if forward else -step_size
        half = 0.5 * eps
        drift = metric.drift(eps)
        kick = half * grad
        stack: list[_Tree] = []
        merges = 0
        for leaf in range(1 << depth):
            q_old = q
            p = p + kick
            q = q + drift(p)
            logp, grad = yield q
            kick = half * grad
            p = p + kick
            v = velocity(p)
            here = 0.5 * float(p.dot(v)) - logp
            error = here - energy0
            steps += 1
            if not error <= max_energy_error or error == -math.inf:  # also nan
                worst = error if error == error else math.inf
                broke_at, broke_to = q_old, q
                break
            acceptance += 1.0 if error <= 0.0 else math.exp(-error)
            if abs(error) > abs(worst):
                worst = error
            new = _Tree(p, v, p, v, p, -error, (q, logp, grad, here))
            while leaf & 1:  # one merge for every trailing one of the leaf's number
                old = stack.pop()
                rho = old.rho + new.rho
                if _turns(old, new, rho):
                    turned = True
                    break
                weight = _log_add(old.log_weight, new.log_weight)
                merges += 1
                chosen = new if math.log1p(-uniforms[merges]) <= new.log_weight - weight else old
                new = _Tree(old.p_first, old.v_first, new.p_last, new.v_last, rho, weight, chosen.proposal)
                leaf >>= 1
            if turned:
                break
            stack.append(new)
        if turned or broke_at is not None:
            break  # the new half is not used: the transition stays reversible
        depth += 1
        new = stack.pop()
        bias = new.log_weight - tree.log_weight  # biased progressive sampling: prefer the newer half
        proposal = new.proposal if bias >= 0.0 or uniforms[-1] < math.exp(bias) else tree.proposal
        if forward:
            front = (q, p, grad)
            first, second = tree, new
        else:
            back = (q, p, grad)
            first = _Tree(
                new.p_last, new.v_last, new.p_first, new.v_first, new.rho, new.log_weight, new.proposal
            )
            second = tree
        rho = first.rho + second.rho
        turned = _turns(first, second, rho)
        weight = _log_add(first.log_weight, second.log_weight)
        tree = _Tree(first.p_first, first.v_first, second.p_last, second.v_last, rho, weight, proposal)
    q, logp, grad, here = tree.proposal
    info = Info(
        lp=logp,
        energy=here,
        acceptance_rate=acceptance / steps,
        tree_depth=depth,
        n_steps=steps,
        diverging=broke_at is not None,
        reached_max_treedepth=depth == max_treedepth and not turned,
        max_energy_error=worst,
        step_size=step_size,
        broke_at=broke_at,
        broke_to=broke_to,
    )
    return Position(q, logp, grad), info
