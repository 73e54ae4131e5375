"""NUTS and HMC as native functions: whole chains without Python, on threads.

The functions of the subset are `philox.py` (random numbers), `metric.py` (dynamics), `nuts.py`, `hmc.py`,
`adaptation.py` and `chain.py` (the loop), on arrays that `layout.py` describes. Around them stand
`arrays.py` and `runner.py` (a chain as Python sees it), `crew.py` (threads) and `driver.py`.
"""

from ppl.inference.mcmc.native.densities import DensityTarget
from ppl.inference.mcmc.native.driver import sample_native

__all__ = ["DensityTarget", "sample_native"]
