"""A chain's state, as the frozen dataclasses that checkpoints and results are made of and as flat arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppl.inference.mcmc.adaptation import Adaptation
from ppl.inference.mcmc.chain import ChainState, Settings
from ppl.inference.mcmc.config import HMC, NUTS
from ppl.inference.mcmc.estimators import FisherDiagonal
from ppl.inference.mcmc.hamiltonian import Position
from ppl.inference.mcmc.metrics import Dense, Diagonal, LowRank, Metric
from ppl.inference.mcmc.native import layout as at
from ppl.inference.mcmc.step_size import DualAveraging

Array = NDArray[np.float64]
Words = NDArray[np.int64]


@dataclass(slots=True)
class ChainArrays:
    """The arrays of one chain; `layout.py` says what stands where."""

    spec: Words
    options: Array
    counts: Words
    state: Array
    metric: Array
    work: Array
    marks: Words

    @classmethod
    def of(cls, settings: Settings, chain: int, dim: int, keep_warmup: bool, room: int) -> ChainArrays:
        """Empty arrays; `room` is the number of divergences that can wait to be fetched."""
        method = settings.method
        n = at.padded(dim)
        spec = at.aligned_ints(at.SPEC_SIZE)
        options = at.aligned(at.OPTIONS_SIZE)
        depth = 1
        if isinstance(method, NUTS):
            depth = min(method.max_treedepth, at.LEVELS)
        else:
            spec[at.NUM_STEPS], spec[at.MAX_STEPS] = method.num_steps or 0, method.max_steps
            options[at.LENGTH], options[at.JITTER] = method.trajectory_length or math.pi / 2, method.jitter
        options[at.TARGET_ACCEPT] = method.target_accept
        options[at.MAX_ENERGY_ERROR] = method.max_energy_error
        spec[at.DIM], spec[at.PADDED] = dim, n
        spec[at.SEED] = np.uint64(settings.seed).astype(np.int64)
        spec[at.CHAIN] = chain
        spec[at.WARMUP], spec[at.THIN], spec[at.KEEP_WARMUP] = settings.warmup, settings.thin, keep_warmup
        spec[at.METHOD] = at.HMC_METHOD if isinstance(method, HMC) else at.NUTS_METHOD
        spec[at.MAX_DEPTH] = depth
        spec[at.ADAPT_STEP], spec[at.FISHER] = method.adapt_step_size, method.metric == "diag"
        spec[at.BROKEN_ROOM] = room
        return cls(
            spec,
            options,
            at.aligned_ints(at.COUNTS_SIZE),
            at.aligned(at.state_size(n)),
            at.aligned(2 * n),
            at.aligned(at.work_size(n, depth)),
            at.aligned_ints(at.marks_size(depth)),
        )

    @property
    def position(self) -> Position:
        dim, out = int(self.spec[at.DIM]), self._out
        return Position(self._q.copy(), float(self.state[out]), self.state[out + 1 : out + 1 + dim].copy())

    @position.setter
    def position(self, position: Position) -> None:
        dim, out = int(self.spec[at.DIM]), self._out
        self._q[:] = position.q
        self.state[out] = position.logp
        self.state[out + 1 : out + 1 + dim] = position.grad

    @property
    def averaging(self) -> DualAveraging:
        center, log_step, log_average, error = self.state[: at.AVERAGE_ERROR + 1].tolist()
        return DualAveraging(center, log_step, log_average, error, int(self.counts[at.AVERAGED]))

    @averaging.setter
    def averaging(self, averaging: DualAveraging) -> None:
        self.state[at.CENTER], self.state[at.LOG_STEP] = averaging.center, averaging.log_step
        self.state[at.LOG_AVERAGE], self.state[at.AVERAGE_ERROR] = averaging.log_average, averaging.error
        self.counts[at.AVERAGED] = averaging.count

    def set_metric(self, metric: Metric) -> None:
        """Write L of Σ = L Lᵀ, in the form that `native/metric.py` describes."""
        dim, n = int(self.spec[at.DIM]), int(self.spec[at.PADDED])
        kind, rank = at.DIAGONAL, 0
        if isinstance(metric, Dense):
            kind = at.DENSE
            self.metric = at.aligned(dim * n)
            self.metric.reshape(dim, n)[:, :dim] = np.linalg.cholesky(metric.matrix)
        elif isinstance(metric, LowRank):
            kind, rank = at.LOW_RANK, metric.values.shape[0]
            self.metric = at.aligned((2 + rank) * n)
            rows = self.metric.reshape(2 + rank, n)
            rows[0, :dim] = metric.scales
            rows[1, :rank] = np.sqrt(metric.values) - 1.0
            rows[2:, :dim] = metric.vectors.T
        else:
            self.metric = at.aligned(2 * n)
            variances = metric.diagonal()
            self.metric[:dim], self.metric[n : n + dim] = np.sqrt(variances), variances
        self.spec[at.METRIC], self.spec[at.RANK] = kind, rank

    @property
    def diagonal(self) -> Diagonal:
        """The metric where it is diagonal."""
        dim, n = int(self.spec[at.DIM]), int(self.spec[at.PADDED])
        return Diagonal.from_variances(self.metric[n : n + dim].copy())

    @property
    def windows(self) -> tuple[FisherDiagonal, FisherDiagonal]:
        """The windows that the diagonal is learnt from: foreground and background."""
        front = int(self.counts[at.FOREGROUND])
        return self._window(front), self._window(1 - front)

    @windows.setter
    def windows(self, windows: tuple[FisherDiagonal, FisherDiagonal]) -> None:
        dim = int(self.spec[at.DIM])
        self.counts[at.FOREGROUND] = 0
        for i, window in enumerate(windows):
            self.counts[at.SEEN + i] = window.count
            rows = self._window_rows(i)
            rows[at.Q_MEAN, :dim], rows[at.Q_SQUARES, :dim] = window.q_mean, window.q_squares
            rows[at.GRAD_MEAN, :dim], rows[at.GRAD_SQUARES, :dim] = window.grad_mean, window.grad_squares

    def load(self, state: ChainState) -> None:
        """Stand where `state` stands."""
        self.counts[at.ITERATION] = state.iteration
        self.counts[at.EVALUATIONS] = state.gradient_evaluations
        self.counts[at.DIVERGENCES] = state.divergences
        self.position = state.position
        self.averaging = state.adaptation.averaging
        self.set_metric(state.adaptation.metric)
        front, back = state.adaptation.foreground, state.adaptation.background
        if isinstance(front, FisherDiagonal) and isinstance(back, FisherDiagonal):
            self.windows = front, back

    def adaptation(self, learnt: Adaptation) -> Adaptation:
        """What warm-up has learnt; of `learnt` those parts that are learnt in Python."""
        if not self.spec[at.FISHER]:
            return Adaptation(self.averaging, learnt.metric, learnt.foreground, learnt.background)
        return Adaptation(self.averaging, self.diagonal, *self.windows)

    @property
    def _q(self) -> Array:
        return self.state[at.STATE_Q : at.STATE_Q + int(self.spec[at.DIM])]

    @property
    def _out(self) -> int:
        return at.state_out(int(self.spec[at.PADDED]))

    def _window_rows(self, i: int) -> Array:
        n = int(self.spec[at.PADDED])
        begin = at.state_windows(n) + 4 * n * i
        return self.state[begin : begin + 4 * n].reshape(4, n)

    def _window(self, i: int) -> FisherDiagonal:
        rows = self._window_rows(i)[:, : int(self.spec[at.DIM])].copy()
        return FisherDiagonal(int(self.counts[at.SEEN + i]), *rows)
