"""Tree → Python: every program becomes a function of the Python front end, so that both front ends mean the same.

The Python is a syntax tree whose places are those of the `.ppl` source: errors and tracebacks point there, and nobody
sees the generated code (`ast.unparse` shows it to the curious). It runs without builtins; all it can reach is what
`names` hands it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ppl.syntax import tree
from ppl.syntax.blocks import given_by, statements, targets
from ppl.syntax.expressions import Expressions, call, lagged_name, load, placed
from ppl.syntax.info import Info
from ppl.syntax.loops import Loop, Structure, before_first, structure

Code = list[ast.stmt]


def lower(file: tree.File, info: Info) -> ast.Module:
    """The module of a checked file: a function for every `def`, model, guide and objective."""
    body: Code = []
    for item in file.items:
        if isinstance(item, tree.Function | tree.Program):
            parameters = info.parameters(item)
            body.append(_function(item, parameters, info))
    return ast.fix_missing_locations(ast.Module(body, []))


def _function(
    item: tree.Function | tree.Program, parameters: Sequence[tree.Parameter], info: Info
) -> ast.FunctionDef:
    shape = structure(item.body, (p.name.id for p in parameters))
    lowered = _Body(shape, info.names(item), parameters, isinstance(item, tree.Function))
    body = [
        *_documentation(item),
        *_prologue(item, parameters, info),
        *lowered.block(lowered.structure.body),
    ]
    known = [p.name.id for p in parameters]
    sampled = info.sampled(item)
    defaults: list[ast.expr] = []
    for parameter in parameters:
        if parameter.default is not None:
            defaults.append(lowered.expressions.of(parameter.default))
        elif defaults or parameter.name.id in sampled:
            defaults.append(ast.Constant(None))
    signature = _arguments(known, defaults)
    function = ast.FunctionDef(item.name.id, signature, body or [ast.Pass()], [], None)
    return placed(function, item.name.span)


def _documentation(item: tree.Function | tree.Program) -> Code:
    """The docstring, as Python's of the function."""
    first = item.body[0] if item.body else None
    return (
        [placed(ast.Expr(ast.Constant(first.text)), first.span)] if isinstance(first, tree.Docstring) else []
    )


def _prologue(item: tree.Function | tree.Program, parameters: Sequence[tree.Parameter], info: Info) -> Code:
    """`sigma, J = __bind_eight_schools(sigma)`: arguments converted and checked, dims from their sizes. Then the
    networks among them become the program's: their weights are learned with its params.
    """
    outputs = [p.name.id for p in parameters] + list(info.dims(item))
    if not outputs:
        return []
    bound = call(f"__bind_{item.name.id}", *(load(p.name.id) for p in parameters))
    modules = [p for p in parameters if p.type is not None and p.type.name.id == "module"]
    known = [] if isinstance(item, tree.Function) else modules
    made = [(p, call("__module", ast.Constant(p.name.id), load(p.name.id))) for p in known]
    return [
        placed(ast.Assign([_tuple(outputs, ast.Store())], bound), item.name.span),
        *(placed(ast.Assign([_store(p.name.id)], module), p.name.span) for p, module in made),
    ]


def _arguments(names: Iterable[str], defaults: Sequence[ast.expr] = ()) -> ast.arguments:
    return ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, list(defaults))


def _tuple(names: Iterable[str], context: ast.expr_context) -> ast.Tuple:
    return ast.Tuple([ast.Name(n, context) for n in names], context)


def _store(name: str) -> ast.Name:
    return ast.Name(name, ast.Store())


@dataclass
class _Body:
    """Lowers the statements of one function; knows the loops that are open and what has a value."""

    structure: Structure
    names: Any
    parameters: Sequence[tree.Parameter]
    is_function: bool = False
    expressions: Expressions = field(init=False)
    known: set[str] = field(init=False)
    count: int = 0

    def __post_init__(self) -> None:
        self.expressions = Expressions(self.structure)
        self.known = {p.name.id for p in self.parameters}

    def block(self, body: Sequence[tree.Statement]) -> Code:
        return [line for s in body for line in self.statement(s)]

    def statement(self, statement: tree.Statement) -> Code:
        if id(statement) in self.structure.skipped:
            return self._before(statement)
        lowered: Code = getattr(self, f"_{type(statement).__name__.lower()}")(statement)
        self.known |= given_by(statement)
        return [placed(line, statement.span) for line in lowered]

    # one name, one value

    def _sample(self, s: tree.Sample) -> Code:
        name = s.target.name.id
        distribution = self.expressions.of(s.distribution)
        if s.type is not None:
            distribution = call("__typed", distribution, self._type(s.type))
        options = [ast.keyword(o.name.id, self.expressions.option(o)) for o in s.options]
        given = {o.name.id for o in s.options}
        if "dims" not in given and (dims := self.names.dims_of(s)):
            options.append(ast.keyword("dims", ast.Tuple([ast.Constant(d) for d in dims], ast.Load())))
        value = ast.Call(load("__sample"), [ast.Constant(name), distribution], options)
        return [ast.Assign([_store(name)], placed(value, s.span))]

    def _observe(self, s: tree.Observe) -> Code:
        name = s.target.name.id
        value = self.expressions.of(s.value)
        scored = call("__observe", ast.Constant(name), self.expressions.of(s.distribution), value)
        return [ast.Assign([_store(name)], placed(scored, s.span))]

    def _before(self, s: tree.Statement) -> Code:
        """`z[-1] = …` above the loop that builds z: computed here, read by the loop."""
        name, k = before_first(s) or ("", 0)
        assert isinstance(s, tree.Assign)
        return [placed(ast.Assign([_store(_initial(name, k))], self.expressions.of(s.value)), s.span)]

    def _assign(self, s: tree.Assign) -> Code:
        value = self.expressions.of(s.value)
        if len(s.targets) > 1:
            return [ast.Assign([_tuple((t.name.id for t in s.targets), ast.Store())], value)]
        target = s.targets[0]
        if s.operator:
            value = self.expressions.arithmetic(s.operator, load(target.name.id), value)
        if s.type is not None:
            value = call("__as_type", ast.Constant(target.name.id), value, self._type(s.type))
        return [ast.Assign([_store(target.name.id)], value)]

    def _keep(self, s: tree.Keep) -> Code:
        name = s.target.name.id
        kept = placed(call(f"__{s.keyword}", ast.Constant(name), self.expressions.of(s.value)), s.span)
        return [ast.Assign([_store(name)], kept) if s.keyword == "deterministic" else ast.Expr(kept)]

    def _declare(self, s: tree.Declare) -> Code:
        name = s.target.name.id
        init = self.expressions.of(s.value) if s.value is not None else ast.Constant(None)
        kind = self._type(s.type) if s.type is not None else ast.Constant(None)
        made = placed(call(f"__{s.keyword}", ast.Constant(name), init, kind), s.span)
        if s.keyword == "param":
            return [ast.Assign([_store(name)], made)]
        held = f"__state_{name}"
        value = ast.Attribute(load(held), "value", ast.Load())
        return [ast.Assign([_store(held)], made), ast.Assign([_store(name)], value)]

    def _setstate(self, s: tree.SetState) -> Code:
        setter = ast.Attribute(load(f"__state_{s.target.name.id}"), "set", ast.Load())
        return [ast.Expr(ast.Call(setter, [self.expressions.of(s.value)], []))]

    def _type(self, kind: tree.Type) -> ast.expr:
        """A type as a value at run time: `__Type(name, arguments, keywords, sizes, names of the sizes)`."""
        bounds = ast.Tuple([self.expressions.of(a) for a in kind.arguments], ast.Load())
        named: list[ast.expr] = [ast.Constant(k.name.id) for k in kind.keywords]
        keywords = ast.Dict(list(named), [self.expressions.of(k.value) for k in kind.keywords])
        shape = ast.Tuple([self.expressions.of(size) for size in kind.shape], ast.Load())
        return call("__Type", ast.Constant(kind.name.id), bounds, keywords, shape)

    def _return(self, s: tree.Return) -> Code:
        return [ast.Return(self.expressions.of(s.value) if s.value is not None else None)]

    def _pass(self, s: tree.Pass) -> Code:
        return []

    def _docstring(self, s: tree.Docstring) -> Code:
        return []

    def _evaluate(self, s: tree.Evaluate) -> Code:
        return [ast.Expr(self.expressions.of(s.value))]

    # loops

    def _for(self, s: tree.For) -> Code:
        loop = self.structure.of(s)
        self.count += 1
        return self._scan(loop, self.count) if loop.is_scan else self._plate(loop, self.count)

    def _inside(self, loop: Loop) -> Code:
        before = set(self.known)
        self.known.add(loop.statement.index.id)
        with self.expressions.inside(loop):
            body = self.block(loop.statement.body)
        self.known = before
        return body

    def _leaves(self, loop: Loop) -> list[str]:
        """The names that a loop builds and something outside of it reads (a later iteration of a loop around it too)."""
        carried = {name for outer in self.expressions.open for name in outer.lags}
        return [name for name in loop.elements if name in carried or self.structure.reads_outside(name, loop)]

    def _plate(self, loop: Loop, number: int) -> Code:
        index, held = loop.statement.index.id, f"__plate_{number}"
        opened = placed(call("__plate", *self._size(loop)), loop.statement.domain.span)
        body = self._inside(loop)
        if loop.start is not None:
            shifted = self.expressions.arithmetic("+", load(index), self.expressions.of(loop.start))
            body.insert(0, placed(ast.Assign([_store(index)], shifted), loop.statement.index.span))
        loops = ast.For(_store(index), ast.NamedExpr(_store(held), opened), body or [ast.Pass()], [])
        gather = ast.Attribute(load(held), "gather", ast.Load())
        gathered = [ast.Assign([_store(n)], ast.Call(gather, [load(n)], [])) for n in self._leaves(loop)]
        return [loops, *gathered]

    def _size(self, loop: Loop) -> list[ast.expr]:
        stop = self.expressions.of(loop.stop)
        if loop.start is not None:
            stop = call("__between", self.expressions.of(loop.start), stop)
        name: ast.expr = ast.Constant(loop.name)
        return [call("__apart", name, stop) if self.is_function else name, stop]

    def _scan(self, loop: Loop, number: int) -> Code:
        """`(carry, outputs) = __scan(name, step, initial carry, length)`; the carry is the last elements that an
        iteration reads, then the names it updates.
        """
        index, step = loop.statement.index.id, f"__step_{number}"
        lagged = [(name, k) for name, most in loop.lags.items() for k in range(1, most + 1)]
        carried = [lagged_name(name, index, k) for name, k in lagged] + list(loop.updated)
        initial = [self._first(loop, name, k) for name, k in lagged] + [load(n) for n in loop.updated]
        body = self._inside(loop)
        following = [load(name if k == 1 else lagged_name(name, index, k - 1)) for name, k in lagged]
        following += [load(n) for n in loop.updated]
        made = self._leaves(loop)
        result = ast.Tuple([ast.Tuple(following, ast.Load()), _tuple(made, ast.Load())], ast.Load())
        shifted: Code = []
        if loop.start is not None:
            moved = self.expressions.arithmetic("+", load(index), self.expressions.of(loop.start))
            shifted = [ast.Assign([_store(index)], moved)]
        inside = [
            ast.Assign([_tuple(carried, ast.Store())], load("__carry")),
            *shifted,
            *body,
            ast.Return(result),
        ]
        function = ast.FunctionDef(step, _arguments(["__carry", index]), inside, [], None)
        run = call(
            "__scan", *self._size(loop), load(step), ast.Tuple(initial, ast.Load()), ast.Constant(len(made))
        )
        last = _tuple(["__last"] * len(lagged) + list(loop.updated), ast.Store())
        outputs = _tuple(made, ast.Store())
        return [
            function,
            ast.Assign([ast.Tuple([last, outputs], ast.Store())], placed(run, loop.statement.span)),
        ]

    def _first(self, loop: Loop, name: str, k: int) -> ast.expr:
        """What z[-k] is: the value given above the loop, or one that no iteration uses."""
        inner = [self.structure.of(i) for i in statements(loop.statement.body) if isinstance(i, tree.For)]
        sizes = [self._size(i)[1] for i in inner if name in i.elements]
        sizes += [self.expressions.of(e) for e in self.names.event(name)]
        element = [ast.Constant(self.names.is_whole(name)), ast.Tuple(sizes, ast.Load())]
        if (name, k) not in loop.before:
            return call("__unused", *element)
        return call("__first", load(_initial(name, k)), *element)

    # branches

    def _if(self, s: tree.If) -> Code:
        """`a, b = __if(test, then, otherwise)`: which branch, is decided where it is known whether the test is
        random; an `elif` is an `if` in the other branch.
        """
        self.count += 1
        number, (first, *others) = self.count, s.branches
        otherwise = (tree.If(tuple(others), s.otherwise, span=others[0].span),) if others else s.otherwise
        if _returns(first.body) or _returns(otherwise):
            return self._returning(s, first, otherwise, number)
        given = [dict.fromkeys(_given(b)) for b in (first.body, otherwise)]
        results = [n for n in dict.fromkeys([*given[0], *given[1]])
                   if (n in given[0] and n in given[1]) or n in self.known]  # fmt: skip
        functions = [self._branch(f"__then_{number}", first.body, results),
                     self._branch(f"__else_{number}", otherwise, results)]  # fmt: skip
        chosen = placed(self._choice(first.test, number), s.span)
        self.known |= set(results)
        outcome: ast.stmt = (
            ast.Assign([_tuple(results, ast.Store())], chosen) if results else ast.Expr(chosen)
        )
        return [*functions, outcome]

    def _returning(
        self, s: tree.If, first: tree.Branch, otherwise: tuple[tree.Statement, ...], number: int
    ) -> Code:
        functions = [self._branch(f"__then_{number}", first.body, None),
                     self._branch(f"__else_{number}", otherwise, None)]  # fmt: skip
        return [*functions, ast.Return(placed(self._choice(first.test, number), s.span))]

    def _choice(self, test: tree.Expression, number: int) -> ast.expr:
        return call("__if", self.expressions.of(test), load(f"__then_{number}"), load(f"__else_{number}"))

    def _branch(self, name: str, body: Sequence[tree.Statement], results: list[str] | None) -> ast.stmt:
        before = set(self.known)
        lines = self.block(body)
        self.known = before
        changed = [n for n in dict.fromkeys(_given(body)) if n in before]
        arguments = _arguments(changed, [load(n) for n in changed])
        if results is not None:
            lines.append(ast.Return(_tuple(results, ast.Load())))
        return ast.FunctionDef(name, arguments, lines or [ast.Pass()], [], None)


def _initial(name: str, k: int) -> str:
    return f"__{name}_{k}_initial"


def _returns(body: Sequence[tree.Statement]) -> bool:
    return any(isinstance(s, tree.Return) for s in statements(body))


def _given(body: Sequence[tree.Statement]) -> list[str]:
    return [t.name.id for s in statements(body) for t in targets(s)]
