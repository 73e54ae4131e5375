"""A transition of the No-U-Turn sampler with multinomial weights, in preallocated memory, without recursion.

The algorithm is that of `ppl.inference.mcmc.nuts` (Betancourt 2017, appendix A.3; Hoffman & Gelman 2014; the
U-turn test on both halves of a join). What is done differently is bookkeeping:

- A point of the trajectory is never copied. It is written once where the leapfrog step left it, and counted:
  a point lives as long as it is the first, the last or the chosen one of some subtree.
- Finished subtrees wait by level: subtree number k of a doubling joins as many of its elders as k has
  trailing binary ones. The sum of momenta of the younger is added to the elder's in place, and buffers
  change hands instead of contents.
- Weights exp(H₀ − H) are kept as they are, not as logarithms, so that joining takes a sum and choosing a
  product. Where they would overflow (a start far out in the tails, H₀ − H > 300) all weights are scaled down
  together; a weight that underflows belongs to a point that would not be chosen in the age of the universe.
- No test depends on the direction of time, so a doubling to the past is one to the future with a negative
  step.
"""

from __future__ import annotations

from ppl.compiler.native import Density, Floats, Ints, as_ints, f64, i64, math, native
from ppl.inference.mcmc.native.layout import (
    ACCEPTANCE,
    BLOCK,
    BROKE_AT,
    BROKE_TO,
    CHAIN,
    CHOSEN,
    CONTROL,
    DIM,
    DIVERGING,
    ENERGY,
    FINISHED,
    FIRSTS,
    FREE_COUNT,
    LASTS,
    LEVELS,
    LP,
    MAX_DEPTH,
    MAX_ENERGY_ERROR,
    N_STEPS,
    PADDED,
    POINT_ENERGY,
    POINT_LOGP,
    POINT_USES,
    RANDOM,
    REACHED_MAX,
    SEED,
    STATE_Q,
    STEP_SIZE,
    STOP,
    STOPPED,
    SUM_OF,
    SUMS,
    TREE_DEPTH,
    USED_WORDS,
    WEIGHTS,
    WORST_ERROR,
    point_at,
    point_count,
    state_out,
    vector_at,
)
from ppl.inference.mcmc.native.metric import copy, leapfrog, start_point
from ppl.inference.mcmc.native.philox import BLOCKS, CHOICE, MOMENTUM, WORDS, normals, philox, uniform

LARGEST_EXPONENT = 300.0
"""exp of it is the largest weight: sums of 2⁶⁰ such weights are finite, and so are their products with 1."""


@native(inline=False)
def next_uniform(spec: Ints, marks: Ints, iteration: i64) -> f64:
    """The next of the uniform numbers of this iteration."""
    used = marks[USED_WORDS]
    place = used & (WORDS - 1)
    if place == 0:
        philox(marks[RANDOM:], (used // WORDS) * BLOCKS, iteration, spec[CHAIN], CHOICE, spec[SEED])
    marks[USED_WORDS] = used + 1
    return uniform(marks[RANDOM + place])


@native(inline=False)
def first_point(
    state: Floats, spec: Ints, metric: Floats, work: Floats, marks: Ints, here: i64, iteration: i64
) -> f64:
    """Write the state with a new momentum as the point at `here`; returns its energy.

    Also begins the uniform numbers of the iteration.
    """
    n = spec[PADDED]
    point = work[here:]
    copy(state[STATE_Q:], point, n)
    copy(state[state_out(n) :], point[3 * n + POINT_LOGP :], n + 1)
    normals(point[n:], marks[RANDOM:], spec[DIM], n, 0, iteration, spec[CHAIN], MOMENTUM, spec[SEED])
    marks[USED_WORDS] = 0
    return start_point(spec, metric, work, here)


@native
def move_to(state: Floats, spec: Ints, work: Floats, here: i64) -> None:
    """Make the point at `here` the state, and its log density and energy those of the transition."""
    n = spec[PADDED]
    point = work[here:]
    copy(point, state[STATE_Q:], n)
    copy(point[3 * n + POINT_LOGP :], state[state_out(n) :], n + 1)
    work[LP] = point[3 * n + POINT_LOGP]
    work[ENERGY] = point[3 * n + POINT_ENERGY]


@native
def mark_break(spec: Ints, work: Floats, here: i64, there: i64) -> None:
    """Keep the two positions between which a trajectory broke."""
    n = spec[PADDED]
    copy(work[here:], work[vector_at(n, BROKE_AT) :], n)
    copy(work[there:], work[vector_at(n, BROKE_TO) :], n)


@native(inline=False)
def join_points(a: Floats, b: Floats, rho: Floats, blocks: i64) -> bool:
    """rho = a + b for the momenta of two neighbouring points; whether the pair turns."""
    first = 0.0
    last = 0.0
    for i in range(BLOCK * blocks):
        total = a[i] + b[i]
        rho[i] = total
        first += a[i] * total
        last += b[i] * total
    return (first <= 0.0) | (last <= 0.0)


@native(inline=False)
def join(
    rho_a: Floats,
    rho_b: Floats,
    a_first: Floats,
    a_last: Floats,
    b_first: Floats,
    b_last: Floats,
    blocks: i64,
) -> bool:
    """rho_b ← rho_a + rho_b for subtrees a and b, neighbours; whether they turn: over the whole, over a with
    b's first point, over a's last point with b. All arguments are whitened momenta or sums of them.
    """
    whole_first = 0.0
    whole_last = 0.0
    left_first = 0.0
    left_last = 0.0
    right_first = 0.0
    right_last = 0.0
    for i in range(BLOCK * blocks):
        left = rho_a[i] + b_first[i]
        right = a_last[i] + rho_b[i]
        whole = rho_a[i] + rho_b[i]
        rho_b[i] = whole
        whole_first += a_first[i] * whole
        whole_last += b_last[i] * whole
        left_first += a_first[i] * left
        left_last += b_first[i] * left
        right_first += a_last[i] * right
        right_last += b_last[i] * right
    return (
        (whole_first <= 0.0)
        | (whole_last <= 0.0)
        | (left_first <= 0.0)
        | (left_last <= 0.0)
        | (right_first <= 0.0)
        | (right_last <= 0.0)
    )


@native
def free_all(marks: Ints, count: i64) -> None:
    """Empty the table of points: all `count` are free, number 0 is taken first."""
    free = marks[POINT_USES + count :]
    for i in range(count):
        free[i] = count - 1 - i
    marks[FREE_COUNT] = count


@native(inline=True)
def take(marks: Ints, count: i64, uses: i64) -> i64:
    """A free point, now in use `uses` times."""
    left = marks[FREE_COUNT] - 1
    marks[FREE_COUNT] = left
    point = marks[POINT_USES + count + left]
    marks[POINT_USES + point] = uses
    return point


@native(inline=True)
def release(marks: Ints, count: i64, point: i64) -> None:
    """Give up one use of a point; the last one frees it."""
    uses = marks[POINT_USES + point] - 1
    marks[POINT_USES + point] = uses
    if uses == 0:
        left = marks[FREE_COUNT]
        marks[POINT_USES + count + left] = point
        marks[FREE_COUNT] = left + 1


@native(inline=False)
def nuts(
    state: Floats,
    spec: Ints,
    options: Floats,
    metric: Floats,
    work: Floats,
    marks: Ints,
    density: Density,
    env: Ints,
    iteration: i64,
    step_size: f64,
) -> i64:
    """One transition from `state` to the next, in place; its statistics go to the beginning of `work`.

    Returns FINISHED, or STOPPED when the stop flag was raised: then the state is as it was before.
    """
    n = spec[PADDED]
    blocks = n // BLOCK
    levels = spec[MAX_DEPTH]
    count = point_count(levels)
    stop = as_ints(spec[CONTROL])
    threshold = options[MAX_ENERGY_ERROR]
    weights = work[WEIGHTS:]
    firsts = marks[FIRSTS:]
    lasts = marks[LASTS:]
    chosen_of = marks[CHOSEN:]
    sum_of = marks[SUM_OF:]  # the buffer that holds the sum of momenta of the subtree of a level
    for level in range(LEVELS):
        sum_of[level] = 2 + level
    tree_sum = 0
    spare = 1

    free_all(marks, count)
    back = take(marks, count, 3)
    front = back
    chosen = back
    start_energy = first_point(state, spec, metric, work, marks, point_at(n, levels, back), iteration)
    scale = 0.0  # weights are exp(−error − scale)
    tree_weight = 1.0
    acceptance = 0.0
    steps = 0
    depth = 0
    worst = 0.0
    turned = False
    broke = False
    while depth < levels and not turned and not broke:
        forward = next_uniform(spec, marks, iteration) < 0.5
        near = front if forward else back
        far = back if forward else front
        step = step_size if forward else -step_size
        here = near
        for leaf in range(1 << depth):
            if stop[STOP] != 0:
                return STOPPED
            there = take(marks, count, 3)
            end = point_at(n, levels, there)
            energy = leapfrog(spec, metric, work, point_at(n, levels, here), end, step, density, env)
            error = energy - start_energy
            steps += 1
            if not (error <= threshold) or error == -math.inf:  # also nan
                worst = math.inf if math.isnan(error) else error
                mark_break(spec, work, point_at(n, levels, here), end)
                broke = True
                break
            if abs(error) > abs(worst):
                worst = error
            if -error - scale > LARGEST_EXPONENT:
                shrink = math.exp(scale + error)
                for level in range(LEVELS):
                    weights[level] *= shrink
                tree_weight *= shrink
                scale = -error
            weight = math.exp(-error - scale)
            acceptance += min(1.0, weight if scale == 0.0 else math.exp(-error))

            # Join the elders: as many as the leaf's number has trailing ones.
            first = there
            pick = there
            level = 0
            rest = leaf
            while rest & 1 == 1 and not turned:
                elder = work[point_at(n, levels, lasts[level]) + n :]
                younger = work[point_at(n, levels, first) + n :]
                if level == 0:
                    turned = join_points(elder, younger, work[vector_at(n, SUMS + spare) :], blocks)
                else:
                    turned = join(
                        work[vector_at(n, SUMS + sum_of[level]) :],
                        work[vector_at(n, SUMS + spare) :],
                        work[point_at(n, levels, firsts[level]) + n :],
                        elder,
                        younger,
                        work[end + n :],
                        blocks,
                    )
                total = weights[level] + weight
                loser = chosen_of[level]
                if not (next_uniform(spec, marks, iteration) * total < weight):
                    loser = pick
                    pick = chosen_of[level]
                release(marks, count, loser)
                release(marks, count, lasts[level])
                release(marks, count, first)
                first = firsts[level]
                weight = total
                rest = rest >> 1
                level += 1
            if turned:
                break
            firsts[level] = first
            lasts[level] = there
            chosen_of[level] = pick
            weights[level] = weight
            buffer = sum_of[level]
            sum_of[level] = spare
            spare = buffer
            here = there
        if not turned and not broke:  # an unfinished half is not used: the transition stays reversible
            first = firsts[depth]
            last = lasts[depth]
            new_sum = sum_of[depth]
            inner = work[point_at(n, levels, near) + n :]
            entry = work[point_at(n, levels, first) + n :]
            if depth == 0:
                turned = join_points(inner, entry, work[vector_at(n, SUMS + new_sum) :], blocks)
            else:
                turned = join(
                    work[vector_at(n, SUMS + tree_sum) :],
                    work[vector_at(n, SUMS + new_sum) :],
                    work[point_at(n, levels, far) + n :],
                    inner,
                    entry,
                    work[point_at(n, levels, last) + n :],
                    blocks,
                )
            sum_of[depth] = tree_sum
            tree_sum = new_sum
            # Biased progressive sampling: prefer the newer half.
            loser = chosen_of[depth]
            if next_uniform(spec, marks, iteration) * tree_weight < weights[depth]:
                loser = chosen
                chosen = chosen_of[depth]
            release(marks, count, loser)
            release(marks, count, near)
            release(marks, count, first)
            if forward:
                front = last
            else:
                back = last
            tree_weight += weights[depth]
            depth += 1

    move_to(state, spec, work, point_at(n, levels, chosen))
    work[ACCEPTANCE] = acceptance / float(steps)
    work[TREE_DEPTH] = float(depth)
    work[N_STEPS] = float(steps)
    work[DIVERGING] = 1.0 if broke else 0.0
    work[REACHED_MAX] = 1.0 if depth == levels and not turned else 0.0
    work[WORST_ERROR] = worst
    work[STEP_SIZE] = step_size
    return FINISHED
