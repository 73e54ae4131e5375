"""Where everything stands in the arrays that the optimisation loop works on.

D is the number of parameters; vectors take n = `padded(D)` words, zero beyond D, as in the samplers' layout.

    spec      Ints    what is optimised, and how; constant within a run
    options   Floats  the real-valued options
    segments  Ints    the kinds of noise, see `noise.py`
    factors   Floats  the learning rate's factors, step by step, if the schedule is a table
    counts    Ints    ┐ the optimiser between two steps: all that a
    state     Floats  ┘ checkpoint has to hold: vectors [ROWS, n]
    work      Floats  ┐ workspace: means nothing between two steps
    words     Ints    ┘

`work` holds two estimates, each a value followed by its gradient [n]: the mean of the particles, and
after it the last particle's own. Each gradient begins at a multiple of eight words, because an objective writes both
into one array.
"""

from __future__ import annotations

from ppl.compiler.native import i64, native
from ppl.inference.mcmc.native.layout import BLOCK

# spec
DIM, PADDED = 0, 1
NOISE_AT, SEGMENTS = 2, 3  # address of the noise, and the number of its segments
PARTICLES, SEED = 4, 5
METHOD = 6  # ADAM_METHOD or SGD_METHOD
SCHEDULE, WARMUP, HORIZON = 7, 8, 9  # shape of the learning rate (below), its rise, and where it ends
FACTORS = 10  # length of `factors`
AVERAGE_FROM = 11  # the step whose result is the first that enters the average
SPEC_SIZE = 12

ADAM_METHOD, SGD_METHOD = 0, 1
CONSTANT, COSINE, EXPONENTIAL_DECAY, TABLE = 0, 1, 2, 3

# options
SIGN = 0  # −1: ascent
RATE, DECAY, CLIP = 1, 2, 3
BETA_1, BETA_2, LOG_BETA_1, LOG_BETA_2, EPSILON = 4, 5, 6, 7, 8
MOMENTUM = 9
FINAL = 10  # the schedule's last factor
MEMORY = 11  # steps over which the gradient's moments are taken; 0: they are not
OPTIONS_SIZE = 12

# counts
STEP = 0  # steps done
COUNTS_SIZE = 1

# state
PARAMETERS = 0
FINITE = 1  # where the last estimate was finite
MEAN, SQUARE = 2, 3  # Adam's moments of the gradient; MEAN is also the velocity of gradient descent
AVERAGE = 4
GRADIENT_MEAN, GRADIENT_VARIANCE = 5, 6
ROWS = 7

# work
VALUE = BLOCK - 1  # within an estimate
GRADIENT = BLOCK

# Results of `run_steps`.
FINISHED, NOT_FINITE = 0, 1


@native(inline=True)
def last_at(n: i64) -> i64:
    """Where the last particle's estimate stands in `work`."""
    return BLOCK + n


def work_size(n: int) -> int:
    """The words of `work`."""
    return 2 * (BLOCK + n)
