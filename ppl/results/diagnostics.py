"""`diagnose()`: is this posterior to be trusted, if not where does it fail, and which edit mends it."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ppl.results.checks import CHEAP, Limits, Problem, Run, bfmi, screen

if TYPE_CHECKING:
    from ppl.results.mixing import Mixing
    from ppl.results.posterior import Posterior

_WIDTH = 110


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `diagnose` found. Printing it gives the report.

    Attributes: `ok`, whether nothing was found; `problems`, a list of `Problem`; `title`, the run in one
    line; `checked`, the numbers behind the verdict.
    """

    title: str
    problems: list[Problem]
    checked: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        count = len(self.problems)
        verdict = "no problems found" if self.ok else f"{count} problem{'s' * (count != 1)}"
        rows = [f"Diagnosis of {self.title}: {verdict}"]
        for number, problem in enumerate(self.problems, 1):
            mark = f"{number}. "
            rows.append("")
            rows += _wrapped(problem.headline, mark)
            for detail in problem.details:
                rows += _wrapped(detail, " " * len(mark))
            if problem.edit:
                rows.append(f"{' ' * len(mark)}edit: {problem.edit}")
        rows += [""] * bool(self.problems) + [f"   {line}" for line in self.checked]
        return "\n".join(rows)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def _wrapped(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=" " * (len(first) + 2), break_long_words=False
    )


def diagnose(posterior: Posterior, limits: Limits | None = None) -> Diagnosis:
    """Examine a posterior: divergences (and which sites they share), E-BFMI, tree depth, R-hat, bulk and tail
    ESS, chains that don't move, values that aren't finite; particles and guides by their own measures.

    Arguments: `limits`, other thresholds. Beyond `limits.elements` elements the large sites are
    thinned, which the report says.
    Returns: `Diagnosis`; `print` it, or use `.ok` and `.problems` (kind, sites, elements, value, edit).
    Source: Vehtari et al. (2021); Betancourt (2016), arXiv:1604.00695; Betancourt and Girolami (2013),
    arXiv:1312.0906 (funnels).

    >>> from ppl.results import Posterior
    >>> draws = np.random.default_rng(0).normal(size=(4, 500))
    >>> diagnose(Posterior({"mu": draws})).ok
    True
    """
    from ppl.results.display import headline
    from ppl.results.mixing import check_ess, check_length, check_particles, check_rhat, mixing

    run = Run(posterior, limits or Limits())
    problems = [problem for check in CHEAP for problem in check(run)] + check_length(run)
    found = mixing(run)
    if found is not None:
        apart = check_rhat(run, found)
        problems += apart
        problems += check_ess(
            run, found, [site for problem in apart if problem.details for site in problem.sites]
        )
    problems += check_particles(run)
    return Diagnosis(headline(posterior), problems, _facts(run, found))


def _facts(run: Run, found: Mixing | None) -> tuple[str, ...]:
    """The numbers behind the verdict, for the foot of the report."""
    posterior, parts = run.posterior, []
    if "diverging" in posterior.sample_stats:
        parts.append(f"{posterior.divergences} divergences")
    energy = posterior.sample_stats.get("energy")
    if energy is not None and energy.ndim == 2 and energy.shape[1] >= 10:
        parts.append(
            f"E-BFMI ≥ {np.nanmin(bfmi(energy)):.2f}" if np.isfinite(bfmi(energy)).any() else "E-BFMI unknown"
        )
    if found is not None:
        if np.isfinite(found.rhat).any():
            parts.append(f"R-hat ≤ {np.nanmax(found.rhat):.3f}")
        parts.append(f"bulk ESS ≥ {np.nanmin(found.bulk):.0f}, tail ESS ≥ {np.nanmin(found.tail):.0f}")
    count, total = len(run.elements), run.elements.total
    seen = f"{count} elements" if count == total else f"{count} of {total} elements"
    rows = [f"checked {seen} of {len(posterior.draws)} sites" + (": " if parts else "") + "; ".join(parts)]
    if found is not None and posterior.num_chains == 1:
        rows.append("one chain has no R-hat: chains=4 would show whether chains agree")
    if "init_rung" in posterior.attrs:
        rows.append(f"started from: {posterior.attrs['init_rung']}")
    return tuple(rows)


def notices(posterior: Posterior) -> list[str]:
    """One line per problem, for `infer()` to print when it ends; empty when all is well. Quick: it loads no
    other package.

    >>> from ppl.results import Posterior
    >>> notices(Posterior({"mu": np.zeros((1, 5))}, divergences=[[0, 0, 1, 0, 0]]))[-1]
    'posterior.diagnose() says more'
    """
    run = Run(posterior, Limits(elements=200))
    problems = [problem for check in (*CHEAP, screen) for problem in check(run)]
    lines = [problem.headline + (f" → {problem.edit}" if problem.edit else "") for problem in problems]
    return lines + ["posterior.diagnose() says more"] * bool(lines)
