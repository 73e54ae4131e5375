"""The steps of stochastic optimisation, natively: draw noise, estimate, test, clip, move, record."""

from __future__ import annotations

from ppl.compiler.native import Density, Floats, Ints, as_floats, f64, i64, math, native
from ppl.inference.mcmc.native.layout import BLOCK
from ppl.inference.vi.native.layout import (
    ADAM_METHOD,
    AVERAGE,
    AVERAGE_FROM,
    BETA_1,
    BETA_2,
    CLIP,
    COSINE,
    DECAY,
    EPSILON,
    EXPONENTIAL_DECAY,
    FACTORS,
    FINAL,
    FINISHED,
    FINITE,
    GRADIENT,
    GRADIENT_MEAN,
    GRADIENT_VARIANCE,
    HORIZON,
    LOG_BETA_1,
    LOG_BETA_2,
    MEAN,
    MEMORY,
    METHOD,
    MOMENTUM,
    NOISE_AT,
    NOT_FINITE,
    PADDED,
    PARTICLES,
    RATE,
    SCHEDULE,
    SEED,
    SEGMENTS,
    SIGN,
    SQUARE,
    STEP,
    TABLE,
    VALUE,
    WARMUP,
    last_at,
)
from ppl.inference.vi.native.noise import fill_noise

# Loops run to `BLOCK * blocks`, which tells the compiler that no remainder is left over; vectors come as
# parameters of their own, which tells it that they lie apart. Beyond D all is zero and stays so.


@native
def add(total: Floats, a: Floats, blocks: i64) -> None:
    """total += a."""
    for i in range(BLOCK * blocks):
        total[i] += a[i]


@native
def scale(a: Floats, factor: f64, blocks: i64) -> None:
    """a ← factor · a."""
    for i in range(BLOCK * blocks):
        a[i] *= factor


@native
def sum_of_squares(a: Floats, blocks: i64) -> f64:
    """aᵀa."""
    total = 0.0
    for i in range(BLOCK * blocks):
        total += a[i] * a[i]
    return total


@native
def estimate(
    state: Floats,
    spec: Ints,
    segments: Ints,
    work: Floats,
    words: Ints,
    step: i64,
    objective: Density,
    env: Ints,
) -> f64:
    """The mean of the particles' values and gradients, written to `work`; returns the gradient's ‖g‖².

    The noise is written through its address: the objective reads it behind the compiler's back.
    """
    n = spec[PADDED]
    noise = as_floats(spec[NOISE_AT])
    blocks = n // BLOCK
    particles = spec[PARTICLES]
    for particle in range(particles):
        fill_noise(noise, words, segments, spec[SEGMENTS], step, particle, spec[SEED])
        out = work[0 if particle == 0 else last_at(n) :]
        code = objective(state, out[VALUE:], env)
        if code != 0:
            out[VALUE] = math.nan
        if particle > 0:
            add(work, out, blocks + 1)
    if particles > 1:
        scale(work, 1.0 / float(particles), blocks + 1)
    return sum_of_squares(work[GRADIENT:], blocks)


@native
def rate_at(step: i64, spec: Ints, options: Floats, factors: Floats) -> f64:
    """The learning rate of a step: constant, or falling by half a cosine or exponentially to a last factor;
    before that it rises linearly for WARMUP steps. Or a factor from a table, whose last one stays.
    """
    shape = spec[SCHEDULE]
    rate = options[RATE]
    if shape == TABLE:
        return rate * factors[min(step, spec[FACTORS] - 1)]
    warmup = spec[WARMUP]
    if step < warmup:
        return rate * (float(step + 1) / float(warmup))
    progress = min(1.0, float(step - warmup) / float(max(1, spec[HORIZON] - warmup)))
    final = options[FINAL]
    if shape == COSINE:
        return rate * (final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress)))
    if shape == EXPONENTIAL_DECAY:
        return rate * math.exp(progress * math.log(final))
    return rate


@native
def adam(
    u: Floats,
    finite: Floats,
    mean: Floats,
    square: Floats,
    average: Floats,
    gradient: Floats,
    factor: f64,
    shrink: f64,
    step_size: f64,
    root: f64,
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    weight: f64,
    blocks: i64,
) -> None:
    """A step of Adam (Kingma & Ba 2015, algorithm 1), weight decay apart from it (Loshchilov & Hutter 2019):

    g = factor · gradient, m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g²,
    u ← shrink · u − step_size · m / (root √v + ε), average ← (1 − weight) average + weight u,

    where step_size and root hold the corrections of the moments' bias.
    """
    for i in range(BLOCK * blocks):
        g = factor * gradient[i]
        before = u[i]
        m = beta_1 * mean[i] + (1.0 - beta_1) * g
        v = beta_2 * square[i] + (1.0 - beta_2) * (g * g)
        moved = shrink * before - step_size * m / (root * math.sqrt(v) + epsilon)
        mean[i] = m
        square[i] = v
        finite[i] = before
        u[i] = moved
        average[i] = (1.0 - weight) * average[i] + weight * moved


@native
def descend(
    u: Floats,
    finite: Floats,
    velocity: Floats,
    average: Floats,
    gradient: Floats,
    factor: f64,
    shrink: f64,
    rate: f64,
    momentum: f64,
    weight: f64,
    blocks: i64,
) -> None:
    """A step of gradient descent with momentum: m ← momentum · m + g, u ← shrink · u − rate · m."""
    for i in range(BLOCK * blocks):
        before = u[i]
        m = momentum * velocity[i] + factor * gradient[i]
        moved = shrink * before - rate * m
        velocity[i] = m
        finite[i] = before
        u[i] = moved
        average[i] = (1.0 - weight) * average[i] + weight * moved


@native
def learn_moments(mean: Floats, variance: Floats, gradient: Floats, share: f64, blocks: i64) -> None:
    """Mean and variance with exponential forgetting (West 1979); share 1/t: of all t gradients alike."""
    for i in range(BLOCK * blocks):
        gap = gradient[i] - mean[i]
        mean[i] += share * gap
        variance[i] = (1.0 - share) * (variance[i] + share * (gap * gap))


@native
def move(
    state: Floats, spec: Ints, options: Floats, factors: Floats, work: Floats, step: i64, norm2: f64
) -> None:
    """The step that the estimate in `work` asks for, and what is learnt from it."""
    n = spec[PADDED]
    blocks = n // BLOCK
    gradient = work[GRADIENT:]
    u = state
    finite = state[FINITE * n :]
    mean = state[MEAN * n :]
    average = state[AVERAGE * n :]
    rate = rate_at(step, spec, options, factors)
    shrink = 1.0 - rate * options[DECAY]
    weight = 1.0 / float(max(1, step - spec[AVERAGE_FROM] + 1))
    norm = math.sqrt(norm2)
    factor = options[SIGN]
    if norm > options[CLIP]:
        factor = factor * (options[CLIP] / norm)
    if spec[METHOD] == ADAM_METHOD:
        taken = float(step + 1)
        step_size = -rate / math.expm1(taken * options[LOG_BETA_1])
        root = 1.0 / math.sqrt(-math.expm1(taken * options[LOG_BETA_2]))
        adam(
            u,
            finite,
            mean,
            state[SQUARE * n :],
            average,
            gradient,
            factor,
            shrink,
            step_size,
            root,
            options[BETA_1],
            options[BETA_2],
            options[EPSILON],
            weight,
            blocks,
        )
    else:
        descend(u, finite, mean, average, gradient, factor, shrink, rate, options[MOMENTUM], weight, blocks)
    if options[MEMORY] > 0.0:
        share = max(1.0 / float(step + 1), 1.0 / options[MEMORY])
        learn_moments(state[GRADIENT_MEAN * n :], state[GRADIENT_VARIANCE * n :], gradient, share, blocks)


@native
def run_steps(
    until: i64,
    counts: Ints,
    state: Floats,
    spec: Ints,
    options: Floats,
    segments: Ints,
    factors: Floats,
    work: Floats,
    words: Ints,
    first: i64,
    values: Floats,
    norms: Floats,
    objective: Density,
    env: Ints,
) -> i64:
    """Steps until `counts[STEP]` is `until`, or an estimate is not finite.

    Args:
        until: the steps done at the end, below 2³².
        counts, state, spec, options, segments, factors, work, words: see `layout.py`.
        first: the step whose place in the traces is 0.
        values, norms: traces of the estimates, and of the squared norms of their gradients before clipping.
        objective, env: value and gradient at the parameters, given the noise; and its private words.

    Returns:
        FINISHED; NOT_FINITE where a value, a gradient or the square of its norm is not finite, or the
        objective failed: then all stands as before that step, and its estimate is in `work` and in the
        traces.
    """
    while counts[STEP] < until:
        step = counts[STEP]
        norm2 = estimate(state, spec, segments, work, words, step, objective, env)
        values[step - first] = work[VALUE]
        norms[step - first] = norm2
        if not (math.isfinite(work[VALUE]) and math.isfinite(norm2)):
            return NOT_FINITE
        move(state, spec, options, factors, work, step, norm2)
        counts[STEP] = step + 1
    return FINISHED
