"""The gradient strategies, one a file. Adding one adds a file and its name here."""

from ppl.compiler.estimators.strategies import (  # noqa: F401 (each registers itself)
    enumeration,
    icdf,
    mvd,
    quadrature,
    rebar,
    rejection,
    relax,
    relaxation,
    reparam,
    score,
)
from ppl.compiler.estimators.strategies.quadrature import Quadrature
from ppl.compiler.estimators.strategies.rebar import Rebar
from ppl.compiler.estimators.strategies.rejection import Rejection
from ppl.compiler.estimators.strategies.relax import Relax
from ppl.compiler.estimators.strategies.relaxation import GumbelSoftmax
from ppl.compiler.estimators.strategies.score import Score

__all__ = ["GumbelSoftmax", "Quadrature", "Rebar", "Rejection", "Relax", "Score"]
