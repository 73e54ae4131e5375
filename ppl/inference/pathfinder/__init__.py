"""Pathfinder: normal approximations along the way of an optimiser to a mode (Zhang, Carpenter, Gelman & Vehtari 2022).

`path.py` is the algorithm on numpy arrays; `method.py` what `infer` does with it.
"""

from ppl.inference.pathfinder.method import Pathfinder
from ppl.inference.pathfinder.path import Approximation, pathfinder

__all__ = ["Approximation", "Pathfinder", "pathfinder"]
