"""`ppl.Convergence`: when an optimisation may end before its last step."""

from __future__ import annotations

from dataclasses import dataclass

from ppl.inference.options import is_real, named_options, require


@named_options
@dataclass(frozen=True)
class Convergence:
    """Stop where halving the learning rate no longer changes the objective: `ppl.VI(stop=ppl.Convergence())`.

    The learning rate is held until the iterates are stationary: split R-hat of every coordinate over the last half
    of them is at most `rhat`. Then they are averaged until the error that is left in the average costs the objective
    less than half of `tolerance`. The rate is halved, and all is repeated; the run ends where the averages of
    two rates in succession differ in the objective by less than `tolerance`, two standard errors included.
    Objectives are compared on the same noise. The result is the last average. A rate that is too large makes the
    averages of two rates differ, one that is too small keeps R-hat large.

    Args:
        tolerance: in units of the objective; for the ELBO nats of KL(q ‖ p).
        rhat: the largest split R-hat of stationary iterates.

    What it can't see: an optimum that the iterates have not found (another mode), and drift that is slow beside the
    noise of the gradient for thousands of steps.

    Source: Welandawe, Andersen, Vehtari & Huggins, "A framework for improving the reliability of black-box
    variational inference" (2024): R-hat of the iterates, their average, rates that fall by half; there the
    distance of two averages is a divergence between the guides. Dhaka et al., "Robust, accurate stochastic
    optimization for variational inference" (2020).

    >>> Convergence(tolerance=0.1).rhat
    1.1
    """

    tolerance: float = 0.01
    rhat: float = 1.1

    def __post_init__(self) -> None:
        good = is_real(self.tolerance) and self.tolerance > 0
        require("Convergence", "tolerance", self.tolerance, good, "a positive number", "0.01")
        require("Convergence", "rhat", self.rhat, is_real(self.rhat) and self.rhat > 1, "a number > 1", "1.1")
