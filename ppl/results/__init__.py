"""The room of results: what inference hands back.

`Posterior` holds named draws; `diagnose` reads them critically; `Progress` shows a run while it lasts.
Statistics come from ArviZ, files are netCDF (or zarr), tables and bars are rich's and pandas'. Heavy packages
load when a method first needs them.
"""

from ppl.results.arrays import NamedArrays
from ppl.results.calibration import Calibration
from ppl.results.checks import Limits
from ppl.results.diagnostics import Diagnosis, Problem, diagnose, notices
from ppl.results.posterior import Posterior
from ppl.results.progress import ChainProgress, Progress
from ppl.results.store import load_posterior

__all__ = [
    "Calibration",
    "ChainProgress",
    "Diagnosis",
    "Limits",
    "NamedArrays",
    "Posterior",
    "Problem",
    "Progress",
    "diagnose",
    "load_posterior",
    "notices",
]
