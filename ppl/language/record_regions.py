"""Recording of scans and branches: each body runs once in a scope of its own and becomes a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from ppl.compiler.graph import Graph, Node
from ppl.compiler.ops import item, make, make_input, plate_index, scan_outputs
from ppl.compiler.ops import scan as scan_node
from ppl.compiler.ops import switch as switch_node
from ppl.errors import StructureError, user_mark
from ppl.language.scopes import Loop, Scope
from ppl.language.wording import structure

if TYPE_CHECKING:
    from ppl.language.record import Recorder


def scan(r: Recorder, name: str, step: Callable[..., Any], init: Any, xs: Any, length: int | None) -> Any:
    """See `ppl.scan`. The step's number is always the first x, so that sites and data can find their
    place in time.
    """
    mark = user_mark(3)
    leaves, spec = pytree.tree_flatten(init)
    carries = [r._node(v) for v in leaves]
    x_leaves, x_spec = pytree.tree_flatten([] if xs is None else xs)
    x_nodes = [r._node(v) for v in x_leaves]
    steps = steps_of(name, x_nodes, length, mark)
    name = r.axis_name(name, steps, loop=True)
    r.dim_sizes.setdefault(name, (steps, mark))
    times = r.tracer.node(torch.arange(steps))
    registered = dict(r.marks)
    for _ in range(4):  # a carry may change dtype at most a few times (int → float)
        body, outs, out_spec, with_output = _record_step(
            r, name, step, carries, spec, [times, *x_nodes], x_spec, xs is None, steps, mark
        )
        new = outs[: len(carries)]
        if all(a.dtype == b.dtype for a, b in zip(carries, new, strict=True)):
            break
        carries = [
            a if a.dtype == b.dtype else make("to", a, dtype=b.dtype)
            for a, b in zip(carries, new, strict=True)
        ]
        r.marks = dict(registered)
    for i, (a, b) in enumerate(zip(carries, new, strict=True)):
        if a.shape != b.shape:
            raise StructureError(
                f"the carry of scan '{name}' changes its shape",
                where=mark,
                expected=f"part {i} keeps shape {list(a.shape)}, as init has it",
                found=f"shape {list(b.shape)} after one step",
                edit=f"start with init of shape {list(b.shape)}, for instance torch.zeros({tuple(b.shape)})",
            )
    consts, graph = _close(r, body, outs)
    node = scan_node(graph, carries, [times, *x_nodes], consts, steps, name=name)
    node.mark = node.mark or mark
    if graph.effects:
        r.tracer.here.effects.append(node)
    finals, ys, _ = scan_outputs(node)
    final = pytree.tree_unflatten([r.tracer.lift(n) for n in finals], spec)
    if not with_output:
        return final
    return final, pytree.tree_unflatten([r.tracer.lift(n) for n in ys], out_spec)


def steps_of(name: str, xs: Sequence[Node], length: int | None, mark: Any) -> int:
    sizes = {n.shape[0] if n.shape else None for n in xs} | ({int(length)} if length is not None else set())
    if len(sizes) == 1 and None not in sizes:
        return int(sizes.pop())  # type: ignore[arg-type]
    if not sizes:
        raise StructureError(
            f"scan '{name}' has no length",
            where=mark,
            expected="xs, or length=",
            found="neither",
            edit=f'ppl.scan("{name}", step, init, length=T)',
        )
    raise StructureError(
        f"the xs of scan '{name}' disagree about the number of steps",
        where=mark,
        expected="one length of the first axis",
        found=", ".join(str(list(n.shape)) for n in xs)
        + (f"; length={length}" if length is not None else ""),
        edit="cut the longer ones",
    )


def _record_step(
    r: Recorder,
    name: str,
    step: Callable[..., Any],
    carries: Sequence[Node],
    spec: Any,
    xs: Sequence[Node],
    x_spec: Any,
    counted: bool,
    steps: int,
    mark: Any,
) -> tuple[Scope, list[Node], Any, bool]:
    tracer = r.tracer
    outer = tracer.here
    inside = tuple(loop.plate for loop in outer.loops if loop.plate is not None)
    scope = Scope(outer, f"scan {name}", list(outer.loops))
    c_in = [
        make_input(f"c{i}", n.shape, n.dtype, tuple(sorted({*inside, *n.plates})), f"carry {name}")
        for i, n in enumerate(carries)
    ]
    t_in = make_input("t", (), torch.int64, (), f"element {name}")
    x_in = [
        make_input(f"x{i}", n.shape[1:], n.dtype, n.plates, f"element {name}") for i, n in enumerate(xs[1:])
    ]
    scope.inputs = [*c_in, t_in, *x_in]
    tracer.here = scope
    try:
        counter = tracer.lift(t_in)
        scope.loops.append(
            Loop(name, steps, counter=counter, elements=dict(zip([t_in, *x_in], xs, strict=True)))
        )
        carry = pytree.tree_unflatten([tracer.lift(n) for n in c_in], spec)
        x = counter if counted else pytree.tree_unflatten([tracer.lift(n) for n in x_in], x_spec)
        result = step(carry, x)
        carry_out, output, with_output = split_result(result, spec, name, mark)
        y_leaves, y_spec = pytree.tree_flatten(output if with_output else [])
        outs = [r._node(v) for v in [*pytree.tree_leaves(carry_out), *y_leaves]]
    finally:
        tracer.here = outer
    return scope, outs, y_spec, with_output


def split_result(result: Any, spec: Any, name: str, mark: Any) -> tuple[Any, Any, bool]:
    """(carry, output, whether there is an output): by the structure of init."""
    if result is not None and pytree.tree_structure(result) == spec:
        return result, None, False
    if (
        isinstance(result, tuple)
        and len(result) == 2
        and result[0] is not None
        and pytree.tree_structure(result[0]) == spec
    ):
        return result[0], result[1], True
    raise StructureError(
        f"the step of scan '{name}' returns something else than its carry",
        where=mark,
        expected=f"carry, or (carry, output); the carry is {_built(spec)}, as init is",
        found=structure(result),
        edit="end the step with: return carry" if result is None else "return carry, or return carry, output",
    )


def _close(r: Recorder, scope: Scope, outs: Sequence[Node]) -> tuple[list[Node], Graph]:
    """The body graph, and the outer operands for what it captured."""
    tracer = r.tracer
    consts = list(scope.captured)
    inputs = [*scope.inputs, *scope.captured.values()]
    if scope.effects:
        for plate in [loop.plate for loop in tracer.here.loops if loop.plate is not None]:
            consts.append(plate_index(plate))
            inputs.append(make_input(f"in {plate.name}", (), torch.int64, (plate,), f"capture {scope.label}"))
    return consts, Graph(tuple(inputs), tuple(outs), tuple(scope.effects))


def switch(r: Recorder, index: Any, branches: Sequence[Callable[..., Any]], args: Sequence[Any]) -> Any:
    """See `ppl.switch` and `ppl.cond`. A branch known from the data is simply run."""
    mark = user_mark(3)
    tracer = r.tracer
    callable_branches(branches, mark)
    if not tracer.is_traced(index):
        position = int(index)
        return branches[min(max(position, 0), len(branches) - 1)](*args)
    pred = tracer.node(index)
    if pred.shape != ():
        raise StructureError(
            "the condition of cond/switch must be one value",
            where=mark,
            expected="a scalar; inside a plate each element decides for itself",
            found=f"shape {list(pred.shape)}",
            edit="open a plate over the elements, or use torch.where(mask, a, b)",
        )
    outer, registered = tracer.here, dict(r.marks)
    recorded: list[tuple[Scope, list[Node], Any]] = []
    names = dict(registered)
    for k, branch in enumerate(branches):
        scope = Scope(outer, f"branch {k}", list(outer.loops))
        r.marks = dict(registered)
        tracer.here = scope
        try:
            leaves, spec = pytree.tree_flatten(branch(*args))
            outs = [r._node(v) for v in leaves]
        finally:
            tracer.here = outer
        names |= r.marks
        recorded.append((scope, outs, spec))
    r.marks = names
    _same_results(recorded, mark)
    captured = list(dict.fromkeys(n for scope, _, _ in recorded for n in scope.captured))
    plates = (
        [loop.plate for loop in outer.loops if loop.plate is not None]
        if any(s.effects for s, _, _ in recorded)
        else []
    )
    operands = [*captured, *(plate_index(p) for p in plates)]
    graphs = []
    for scope, outs, _ in recorded:
        inputs = [
            scope.captured.get(n) or make_input(f"u{i}", n.shape, n.dtype, n.plates, scope.label)
            for i, n in enumerate(captured)
        ]
        inputs += [make_input(f"in {p.name}", (), torch.int64, (p,), scope.label) for p in plates]
        wide = [
            make("to", o, dtype=d) if o.dtype != d else o
            for o, d in zip(outs, _dtypes(recorded), strict=True)
        ]
        graphs.append(Graph(tuple(inputs), tuple(wide), tuple(scope.effects)))
    node = switch_node(graphs, pred, operands)
    node.mark = node.mark or mark
    if any(g.effects for g in graphs):
        outer.effects.append(node)
    results = [tracer.lift(item(node, i)) for i in range(len(graphs[0].outputs))]
    return pytree.tree_unflatten(results, recorded[0][2])


def callable_branches(branches: Sequence[Any], mark: Any) -> None:
    for branch in branches:
        if not callable(branch):
            raise StructureError(
                "the branches of cond/switch must be functions",
                where=mark,
                expected="ppl.cond(pred, f, g, *args): f(*args) where pred holds, g(*args) elsewhere",
                found=structure(branch),
                edit="torch.where(pred, a, b) for values, or lambda: a",
            )


def _dtypes(recorded: Sequence[tuple[Scope, list[Node], Any]]) -> list[torch.dtype]:
    columns = zip(*[outs for _, outs, _ in recorded], strict=True)
    result = []
    for column in columns:
        dtype = column[0].dtype
        for n in column[1:]:
            dtype = torch.promote_types(dtype, n.dtype)
        result.append(dtype)
    return result


def _same_results(recorded: Sequence[tuple[Scope, list[Node], Any]], mark: Any) -> None:
    first = recorded[0]
    for _, outs, spec in recorded[1:]:
        if spec != first[2] or [o.shape for o in outs] != [o.shape for o in first[1]]:
            raise StructureError(
                "the branches return different things",
                where=mark,
                expected="the same structure and the same shapes from every branch",
                found=f"{_shapes(first[1])} from one branch, {_shapes(outs)} from another",
                edit="return tensors of equal shapes from every branch",
            )


def _built(spec: Any) -> str:
    return "one number or tensor" if spec.is_leaf() else f"a {spec.type.__name__} of {spec.num_children}"


def _shapes(outs: Sequence[Node]) -> str:
    return "nothing" if not outs else ", ".join(f"shape {list(o.shape)}" for o in outs)
