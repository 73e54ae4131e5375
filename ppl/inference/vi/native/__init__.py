"""Stochastic optimisation as native functions: whole runs of Adam or gradient descent without Python.

An objective's estimator is a function of parameters and standard noise, compiled to machine code. The functions
of the subset are `noise.py` (what it is fed) and `loop.py` (the steps), on arrays that `layout.py` describes.
Around them stand `settings.py` (options), `objective.py` (an estimator with its noise), `state.py` (an
optimiser between two steps) and `driver.py` (runs in blocks).
"""

from ppl.inference.vi.native.driver import Failure, OptimisationProgress, Run, optimise
from ppl.inference.vi.native.objective import Objective
from ppl.inference.vi.native.settings import SGD, Adam, Optimisation, Schedule
from ppl.inference.vi.native.state import State

__all__ = [
    "SGD",
    "Adam",
    "Failure",
    "Objective",
    "Optimisation",
    "OptimisationProgress",
    "Run",
    "Schedule",
    "State",
    "optimise",
]
