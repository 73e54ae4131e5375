"""Markov chain Monte Carlo by Hamiltonian dynamics: NUTS and HMC with adaptation, in numpy, for any `Target`.

Chains are coroutines (`lanes.py`) over pure transitions (`nuts.py`, `hmc.py`); `chain.py` runs one,
`sampling.py` runs all.
"""

from ppl.inference.mcmc.chain import ChainState
from ppl.inference.mcmc.checkpoint import Checkpoint
from ppl.inference.mcmc.config import HMC, NUTS
from ppl.inference.mcmc.lanes import LANES, Target, drive
from ppl.inference.mcmc.sampling import ChainDraws, ChainProgress, Divergences, sample

__all__ = [
    "HMC",
    "LANES",
    "NUTS",
    "ChainDraws",
    "ChainProgress",
    "ChainState",
    "Checkpoint",
    "Divergences",
    "Target",
    "drive",
    "sample",
]
