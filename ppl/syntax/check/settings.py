"""The `data:` and `infer:` blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ppl.errors import closest
from ppl.syntax import tree
from ppl.syntax.check.body import Site
from ppl.syntax.format import expression_text
from ppl.syntax.info import dims
from ppl.syntax.problems import Problem
from ppl.syntax.values import Interval, Size, size_of

OPTIONS = (
    "method",
    "model",
    "guide",
    "objective",
    "draws",
    "warmup",
    "chains",
    "seed",
    "device",
    "engine",
    "dtype",
    "keep",
    "target_accept",
    "max_depth",
    "metric",
    "steps",
    "particles",
    "optimizer",
    "learning_rate",
    "kernel",
    "thin",
    "init",
    "reparam",
    "num_samples",
    "num_warmup",
    "tune",
    "random_seed",
    "step_size",
    "num_steps",
    "average",
)
AUTOMATIC = (
    "mean_field",
    "full_rank",
    "low_rank",
    "delta",
    "structured",
    "flow",
    "laplace",
    "mixture",
    "pathfinder",
)
"""The automatic guides, by name."""

METHODS = ("nuts", "hmc", "vi", "smc", "svgd", "enumerate", "laplace", "pathfinder")


def infer_problems(block: tree.Settings, models: set[str], programs: Mapping[str, str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for entry in block.entries:
        name, value = entry.name.id, entry.value
        if name in seen:
            yield Problem("data", entry.span, f"`{name}` is set twice", edit="one of them")
        seen.add(name)
        if name not in OPTIONS:
            near = closest(name, OPTIONS)
            yield Problem(
                "name",
                entry.name.span,
                f"inference has no option `{name}`",
                ", ".join(near) or "method, draws, …",
                f"`{name}`",
                f"{near[0]} = {expression_text(value)}" if near else None,
            )
        elif name == "method" and isinstance(value, tree.Name) and value.id not in METHODS:
            near = closest(value.id, METHODS)
            yield Problem(
                "name",
                value.span,
                f"there is no method `{value.id}`",
                ", ".join(METHODS),
                f"`{value.id}`",
                f"method = {near[0] if near else 'nuts'}",
            )
        elif name in ("draws", "warmup", "chains", "steps", "particles") and not _count(value):
            yield Problem(
                "type",
                value.span,
                f"`{name}` is a whole number",
                "1000",
                expression_text(value),
                f"{name} = 1000",
            )
        elif name == "model" and isinstance(value, tree.Name) and value.id not in models:
            yield Problem(
                "name",
                value.span,
                f"there is no model `{value.id}` in this file",
                ", ".join(sorted(models)) or None,
            )
        elif (
            name in ("guide", "objective")
            and isinstance(value, tree.Name)
            and value.id not in (*programs, *AUTOMATIC)
        ):
            known = [n for n, kind in programs.items() if kind == name]
            near = closest(value.id, known) or known
            if name == "objective" or near:
                yield Problem(
                    "name",
                    value.span,
                    f"there is no {name} `{value.id}` in this file",
                    ", ".join(near) or None,
                    edit=f"{name} = {near[0]}" if near else None,
                )


def _count(e: tree.Expression) -> bool:
    return isinstance(e, tree.Number) and isinstance(e.value, int) and e.value >= 0


def data_problems(
    block: tree.Settings, model: tree.Program | None, sites: Mapping[str, Site], nested: bool
) -> Iterator[Problem]:
    """Data against the model: names, shapes, values outside of the arguments' types."""
    shapes: dict[str, tuple[int, ...]] = {}
    seen: set[str] = set()
    for entry in block.entries:
        if entry.name.id in seen:
            yield Problem("data", entry.span, f"`{entry.name.id}` is given twice", edit="one of them")
        seen.add(entry.name.id)
        if _labels(entry.value):
            yield from _label_problems(entry, model)
            continue
        problem, shape = _literal(entry.value)
        if problem is not None:
            yield problem
        elif shape is not None:
            shapes[entry.name.id] = shape
    if model is None:
        return
    parameters = {p.name.id: p for p in model.parameters or ()}
    known = {*parameters, *sites}
    for entry in block.entries:
        name = entry.name.id
        if name not in known and not nested and not _labels(entry.value):
            near = closest(name, known) or sorted(known)
            yield Problem(
                "data",
                entry.name.span,
                f"the model {model.name.id} has no `{name}`",
                ", ".join(near[:8]) or None,
                f"`{name}`",
                f"{near[0]} = …" if near else None,
            )
    for name, p in parameters.items():
        if name not in seen and p.default is None and name not in sites:
            yield Problem(
                "data",
                block.span,
                f"the model's argument `{name}` is not given",
                f"{name} = …",
                edit=f"{name} = …",
            )
    yield from _sizes(block, parameters, sites, shapes)
    for entry in block.entries:
        if (parameter := parameters.get(entry.name.id)) is not None and parameter.type is not None:
            yield from _values(entry, parameter.type, entry.name.id in sites)


def _labels(e: tree.Expression) -> bool:
    """Whether this is a list of texts: the labels of a dim."""
    return (
        isinstance(e, tree.List) and bool(e.elements) and all(isinstance(x, tree.String) for x in e.elements)
    )


def _label_problems(entry: tree.Keyword, model: tree.Program | None) -> Iterator[Problem]:
    if model is not None and entry.name.id not in (known := dims(model.parameters or ())):
        yield Problem(
            "data",
            entry.span,
            "texts are the labels of a dim, and the model has no such dim",
            ", ".join(known) or None,
            f"`{entry.name.id}`",
            known[0] if known else None,
        )


def _literal(e: tree.Expression) -> tuple[Problem | None, tuple[int, ...] | None]:
    """The shape of a literal, or what is wrong with it."""
    if isinstance(e, tree.List):
        shapes: list[tuple[int, ...]] = []
        for x in e.elements:
            problem, shape = _literal(x)
            if problem is not None:
                return problem, None
            if shape is None:
                return None, None
            if shapes and shape != shapes[0]:
                rows = (
                    f"{shapes[0][0]} here and {shape[0]} there"
                    if shape and shapes[0]
                    else "numbers and lists"
                )
                return Problem(
                    "shape",
                    x.span,
                    f"the rows of a list have one length: {rows}",
                    str(list(shapes[0])),
                    str(list(shape)),
                ), None
            shapes.append(shape)
        return None, (len(shapes), *(shapes[0] if shapes else ()))
    if isinstance(e, tree.Number | tree.Boolean):
        return None, ()
    if isinstance(e, tree.Unary | tree.Binary | tree.Parenthesised):
        for part in tree.children(e):
            if isinstance(part, tree.Expression) and (found := _literal(part)[0]) is not None:
                return found, None
        return None, ()
    if isinstance(e, tree.Name) and e.id in ("nan", "inf", "pi", "e"):
        return None, ()
    what = f"`{expression_text(e)}`"
    return Problem(
        "data",
        e.span,
        "data are numbers, and lists of them",
        "1.5, [1, 2, 3], nan for a missing one",
        what,
        "a number",
    ), None


def _sizes(
    block: tree.Settings,
    parameters: Mapping[str, tree.Parameter],
    sites: Mapping[str, Site],
    shapes: Mapping[str, tuple[int, ...]],
) -> Iterator[Problem]:
    entries = {e.name.id: e for e in block.entries}
    known: dict[str, tuple[int, str]] = {}
    for name, entry in entries.items():
        if isinstance(entry.value, tree.Number) and isinstance(entry.value.value, int):
            known[name] = (entry.value.value, name)
    for name, entry in entries.items():
        if name not in shapes:
            continue
        wanted: tuple[Size, ...] | None = None
        if name in parameters and (kind := parameters[name].type) is not None:
            wanted = tuple(size_of(s) for s in kind.shape)
            if kind.name.id in ("cov", "corr", "cholesky", "corr_cholesky") and wanted:
                wanted = (*wanted, wanted[-1])
        elif name in sites and sites[name].value.shape is not None:
            wanted = (*sites[name].sizes, *(sites[name].value.shape or ()))
        if wanted is None:
            continue
        found = shapes[name]
        if len(wanted) != len(found):
            yield Problem(
                "shape",
                entry.span,
                f"`{name}` has {len(found)} axes in the data and {len(wanted)} in the model",
                f"{name}[{', '.join(map(str, wanted))}]",
                f"sizes {', '.join(map(str, found)) or 'none'}",
            )
            continue
        for size, length in zip(wanted, found, strict=True):
            if isinstance(size, str) and size.isidentifier():
                expected, source = known.setdefault(size, (length, name))
                if expected != length:
                    yield Problem(
                        "shape",
                        entry.span,
                        f"`{name}` has {length} elements, but {size} is {expected} (from {source})",
                        f"{expected} elements",
                        str(length),
                    )
            elif isinstance(size, int) and size != length:
                yield Problem(
                    "shape",
                    entry.span,
                    f"`{name}` has {length} elements, and {size} are expected",
                    str(size),
                    str(length),
                )


def _values(entry: tree.Keyword, kind: tree.Type, sampled: bool) -> Iterator[Problem]:
    from ppl.syntax.check.types import value_of

    allowed = value_of(kind, lambda _: None)
    if not allowed.is_number:
        return
    for leaf, value in _leaves(entry.value):
        if value is None:
            if not sampled:
                yield Problem(
                    "data",
                    leaf.span,
                    f"a missing value (nan) in `{entry.name.id}`, which has no distribution",
                    "numbers",
                    "nan",
                    f"{entry.name.id}[…] ~ … in the model",
                )
                return
        elif allowed.kind == "int" and value % 1:
            yield Problem(
                "data",
                leaf.span,
                f"`{entry.name.id}` is whole numbers, and this is {value:g}",
                "int",
                f"{value:g}",
            )
            return
        elif Interval(value, value).misses(allowed.interval):
            yield Problem(
                "support",
                leaf.span,
                f"`{entry.name.id}` is {allowed.interval}, and this is {value:g}",
                str(allowed.interval),
                f"{value:g}",
            )
            return


def _leaves(e: tree.Expression) -> Iterator[tuple[tree.Expression, float | None]]:
    """The numbers of a literal; None for nan."""
    if isinstance(e, tree.List):
        for x in e.elements:
            yield from _leaves(x)
    elif isinstance(e, tree.Number):
        yield e, float(e.value)
    elif isinstance(e, tree.Unary) and e.operator == "-" and isinstance(e.operand, tree.Number):
        yield e, -float(e.operand.value)
    elif isinstance(e, tree.Name) and e.id == "nan":
        yield e, None
