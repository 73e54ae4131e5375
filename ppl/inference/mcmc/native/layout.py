"""Where everything stands in the arrays that the native sampler works on.

The subset has numbers and pointers but no structures, so what belongs together lies in one array, at the
offsets named here. D is the dimension; vectors of D numbers take n = `padded(D)` words, zero beyond D, so
that loops over them need no remainder.

    spec     Ints    what a chain is and how it is sampled; constant between two calls of `run_chain`
    options  Floats  the real-valued options
    counts   Ints    ┐ the chain between two transitions: with `metric` all that a checkpoint
    state    Floats  ┘ has to hold
    metric   Floats  Σ, in the form `metric.py` describes
    work     Floats  ┐ workspace: means nothing between two transitions
    marks    Ints    ┘
    control  Ints    shared by all chains and the Python driver: a stop flag and counters

`state`:

    AVERAGING…           center, log step, log average, error of dual averaging
    STATE_Q   [n]        q
    state_out(n)         log density, gradient: what the density wrote
    state_windows(n)     two windows of the Fisher diagonal: means and squares of draws and gradients, [2, 4, n]

A *point* of a trajectory takes `point_size(n)` words of `work`: q [n], the whitened momentum [n], the
whitened gradient [n], then energy, log density and gradient. The log density stands just before the gradient,
and the gradient at a multiple of eight words, because a density writes both into one array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppl.compiler.native import i64, native

# spec
DIM, PADDED = 0, 1
METRIC, RANK = 2, 3  # kind of metric (below), and its number of directions
SEED, CHAIN = 4, 5
WARMUP, THIN, KEEP_WARMUP = 6, 7, 8
METHOD = 9  # NUTS_METHOD or HMC_METHOD
MAX_DEPTH = 10
NUM_STEPS, MAX_STEPS = 11, 12  # HMC; NUM_STEPS 0: by trajectory length
ADAPT_STEP = 13
FISHER = 14  # 1: the diagonal is learnt here; 0: Python learns the metric, from the rows of `window`
CONTROL, ROW = 15, 16  # address of `control`, and where this chain's counters begin in it
BROKEN_ROOM = 17  # rows of `broken`
SPEC_SIZE = 18

DIAGONAL, DENSE, LOW_RANK = 0, 1, 2
NUTS_METHOD, HMC_METHOD = 0, 1

# options
TARGET_ACCEPT, MAX_ENERGY_ERROR, LENGTH, JITTER = 0, 1, 2, 3
OPTIONS_SIZE = 4

# counts
ITERATION = 0  # transitions done
EVALUATIONS = 1  # of the density
DIVERGENCES = 2  # after warm-up
AVERAGED = 3  # iterations since dual averaging began
FOREGROUND = 4  # which of the two windows is in front: 0 or 1
SEEN = 5  # and 6: draws in each window
BROKEN = 7  # rows of `broken` in use
WINDOW_ROWS = 8  # rows of `window` in use
COUNTS_SIZE = 9

# state
CENTER, LOG_STEP, LOG_AVERAGE, AVERAGE_ERROR = 0, 1, 2, 3
STATE_Q = 16
Q_MEAN, Q_SQUARES, GRAD_MEAN, GRAD_SQUARES = 0, 1, 2, 3  # vectors of a window

# Flags of an iteration in the plan of warm-up.
COLLECT, REFRESH, SWITCH, RESTART = 1, 2, 4, 8

# The statistics of a transition, in the order of `hamiltonian.STATS`; also the columns of the table of them.
LP, ENERGY, ACCEPTANCE, TREE_DEPTH, N_STEPS = 0, 1, 2, 3, 4
DIVERGING, REACHED_MAX, WORST_ERROR, STEP_SIZE = 5, 6, 7, 8
STATS_SIZE = 9

# work: INFO, then weights of subtrees, then vectors. `LEVELS` bounds the doublings of a trajectory.
INFO = 0
WEIGHTS = 16
LEVELS = 60
WORK_VECTORS = 80
SCRATCH, BROKE_AT, BROKE_TO, SUMS = 0, 2, 3, 4  # numbers of vectors; two of scratch

# A point: vectors 0, 1, 2 and what follows them.
POINT_TAIL = 16
POINT_ENERGY = 14
POINT_LOGP = 15

# marks: random words and how many are used, then the bookkeeping of points and subtrees.
RANDOM = 0
USED_WORDS = 16
FREE_COUNT = 17
FIRSTS, LASTS, CHOSEN, SUM_OF = 32, 96, 160, 224  # [LEVELS] each, by level of subtree
POINT_USES = 288

# control
STOP = 0
CONTROL_ROW = 8  # words per chain: a cache line; the first line is the flag's
YIELD, DONE, BROKE, CALLS, STEP = 0, 1, 2, 3, 4  # within a row; STEP holds the bits of a float

# Results of `run_chain`.
FINISHED, STOPPED, YIELDED, FULL = 0, 1, 2, 3

BLOCK = 16


def padded(dim: int) -> int:
    """n, the words a vector takes: a multiple of 16, but not of 512.

    Vectors a multiple of 4 KiB apart would compete for the same lines of a cache.

    >>> padded(1), padded(16), padded(17), padded(1024)
    (16, 16, 32, 1040)
    """
    n = BLOCK * -(-max(dim, 1) // BLOCK)
    return n + BLOCK if n % 512 == 0 else n


@native(inline=True)
def state_out(n: i64) -> i64:
    """Where log density and gradient stand in `state`."""
    return STATE_Q + n + BLOCK - 1


@native(inline=True)
def state_windows(n: i64) -> i64:
    """Where the windows stand in `state`."""
    return STATE_Q + 2 * n + BLOCK


@native(inline=True)
def vector_at(n: i64, index: i64) -> i64:
    """Where vector number `index` stands in `work`."""
    return WORK_VECTORS + index * n


@native(inline=True)
def point_size(n: i64) -> i64:
    """The words a point takes."""
    return 4 * n + POINT_TAIL


@native(inline=True)
def point_count(max_depth: i64) -> i64:
    """The points a trajectory can need at once: three a subtree, one subtree a level, and a few in motion."""
    return 3 * max_depth + 8


@native(inline=True)
def point_at(n: i64, max_depth: i64, index: i64) -> i64:
    """Where point number `index` stands in `work`."""
    return vector_at(n, SUMS + max_depth + 2) + index * point_size(n)


def state_size(n: int) -> int:
    """The words of `state`."""
    return state_windows(n) + 8 * n


def work_size(n: int, max_depth: int) -> int:
    """The words of `work`."""
    return point_at(n, max_depth, point_count(max_depth))


def marks_size(max_depth: int) -> int:
    """The words of `marks`: after the uses of points comes the list of free ones."""
    return POINT_USES + 2 * point_count(max_depth)


def aligned(count: int) -> NDArray[np.float64]:
    """`count` zeros that begin at a cache line.

    >>> aligned(5).ctypes.data % 64
    0
    """
    room = np.zeros(count + 8)
    skip = -room.ctypes.data // 8 % 8
    return room[skip : skip + count]


def aligned_ints(count: int) -> NDArray[np.int64]:
    """`count` whole zeros that begin at a cache line."""
    return aligned(count).view(np.int64)
