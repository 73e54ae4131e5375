"""The `data:` block against its model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ppl.syntax import tree
from ppl.syntax.check.callees import example
from ppl.syntax.check.elsewhere import NAMES_ELSEWHERE
from ppl.syntax.check.intervals import raised
from ppl.syntax.check.near import near
from ppl.syntax.check.state import Site
from ppl.syntax.check.types import value_of
from ppl.syntax.format import expression_text
from ppl.syntax.info import dims
from ppl.syntax.problems import Problem
from ppl.syntax.values import Interval, Size, Value, size_of


def data_problems(
    block: tree.Settings, model: tree.Program | None, sites: Mapping[str, Site], nested: bool
) -> Iterator[Problem]:
    """Data against the model: names, shapes, values outside of the arguments' types."""
    shapes: dict[str, tuple[int, ...]] = {}
    seen: set[str] = set()
    for entry in block.entries:
        if entry.name.id in seen:
            yield Problem(
                "data", entry.span, f"`{entry.name.id}` is given twice", edit="leave one of them out"
            )
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
    shown = ", ".join(sorted(known)[:8]) or None
    for entry in block.entries:
        name = entry.name.id
        if name not in known and not nested and not _labels(entry.value):
            alike = near(name, known)
            yield Problem(
                "data",
                entry.name.span,
                f"the model {model.name.id} has no `{name}`",
                shown,
                f"`{name}`",
                f"{alike[0]} = …" if alike else "leave it out",
            )
    for name, p in parameters.items():
        if name not in seen and p.default is None and name not in sites:
            yield Problem(
                "data",
                block.span,
                f"the model's argument `{name}` is not given",
                f"{name} = …",
                ", ".join(sorted(seen)) or "no data",
                f"{name} = [1, 2, 3]" if p.type is not None and p.type.shape else f"{name} = 1",
            )
    yield from _sizes(block, parameters, sites, shapes)
    for entry in block.entries:
        parameter, site = parameters.get(entry.name.id), sites.get(entry.name.id)
        if parameter is not None and parameter.type is not None:
            yield from _values(entry, _allowed(parameter.type, block), site is not None, parameter.type)
        elif site is not None:
            yield from _values(entry, site.value, True, None)


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
            f"{known[0]} = {expression_text(entry.value)}, or numbers" if known else "numbers",
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
                    _lengths(shapes[0]),
                    _lengths(shape),
                    "rows of one length; or a vector of all values, and one of each value's row",
                ), None
            shapes.append(shape)
        return None, (len(shapes), *(shapes[0] if shapes else ()))
    if isinstance(e, tree.Number | tree.Boolean):
        return None, ()
    if isinstance(e, tree.Unary | tree.Binary | tree.Parenthesised):
        for part in tree.children(e):
            if isinstance(part, tree.Expression) and (found := _literal(part)[0]) is not None:
                return found, None
        if math.isinf(_magnitude(e)) and "inf" not in expression_text(e):
            edit = "a smaller exponent, or inf"
            text = expression_text(e)
            return Problem("resource", e.span, "this number is too large", "at most 1e308", text, edit), None
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
        _number_for(e),
    ), None


def _magnitude(e: tree.Expression) -> float:
    """A literal's size, roughly and from above; infinite if it can't be held."""
    if isinstance(e, tree.Number):
        return abs(float(e.value))
    if isinstance(e, tree.Parenthesised):
        return _magnitude(e.inner)
    if isinstance(e, tree.Unary):
        return _magnitude(e.operand)
    if not isinstance(e, tree.Binary):
        return 1.0
    left, right = _magnitude(e.left), _magnitude(e.right)
    if e.operator == "**":
        return raised(max(left, 1.0), right)
    return left * right if e.operator == "*" else left + right


def _lengths(shape: tuple[int, ...]) -> str:
    return "a list of " + " by ".join(map(str, shape)) if shape else "a number"


def _number_for(e: tree.Expression) -> str:
    if isinstance(e, tree.Name):
        return NAMES_ELSEWHERE.get(e.id.lower(), "a number")
    if isinstance(e, tree.Call):
        return "the numbers themselves, or ppl run FILE --data FILE.csv"
    return "a number"


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
                f"`{name}` has {_axes(found)} in the data and {_axes(wanted)} in the model",
                f"{name}[{', '.join(map(str, wanted))}]" if wanted else "a number",
                f"sizes {', '.join(map(str, found))}" if found else "a number",
                "a list in the list for each row" if len(wanted) > len(found) else "fewer lists in lists",
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
                        f"{expected} elements in `{name}`, or another {size}",
                    )
            elif isinstance(size, int) and size != length:
                yield Problem(
                    "shape",
                    entry.span,
                    f"`{name}` has {length} elements, and {size} are expected",
                    str(size),
                    str(length),
                    f"{size} elements in `{name}`",
                )


def _axes(shape: tuple[object, ...]) -> str:
    return {0: "no axes", 1: "one axis"}.get(len(shape), f"{len(shape)} axes")


def _allowed(kind: tree.Type, block: tree.Settings) -> Value:
    """What a type allows; the K of `index(K)` may be among the data."""
    allowed = value_of(kind, lambda _: None)
    if kind.name.id == "index" and len(kind.arguments) == 1:
        size = kind.arguments[0]
        if isinstance(size, tree.Name):
            size = next((e.value for e in block.entries if e.name.id == size.id), size)
        if isinstance(size, tree.Number) and isinstance(size.value, int):
            return replace(allowed, interval=Interval(0.0, size.value - 1.0))
    return allowed


def _values(entry: tree.Keyword, allowed: Value, sampled: bool, kind: tree.Type | None) -> Iterator[Problem]:
    """Values that a type, or the distribution of a site, doesn't allow; the first of each entry."""
    if not allowed.is_number:
        return
    name, text = entry.name.id, "int" if allowed.kind == "int" else str(allowed.interval)
    leaves = list(_leaves(entry.value))
    for leaf, value in leaves:
        if value is None:
            if not sampled:
                headline = f"a missing value (nan) in `{name}`, which has no distribution"
                edit = f"{name}[…] ~ … in the model, or leave those rows out"
                yield Problem("data", leaf.span, headline, "numbers", "nan", edit)
                return
        elif allowed.kind == "int" and value % 1:
            edit = f"{value // 1:g}" + (f", or {name}: real in the model" if kind is not None else "")
            headline = f"`{name}` is whole numbers, and this is {value:g}"
            yield Problem("data", leaf.span, headline, "int", f"{value:g}", edit)
            return
        elif Interval(value, value).misses(allowed.interval):
            edit = example(allowed.interval, value)
            if kind is not None and kind.name.id == "index":
                text = f"0 to {allowed.interval.high:g}"
                edit = _from_zero(entry, [v for _, v in leaves if v is not None]) or edit
            words = text if kind is not None and kind.name.id == "index" else str(allowed.interval)
            yield Problem(
                "support", leaf.span, f"`{name}` is {words}, and this is {value:g}", text, f"{value:g}", edit
            )
            return


def _from_zero(entry: tree.Keyword, values: list[float]) -> str | None:
    """Indices that begin at 1, as they are counted here."""
    if not values or min(values) < 1 or len(values) > 12:
        return "indices start at 0: each less by one" if values and min(values) >= 1 else None
    return f"{entry.name.id} = [{', '.join(f'{v - 1:g}' for v in values)}]: indices start at 0"


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
