"""A guide against its model: the same sites, in the same loops, with values the model allows."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest

from ppl.syntax import tree
from ppl.syntax.check.body import Body
from ppl.syntax.check.near import near
from ppl.syntax.problems import Problem
from ppl.syntax.values import equal, shape_text


def disagreements(guide: tree.Program, body: Body, model: Body, given: set[str]) -> Iterator[Problem]:
    """What makes a guide unfit for its model. `given` are names the file's data give. Sites that begin with `_` are the
    guide's own; where programs are sampled, their choices are compared when they are recorded.
    """
    misspelt: set[str] = set()
    latent = {n for n, s in model.sites.items() if not s.observed and n not in given}
    if not body.nested and not model.nested:
        for name, site in body.sites.items():
            if name not in model.sites and not name.startswith("_"):
                alike = [n for n in near(name, latent) if n not in body.sites]
                misspelt |= set(alike[:1])
                yield Problem(
                    "guide",
                    site.span,
                    f"the model has no site `{name}`",
                    ", ".join(nsmallest(6, latent)) or None,
                    f"`{name}`",
                    alike[0] if alike else f"leave it out; _{name} ~ …, if it is the guide's own",
                )
            elif name in given or (name in model.sites and model.sites[name].observed):
                yield Problem(
                    "guide",
                    site.span,
                    f"`{name}` is observed in the model: a guide leaves it out",
                    edit="leave the line out",
                )
    for name, site in body.sites.items():
        other = model.sites.get(name)
        if other is None:
            continue
        ours = (*site.sizes, *(site.value.shape or ()))
        theirs = (*other.sizes, *(other.value.shape or ()))
        known = site.value.shape is not None and other.value.shape is not None
        if known and (
            len(ours) != len(theirs) or not all(equal(a, b) for a, b in zip(ours, theirs, strict=True))
        ):
            yield Problem(
                "guide",
                site.span,
                f"`{name}` has another shape than in the model",
                shape_text(theirs) or "a number",
                shape_text(ours) or "a number",
                f"the loops that line {other.span.line} is in"
                if len(site.sizes) != len(other.sizes)
                else f"{name}: real{shape_text(theirs)} ~ …, as on line {other.span.line}",
            )
        elif len(site.sizes) != len(other.sizes) and known:
            yield Problem(
                "guide",
                site.span,
                f"`{name}` is not in the loops it is in in the model",
                shape_text(other.sizes) or "no loop",
                shape_text(site.sizes) or "no loop",
                f"the loops that line {other.span.line} is in",
            )
        a, b = site.value, other.value
        if (
            a.is_number
            and b.is_number
            and (a.interval.misses(b.interval) or not a.interval.within(b.interval))
        ):
            fix = (
                "LogNormal(…)"
                if b.interval.low == 0 and b.interval.high > 1
                else "Beta(…)"
                if b.interval.high == 1
                else f"{name}: {b} ~ …"
            )
            yield Problem(
                "guide",
                site.span,
                f"`{name}` is {b.interval} in the model, and the guide draws {a.interval}",
                str(b.interval),
                str(a.interval),
                fix,
            )
        elif a.is_number and b.is_number and (a.kind == "int") != (b.kind == "int"):
            yield Problem(
                "guide",
                site.span,
                f"`{name}` is {b} in the model, and the guide draws {a}",
                str(b),
                str(a),
                "a distribution over whole numbers" if b.kind == "int" else "Normal(…)",
            )
    missing = nsmallest(6, latent.difference(body.sites, misspelt)) if given else []
    if missing and not model.nested and not body.nested:
        names = ", ".join(f"`{n}`" for n in missing)
        yield Problem(
            "guide",
            guide.name.span,
            f"the guide says nothing of {names}",
            "every site of the model without data",
            edit=f"{missing[0]} ~ … in the guide",
        )
