"""Advice on a model that is not wrong: what practice has found to cost accuracy, time or understanding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ppl.syntax import tree
from ppl.syntax.blocks import statements
from ppl.syntax.check.body import Body
from ppl.syntax.problems import Problem


def advice(file: tree.File, bodies: Mapping[str, Body]) -> Iterator[Problem]:
    """Flat priors, funnels that are not non-centred, bounds without a name, wide uniform priors."""
    for item in file.items:
        if isinstance(item, tree.Program) and item.kind == "model" and item.name.id in bodies:
            body = bodies[item.name.id]
            for statement in statements(item.body):
                if isinstance(statement, tree.Sample) and isinstance(statement.distribution, tree.Call):
                    yield from _site(statement, statement.distribution, body)


def _site(site: tree.Sample, law: tree.Call, body: Body) -> Iterator[Problem]:
    name = law.function.id if isinstance(law.function, tree.Name) else ""
    observed = site.target.name.id in body.parameters
    if observed:
        return
    if name == "Flat":
        yield _advice(
            site,
            "a flat prior is improper: the posterior may not exist, and nothing can be simulated from it",
            "a weakly informative prior",
            f"{site.target.name.id} ~ Normal(0, 10)",
        )
    if name == "Uniform":
        yield _advice(
            site,
            "a uniform prior says that values just outside of its bounds are impossible",
            "a prior whose tails are soft, unless the bounds are the problem's own",
            "Normal(…) or Beta(…)",
        )
    if name in ("InverseGamma", "Gamma") and all(_tiny(a) for a in law.arguments) and law.arguments:
        yield _advice(
            site,
            f"{name} with tiny parameters is sharp near 0 and not vague (Gelman 2006)",
            "HalfNormal or HalfStudentT",
            f"{site.target.name.id} ~ HalfNormal(1)",
        )
    if name in ("Normal", "StudentT", "Laplace", "Cauchy", "Logistic") and site.target.indices:
        scale = next(
            (k.value for k in law.keywords if k.name.id == "scale"),
            law.arguments[-1] if law.arguments else None,
        )
        if isinstance(scale, tree.Name) and scale.id in body.sites and scale.id not in body.parameters:
            yield _advice(
                site,
                f"a funnel: `{site.target.name.id}` gets its scale from `{scale.id}`, and few data make it hard to sample",
                "the non-centred form",
                f"reparam({site.target.name.id} = NonCentered), or z ~ Normal(0, 1) and {scale.id} * z",
            )


def _tiny(e: tree.Expression) -> bool:
    return isinstance(e, tree.Number) and 0 < float(e.value) <= 0.1


def _advice(site: tree.Sample, headline: str, expected: str, edit: str) -> Problem:
    return Problem("structure", site.span, headline, expected, edit=edit, severity="advice")
