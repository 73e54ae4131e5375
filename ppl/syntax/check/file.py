"""A whole file: its imports, definitions, guides against models, data and settings."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ppl.errors import closest
from ppl.syntax import tree
from ppl.syntax.check.agreement import disagreements
from ppl.syntax.check.body import Body, reserved
from ppl.syntax.check.callees import Callee
from ppl.syntax.check.imported import Exports, exports, once
from ppl.syntax.check.inference import infer_problems
from ppl.syntax.check.order import Definition, in_order
from ppl.syntax.check.parameters import Parameters
from ppl.syntax.check.scope import Scope
from ppl.syntax.check.settings import data_problems
from ppl.syntax.check.state import Site
from ppl.syntax.check.types import value_of
from ppl.syntax.imports import found
from ppl.syntax.info import Info, Names, dims
from ppl.syntax.limits import PROBLEMS
from ppl.syntax.loops import Structure, structure
from ppl.syntax.parse import Parsed, parse
from ppl.syntax.problems import Problem, Rejected
from ppl.syntax.values import ANY, Value


@dataclass(frozen=True, slots=True)
class Checked:
    """A file, its problems in the order of the source, and what the lowering asks for."""

    file: tree.File
    problems: tuple[Problem, ...]
    info: Info
    bodies: dict[str, Body] = field(default_factory=dict)

    exports: dict[str, Callee] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(p for p in self.problems if p.severity == "error")


def check(
    text: str,
    path: str = "<text>",
    *,
    folder: Path | None = None,
    pedantic: bool = False,
    importing: tuple[Path, ...] = (),
) -> Checked:
    """All the problems of a file: errors, warnings, and with `pedantic` advice on the model.

    >>> [p.headline for p in check("model m():\\n    x ~ Normal(0, -1)\\n").problems]
    ['`scale` of Normal has to be positive, and this is -1']
    """
    parsed = parse(text, path)
    checking = _File(parsed, folder, importing)
    checking.run()
    problems = [*parsed.problems, *checking.problems]
    if pedantic:
        from ppl.syntax.check.pedantic import advice

        problems += advice(parsed.file, checking.bodies)
    unique = {(p.span, p.headline): p for p in problems}
    ordered = sorted(unique.values(), key=lambda p: (p.span.line, p.span.column, p.severity))
    public = {name: checking.callees[name] for name in checking.definitions}
    return Checked(parsed.file, tuple(ordered[:PROBLEMS]), checking.info(), checking.bodies, public)


class _Enough(Exception):
    """There are so many problems that looking for more is a waste."""


class _File(Parameters):
    def __init__(self, parsed: Parsed, folder: Path | None, importing: tuple[Path, ...]) -> None:
        self.parsed, self.file = parsed, parsed.file
        self.names = Info(self.file)
        self.folder, self.importing = folder, importing
        self.problems: list[Problem] = []
        self.callees: dict[str, Callee] = {}
        self.outside: dict[str, Value] = {name: ANY for name in parsed.lost}
        self.blind = bool(parsed.problems) and not parsed.lost
        self.bodies: dict[str, Body] = {}
        self.definitions: dict[str, Definition] = {}

    def run(self) -> None:
        with suppress(_Enough), once():
            self._run()

    def _run(self) -> None:
        self._imports()
        self._define()
        for item in in_order(self.definitions, self.report):
            self._check(item)
        for item in self.definitions.values():
            if isinstance(item, tree.Program) and item.model is not None:
                self._guide(item)
        self._blocks()

    def report(self, problem: Problem) -> None:
        if self.blind and problem.kind == "name" and "not a name in scope" in problem.headline:
            return
        self.problems.append(problem)
        if len(self.problems) > 2 * PROBLEMS:
            raise _Enough

    # imports and definitions

    def _imports(self) -> None:
        for item in self.file.items:
            if isinstance(item, tree.Import):
                source = found(item, self.folder)
                public = source if isinstance(source, Problem) else exports(source, item, self.importing)
                if isinstance(public, Problem):
                    self.report(public)
                    names = [(n.alias or n.name).id for n in item.names] or [(item.alias or item.path[0]).id]
                    self.outside.update({name: ANY for name in names})
                else:
                    self._import(item, public)

    def _import(self, item: tree.Import, public: Exports) -> None:
        if not item.names:
            prefix = item.alias.id if item.alias is not None else ".".join(p.id for p in item.path)
            parts = prefix.split(".")
            for n in range(1, len(parts) + 1):
                self.outside[".".join(parts[:n])] = Value("namespace", shape=())
            for name, callee in public.items():
                self._callee(f"{prefix}.{name}", callee)
        for wanted in item.names:
            name, called = wanted.name.id, (wanted.alias or wanted.name).id
            if name in public:
                self._callee(called, public[name])
                continue
            path = ".".join(p.id for p in item.path)
            near = closest(name, public) or sorted(public)
            self.report(
                Problem(
                    "name",
                    wanted.name.span,
                    f"{path} has no `{name}`",
                    ", ".join(near[:8]) or None,
                    f"`{name}`",
                    near[0] if near else None,
                )
            )
            self.outside[called] = ANY

    def _callee(self, path: str, callee: Callee) -> None:
        self.callees[path] = replace(callee, name=path)
        self.outside[path] = Value(callee.kind, shape=(), of=callee.returns)

    def _define(self) -> None:
        for item in self.file.items:
            if not isinstance(item, Definition):
                continue
            name = item.name.id
            if name in self.definitions:
                line = self.definitions[name].span.line
                self.report(
                    Problem(
                        "name",
                        item.name.span,
                        f"`{name}` is defined twice; the first is on line {line}",
                        edit=f"another name: {name}_2",
                    )
                )
                continue
            if what := reserved(name):
                self.report(
                    Problem(
                        "name",
                        item.name.span,
                        f"`{name}` is the name of {what} of the language",
                        edit=f"another name: my_{name}",
                    )
                )
            self.definitions[name] = item
            kind = "function" if isinstance(item, tree.Function) else item.kind
            self._callee(name, Callee(kind, name, None))

    # bodies

    def _check(self, item: Definition) -> None:
        if isinstance(item, tree.Program) and item.model is not None and item.model.id in self.parsed.lost:
            return  # its arguments are those of a model that could not be read
        parameters = self.names.parameters(item)
        try:
            shape: Structure = structure(item.body, (p.name.id for p in parameters))
        except Rejected as rejected:
            self.report(rejected.problem)
            return
        scope = Scope(dict(self.outside))
        own = item.parameters is not None or isinstance(item, tree.Function)
        silent: list[Problem] = []
        self._parameters(parameters, scope, self.report if own else silent.append)
        kind = "function" if isinstance(item, tree.Function) else item.kind
        names = frozenset(p.name.id for p in parameters)
        body = Body(self.report, kind, shape, scope, self.callees, names)
        if not own:
            for binding in scope.names.values():
                binding.used = True
        body.run()
        self.bodies[item.name.id] = body
        returns = body.returns
        if isinstance(item, tree.Function):
            returns = self._returned(item, body)
        shown = tuple(
            (
                p.name.id,
                value_of(p.type, silent.append) if p.type is not None else ANY,
                p.default is not None or p.name.id in body.sites,
            )
            for p in parameters
        )
        free = returns if not returns.shape else replace(returns, shape=(None,) * len(returns.shape))
        self._callee(item.name.id, Callee(kind, item.name.id, shown, free))

    def _returned(self, item: tree.Function, body: Body) -> Value:
        if not any(isinstance(n, tree.Return) for s in item.body for n in tree.walk(s)):
            self.report(
                Problem(
                    "structure",
                    item.name.span,
                    f"`{item.name.id}` returns nothing",
                    "return … at its end",
                    edit="return …",
                )
            )
        if item.returns is None:
            return body.returns
        declared = value_of(item.returns, self.report)
        found_ = body.returns
        if declared.is_number and found_.is_number:
            if (
                found_.shape is not None
                and declared.shape is not None
                and len(found_.shape) != len(declared.shape)
            ):
                self.report(
                    Problem(
                        "shape",
                        item.returns.span,
                        f"`{item.name.id}` says it returns {declared}, and returns {found_}",
                        str(declared),
                        str(found_),
                        f"-> {found_}",
                    )
                )
            elif found_.interval.misses(declared.interval):
                self.report(
                    Problem(
                        "support",
                        item.returns.span,
                        f"`{item.name.id}` says it returns {declared}, and returns {found_}",
                        str(declared),
                        str(found_),
                        "-> real, or another value",
                    )
                )
        return declared

    # between definitions

    def _guide(self, item: tree.Program) -> None:
        assert item.model is not None
        model = self.definitions.get(item.model.id)
        if model is None or not isinstance(model, tree.Program) or model.kind != "model":
            if item.model.id in self.outside:
                return
            models = [
                n for n, d in self.definitions.items() if isinstance(d, tree.Program) and d.kind == "model"
            ]
            near = closest(item.model.id, models) or models
            self.report(
                Problem(
                    "guide",
                    item.model.span,
                    f"there is no model `{item.model.id}`",
                    ", ".join(near) or "a model",
                    edit=f"guide {item.name.id} for {near[0]}" if near else None,
                )
            )
            return
        if item.kind != "guide":
            self.report(
                Problem(
                    "guide",
                    item.model.span,
                    f"only a guide is for a model; this is a {item.kind}",
                    edit=f"{item.kind} {item.name.id}(…):",
                )
            )
            return
        guide, target = self.bodies.get(item.name.id), self.bodies.get(item.model.id)
        if guide is not None and target is not None:
            for problem in disagreements(item, guide, target, self._given):
                self.report(problem)

    @cached_property
    def _given(self) -> set[str]:
        """The names that the data block gives."""
        return {
            e.name.id
            for i in self.file.items
            if isinstance(i, tree.Settings) and i.kind == "data"
            for e in i.entries
        }

    def _programs(self) -> dict[str, str]:
        """The programs that settings can name, with their kinds."""
        return {name: value.kind for name, value in self.outside.items() if "." not in name}

    def _blocks(self) -> None:
        blocks = [i for i in self.file.items if isinstance(i, tree.Settings)]
        seen: dict[str, tree.Settings] = {}
        for block in blocks:
            if block.kind in seen:
                self.report(
                    Problem(
                        "data",
                        block.span,
                        f"there are two {block.kind} blocks; the first is on line {seen[block.kind].span.line}",
                        edit="one block with all of it",
                    )
                )
                continue
            seen[block.kind] = block
        models = [d for d in self.definitions.values() if isinstance(d, tree.Program) and d.kind == "model"]
        chosen = models[-1] if models else None
        if "infer" in seen:
            names = {e.name.id: e.value for e in seen["infer"].entries}
            if isinstance(wanted := names.get("model"), tree.Name):
                chosen = next((m for m in models if m.name.id == wanted.id), None)
            for problem in infer_problems(seen["infer"], {m.name.id for m in models}, self._programs()):
                self.report(problem)
        if "data" in seen:
            sites: dict[str, Site] = (
                self.bodies[chosen.name.id].sites if chosen and chosen.name.id in self.bodies else {}
            )
            nested = bool(chosen and chosen.name.id in self.bodies and self.bodies[chosen.name.id].nested)
            for problem in data_problems(seen["data"], chosen, sites, nested):
                self.report(problem)

    def info(self) -> Info:
        bodies = {}
        for name, body in self.bodies.items():
            whole = frozenset(s.name for s in body.sites.values() if s.value.kind == "int")
            events = {s.name: _event(s.value) for s in body.sites.values()}
            bodies[name] = Names({n: e for n, e in events.items() if e}, whole, body.dims_of)
        return Info(self.file, bodies)


def _event(value: Value) -> tuple[tree.Expression, ...]:
    """The sizes of one element as expressions, where all are known."""
    from ppl.syntax.parse import parse_expression

    if not value.shape or any(s is None for s in value.shape):
        return ()
    return tuple(
        tree.Number(s, str(s)) if isinstance(s, int) else parse_expression(str(s)) for s in value.shape
    )


__all__ = ["Checked", "check", "dims"]
