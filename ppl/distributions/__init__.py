"""Families of distributions, their supports and the bijectors between supports, under one name space.

torch.distributions first, under its own names and constructors (a thin subclass where torch's version can't
be recorded); then what it lacks. A family lives in the file of its group, registered beside its class:
`family_of(d)` says which gradient strategies it admits, whether its cdf is known and how to standardise it.
"""

# ruff: noqa: F401, F403

from torch.distributions import (
    Distribution,
    ExponentialFamily,
    kl_divergence,
    register_kl,
    transform_to,
    transforms,
)
from torch.distributions.transforms import *

from . import bijectors, constraints
from .bijectors import *  # type: ignore[assignment]
from .circular import *
from .continuous import *
from .discrete import *
from .generalized_pareto import *
from .improper import *
from .inflated import *
from .lkj import *
from .matrix import *
from .mixtures import *
from .multinomial import *
from .multivariate import *
from .ordinal import *
from .points import *
from .positive import *
from .processes import *
from .product import *
from .pushforward import *
from .registry import Family, families, family_of, register
from .skewed import *
from .sphere import *
from .sum_to_zero import *
from .tails import has_cdf, log_cdf, log_interval, log_survival
from .torch_families import *
from .traceable import *
from .wrappers import *
