"""`ppl.load("model.ppl")`: a file as a module of programs."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from ppl.distributions import families
from ppl.errors import closest
from ppl.language.gfi import simulate
from ppl.language.program import Bound
from ppl.language.program import Program as PythonProgram
from ppl.language.runtime import running
from ppl.syntax import tree
from ppl.syntax.bind import Binder, evaluator
from ppl.syntax.check import check
from ppl.syntax.expressions import Expressions, hidden, language_name
from ppl.syntax.families import Family
from ppl.syntax.families import families as table
from ppl.syntax.functions import ALIASES, CONSTANTS
from ppl.syntax.imports import Source, found
from ppl.syntax.info import Info
from ppl.syntax.loops import structure
from ppl.syntax.lower import lower
from ppl.syntax.mathematics import FUNCTIONS
from ppl.syntax.problems import Problem, SourceError, remember
from ppl.syntax.runtime import STATEMENTS, floating
from ppl.syntax.source import read


class SourceModule(ModuleType):
    """A `.ppl` file: its programs and functions by name, `data` and `infer`, what its blocks of these names say."""

    data: dict[str, Any]
    infer: dict[str, Any]
    programs: dict[str, PythonProgram]
    exports: dict[str, Any]
    visible: dict[str, PythonProgram]
    """Its own programs and those it imports by name."""


class SourceProgram(PythonProgram):
    """A program from a file. Parameters that are sites too are its data: given, the program is conditioned on them."""

    sampled: frozenset[str] = frozenset()

    def __call__(self, *args: Any, **kwargs: Any) -> Bound:
        bound = super().__call__(*args, **kwargs)
        given = {n: bound.arguments[n] for n in self.sampled if bound.arguments.get(n) is not None}
        return bound.condition(given) if given else bound


def load(path: str | Path) -> SourceModule:
    """The programs of a `.ppl` file.

    Args:
        path: the file.

    Returns:
        A module: `load("m.ppl").eight_schools(sigma)` is a bound program; `.data` and `.infer` hold the file's blocks.

    Raises:
        SourceError: with every problem of the file. DataError: there is no such file.
    """
    return _file(Path(path), ())


_held: ContextVar[dict[Path, SourceModule]] = ContextVar("held")
"""Files that were loaded for the same file already: many ways can lead to one."""


def _file(path: Path, importing: tuple[Path, ...]) -> SourceModule:
    text = read(path)
    return _loaded(text, str(path), path.parent, (*importing, path.resolve()))


def loads(text: str, path: str = "<text>", *, folder: Path | None = None) -> SourceModule:
    """The programs of a text; `path` is what errors call it, `folder` where its imports are.

    >>> m = loads("model coin(n: int = 3):\\n    p ~ Beta(1, 1)\\n    for i in n:\\n        x[i] ~ Bernoulli(p)\\n")
    >>> m.coin()
    <bound model coin>
    """
    return _loaded(text, path, folder, ())


def _loaded(text: str, path: str, folder: Path | None, importing: tuple[Path, ...]) -> SourceModule:
    remember(path, text)
    checked = check(text, path, folder=folder, importing=importing)
    if checked.errors:
        raise SourceError(path, checked.errors)
    file, info = checked.file, checked.info
    code = compile(lower(file, info), path, "exec")
    module = SourceModule(Path(path).stem)
    token = _held.set({}) if len(importing) < 2 else None
    try:
        names = _globals(file, path, folder, importing)
    finally:
        if token is not None:
            _held.reset(token)
    names.update(_binders(file, info, path))
    exec(code, names)
    module.__doc__ = next((i.text for i in file.items if isinstance(i, tree.Heading)), None)
    module.programs = {}
    for item in file.items:
        if isinstance(item, tree.Program):
            program = SourceProgram(names[item.name.id], item.kind)
            object.__setattr__(program, "sampled", info.sampled(item))
            names[item.name.id] = module.programs[item.name.id] = program
            setattr(module, item.name.id, program)
        elif isinstance(item, tree.Function):
            setattr(module, item.name.id, _callable(names[item.name.id]))
    module.exports = {
        i.name.id: names[i.name.id] for i in file.items if isinstance(i, tree.Function | tree.Program)
    }
    module.visible = {n: v for n, v in names.items() if isinstance(v, PythonProgram)}
    for kind in ("data", "infer"):
        setattr(module, kind, _settings(file, kind))
    return module


def _callable(function: Any) -> Any:
    """A function as Python calls it: outside of programs its loops need a runtime too."""
    program = PythonProgram(function)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if running() else simulate(program(*args, **kwargs)).value

    return called


def _binders(file: tree.File, info: Info, path: str) -> Iterator[tuple[str, Any]]:
    for item in file.items:
        if isinstance(item, tree.Function | tree.Program):
            evaluate = evaluator(Expressions(structure(())).of)
            parameters = info.parameters(item)
            is_program = isinstance(item, tree.Program) and item.kind in ("model", "guide")
            binder = Binder(
                path, item.name.id, parameters, info.dims(item), info.sampled(item), evaluate, is_program
            )
            yield f"__bind_{item.name.id}", binder


def _globals(file: tree.File, path: str, folder: Path | None, importing: tuple[Path, ...]) -> dict[str, Any]:
    """All that the generated code can reach: nothing of Python's own."""
    names: dict[str, Any] = {"__builtins__": {}}
    known = {f.name: f.cls for f in families()}
    used = {n.id for n in tree.walk(file) if isinstance(n, tree.Name)}
    names.update({n: _family(known[n], table()[n]) for n in used & set(known)})
    names.update(CONSTANTS)
    names.update(FUNCTIONS)
    names.update({alias: FUNCTIONS[name] for alias, name in ALIASES.items()})
    own = {
        n for item in file.items if isinstance(item, tree.Function | tree.Program) for n in hidden(item.body)
    }
    names.update({language_name(n): names[n] for n in own if n in names})
    names.update(STATEMENTS)
    for item in file.items:
        if isinstance(item, tree.Import):
            names.update(_imported(item, path, folder, importing))
    return names


def _family(cls: Any, family: Family) -> Any:
    """A family as files call it: torch's parameters are floating-point, the language's `[1, 1]` is as good."""
    real = (
        "df",
        "temperature",
        "low",
        "high",
    )  # bounds that depend on each other have no support in the table
    numbers = {p.name for p in family.parameters if p.support is not None or p.name in real}
    placed = [p.name in numbers for p in family.parameters]

    def law(*args: Any, **kwargs: Any) -> Any:
        values = [floating(a) if is_number else a for a, is_number in zip(args, placed, strict=False)]
        return cls(*values, **{n: floating(v) if n in numbers else v for n, v in kwargs.items()})

    return law


def _imported(
    item: tree.Import, path: str, folder: Path | None, importing: tuple[Path, ...]
) -> Iterator[tuple[str, Any]]:
    """The names that an import brings: of a module its programs and functions, and nothing else."""
    source = found(item, folder)
    span = item.path[0].span.to(item.path[-1].span)
    if isinstance(source, Source) and source.path.resolve() in importing:
        names = " → ".join(p.stem for p in (*importing, source.path))
        source = Problem(
            "import", span, f"files import each other in a circle: {names}", edit="import one way only"
        )
    if isinstance(source, Problem):
        raise SourceError(path, [source])
    public = _public(source, importing)
    if not item.names:
        alias = item.alias or item.path[0]
        held: Any = SimpleNamespace(**public)
        for name in reversed(item.path[1:] if item.alias is None else ()):
            held = SimpleNamespace(**{name.id: held})
        yield alias.id, held
    for wanted in item.names:
        name = wanted.name
        if name.id not in public:
            near = closest(name.id, public) or sorted(public)
            problem = Problem(
                "name",
                name.span,
                f"{'.'.join(p.id for p in item.path)} has no `{name.id}`",
                expected=", ".join(near[:8]),
                edit=f"import {near[0]}" if near else None,
            )
            raise SourceError(path, [problem])
        yield (wanted.alias or name).id, public[name.id]


def _public(source: Source, importing: tuple[Path, ...]) -> dict[str, Any]:
    if source.module is not None:
        module = importlib.import_module(source.module)
        return {n: v for n in module.__all__ if isinstance(v := getattr(module, n), PythonProgram)}
    held, path = _held.get(), source.path.resolve()
    if path not in held:
        held[path] = _file(source.path, importing)
    return dict(held[path].exports)


def _settings(file: tree.File, kind: str) -> dict[str, Any]:
    entries = [e for i in file.items if isinstance(i, tree.Settings) and i.kind == kind for e in i.entries]
    return {e.name.id: _literal(e.value) for e in entries}


def _literal(e: tree.Expression) -> Any:
    """The value of a setting: numbers and lists of them, words for names."""
    if isinstance(e, tree.List | tree.Tuple):
        return [_literal(x) for x in e.elements]
    if isinstance(e, tree.Number | tree.Boolean | tree.String):
        return e.value
    if isinstance(e, tree.Parenthesised):
        return _literal(e.inner)
    if isinstance(e, tree.Name):
        return CONSTANTS.get(e.id, e.id)
    if isinstance(e, tree.Unary):
        return -_literal(e.operand) if e.operator == "-" else _literal(e.operand)
    return evaluator(Expressions(structure(())).of)(e, dict(CONSTANTS))
