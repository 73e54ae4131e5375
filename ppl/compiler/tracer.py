"""Torch code → nodes: a dispatch mode over meta tensors.

A traced value is a meta tensor whose node the tracer knows. Every ATen call that touches a traced value
becomes a node; a call on
real tensors only (data, constants) simply runs. So anything computed from data alone is computed once,
branches on it are ordinary
Python, and what reaches the graph is an input. Where a Python read-out of a traced value would freeze it,
`GuardMode` refuses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ppl.compiler.aten import ATEN
from ppl.compiler.aten.substitutes import SUBSTITUTES, refuse_custom_function
from ppl.compiler.graph import Graph, Node, intern_node
from ppl.compiler.ops import constant, full, item, make, make_input, make_opaque
from ppl.compiler.read_outs import READ_OUTS, refuse_read_out
from ppl.errors import Mark, RecordingError, user_mark

_SMALL = 4096
_UNSOUND = {"as_strided", "_local_scalar_dense", "nonzero", "masked_select", "resize_", "set_"}


@dataclass(slots=True)
class Entry:
    """What the tracer knows of one tensor. `tensor` keeps it alive, so its id stays its own."""

    tensor: torch.Tensor
    node: Node
    version: int = -1
    scope: Any = None
    is_view: bool = False
    has_views: bool = False


@contextlib.contextmanager
def working_dtype(dtype: torch.dtype) -> Iterator[None]:
    """torch's default dtype inside a block: the type of Python floats in formulas."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Tracer(TorchDispatchMode):
    """Turns what torch does under it into nodes. `import_tensor(tensor)` decides how a real tensor
    enters the graph.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would wrap the dispatch function to keep torch.compile out, which imports it
        (seconds) and costs every call.
        """
        return False

    def __init__(self, import_tensor: Callable[[torch.Tensor], Node] = constant) -> None:
        super().__init__()
        self.table: dict[int, Entry] = {}
        self.imported: dict[int, Entry] = {}
        self.import_tensor = import_tensor
        self.allow_random = False
        self.identity_detach = False
        self.making = False

    # ------------------------------------------------------------ tensors and nodes

    def lift(self, node: Node) -> torch.Tensor:
        """A meta tensor that stands for `node`."""
        self.making = True
        with torch._C.DisableTorchFunction():
            tensor = torch.empty(node.type.shape, dtype=node.type.dtype, device="meta")
        self.making = False
        self.table[id(tensor)] = Entry(tensor, node, scope=self.scope())
        return tensor

    def scope(self) -> Any:
        """Where a value is made; subclasses with nested scopes override this and `enter`."""
        return None

    def enter(self, entry: Entry) -> Node:
        """The node of a traced tensor as seen from the current scope."""
        return entry.node

    def check_index(self, index: torch.Tensor, shape: Sequence[int], axis: int) -> None:
        """Refuse an index out of bounds; subclasses that know data override this."""

    def is_traced(self, value: Any) -> bool:
        return isinstance(value, torch.Tensor) and id(value) in self.table

    def node(self, tensor: torch.Tensor) -> Node:
        """The node of any tensor: traced, or real (which enters as a constant or an input)."""
        entry = self.table.get(id(tensor))
        if entry is not None:
            return self.enter(entry)
        if tensor.device.type == "meta":
            raise RecordingError(
                "a tensor without values (device 'meta') is used in the program",
                where=user_mark(),
                expected="tensors with values, or values made in this program",
                found=f"device 'meta', shape {list(tensor.shape)}",
                edit="make it with a real device, for instance torch.zeros(n)",
            )
        entry = self.imported.get(id(tensor))
        if entry is None or entry.version != tensor._version:
            entry = Entry(tensor, self._import(tensor), tensor._version)
            self.imported[id(tensor)] = entry
        return entry.node

    def _import(self, tensor: torch.Tensor) -> Node:
        if not self.is_data(tensor) and 0 < tensor.numel() <= _SMALL and not tensor.is_complex():
            first = tensor.reshape(-1)[0]
            if tensor.numel() == 1 or bool((tensor == first).all()):
                return full(first.item(), tuple(tensor.shape), self.widen(tensor.dtype))
        return self.import_tensor(tensor)

    def is_data(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is declared data, whose values must not enter the graph."""
        return False

    def widen(self, dtype: torch.dtype) -> torch.dtype:
        return dtype

    def lower(self, value: Any) -> Any:
        """Arguments with nodes in the place of tensors."""
        if isinstance(value, torch.Tensor):
            return self.node(value)
        if isinstance(value, list | tuple):
            return [self.lower(v) for v in value]
        return value

    # ------------------------------------------------------------ dispatch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.making:
            return func(*args, **kwargs)
        if not self.touches(args) and not (kwargs and self.touches(tuple(kwargs.values()))):
            if torch.Tag.nondeterministic_seeded in func.tags and not self.allow_random:
                self.refuse_random(func)
            if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "meta":
                # torch's own code makes a constant beside a traced value: it must look like one
                return self.lift(self.node(func(*args, **{**kwargs, "device": torch.device("cpu")})))
            return func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.refuse_random(func)
        if name == "_local_scalar_dense":
            raise RecordingError(
                "this call reads a random value out as a Python number, which can't be recorded",
                where=user_mark(),
                expected="the program does the same whatever values are drawn",
                found="a size, bound or fill value that is drawn, or one that belongs to one element",
                edit="x.expand(n) for torch.full((n,), x), torch.stack([a, b]) for torch.tensor([a, b])",
            )
        if name in _UNSOUND:
            raise RecordingError(
                f"'{name}' on a random value can't be recorded: its result's size or value is not known",
                where=user_mark(),
                expected="sizes that don't depend on values",
                found=f"torch's {name}",
                edit="torch.where(mask, x, 0.0) instead of boolean masks, and fixed sizes",
            )
        if func._schema.is_mutable:
            return self._mutate(func, name, args, kwargs)
        if name == "detach" and self.identity_detach:
            return self.lift(self.node(args[0]))
        nodes = [self.lower(a) for a in args]
        keywords = {k: self.lower(v) for k, v in kwargs.items()} if kwargs else kwargs
        out = self.apply(func, f"{name}.{func._overloadname}", nodes, keywords)
        return self._wrap(out, args, func)

    def touches(self, args: Sequence[Any]) -> bool:
        table = self.table
        for a in args:
            if isinstance(a, torch.Tensor):
                if id(a) in table:
                    return True
            elif isinstance(a, list | tuple) and self.touches(a):
                return True
        return False

    def apply(self, func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The node (or nodes) of one ATen call."""
        handler = ATEN.get(name)
        kwargs = {
            k: v
            for k, v in kwargs.items()
            if k not in ("device", "layout", "pin_memory", "non_blocking", "memory_format")
        }
        out = handler(*args, **kwargs) if handler is not None else self._opaque(func, args, kwargs)
        if isinstance(out, Node) and out.outs is not None:
            out = tuple(item(out, i) for i in range(len(out.outs)))
        for node in out if isinstance(out, list | tuple) else (out,):
            if isinstance(node, Node) and node.mark is None:
                node.mark = user_mark(3)
        return out

    def _opaque(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Node:
        try:
            return make_opaque(func, args, kwargs)
        except (NotImplementedError, RuntimeError) as error:
            if "meta" not in str(error).lower():
                raise
            name = func._schema.name.partition("::")[2]
            raise RecordingError(
                f"'{name}' on a random value can't be recorded: its result's size or value is not known",
                where=user_mark(),
                expected="sizes that don't depend on values",
                found=f"torch's {name}",
                edit="a function whose result has one size, for instance torch.sort or F.one_hot(x, num_classes=K)",
            ) from error

    def _wrap(self, out: Any, args: Sequence[Any], func: Any) -> Any:
        if isinstance(out, list | tuple):
            return (
                type(out)(self._wrap(o, args, func) for o in out)
                if isinstance(out, tuple)
                else [self._wrap(o, args, func) for o in out]
            )
        if out is None:
            return None
        if not isinstance(out, Node):
            out = full(out, (), torch.get_default_dtype())
        tensor = self.lift(out)
        if (
            func._schema.returns
            and func._schema.returns[0].alias_info is not None
            and isinstance(args[0], torch.Tensor)
        ):
            source = self.table.get(id(args[0]))
            if source is not None:
                source.has_views = True
                self.table[id(tensor)].is_view = True
        return tensor

    def _mutate(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """An in-place call on a plain traced tensor rebinds it; anything that could alias is refused."""
        target = args[0] if args else next(iter(kwargs.values()))
        entry = self.table.get(id(target))
        if entry is None or entry.is_view or entry.has_views or not name.endswith("_"):
            raise RecordingError(
                "changing a tensor in place can't be recorded",
                where=user_mark(),
                expected="values are never changed once made",
                found=f"torch's {name}, with a value that is random or belongs to one element",
                edit="make a new tensor: total = total + x, torch.stack([a, b]), torch.where(mask, a, b)",
            )
        if name == "copy_":
            new = (
                self.node(args[1])
                if isinstance(args[1], torch.Tensor)
                else full(args[1], (), entry.node.dtype)
            )
            new = make("expand", new, shape=entry.node.shape) if new.shape != entry.node.shape else new
        elif name in ("zero_", "fill_"):
            new = full(args[1] if len(args) > 1 else 0, entry.node.shape, entry.node.dtype)
        else:
            pure = getattr(getattr(torch.ops.aten, name[:-1]), func._overloadname)
            new = self.apply(
                pure, f"{name[:-1]}.{func._overloadname}", [self.lower(a) for a in args], dict(kwargs)
            )
        if new.shape != entry.node.shape:
            func(*args, **kwargs)  # squeeze_ and the like: the tensor that stands for the node changes too
        entry.node = new if new.dtype == entry.node.dtype else make("to", new, dtype=entry.node.dtype)
        entry.scope = self.scope()
        return target

    def refuse_random(self, func: Any) -> None:
        raise RecordingError(
            "unnamed randomness: this draws a value that the program doesn't name",
            where=user_mark(),
            expected="every random choice is a site",
            found=f"torch's {func._schema.name.partition('::')[2]}",
            edit='x = ppl.sample("x", Normal(0.0, 1.0))',
        )


class GuardMode(TorchFunctionMode):
    """Refuses the Python read-outs that would freeze a traced value, and hands dynamic indexing to the
    tracer.
    """

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if (
            name in READ_OUTS
            and args
            and self.tracer.is_traced(args[0])
            and not (name == "__format__" and not args[1])
        ):
            refuse_read_out(name, self.tracer.table[id(args[0])].node)
        if self.tracer.touches(args):
            refuse_custom_function()
            substitute = SUBSTITUTES.get(func)
            if substitute is not None:
                return substitute(*args, **kwargs)
        if name == "new_tensor" and self.tracer.is_traced(args[0]):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs})
        if kwargs.get("device") is not None and torch.device(kwargs["device"]).type == "meta":
            kwargs = {
                **kwargs,
                "device": torch.device("cpu"),
            }  # torch.tensor(1.0, device="meta") would lose its value
        if name == "__getitem__":
            return getitem(self.tracer, args[0], args[1], func)
        if (
            name in ("tensor", "as_tensor", "asarray")
            and isinstance(args[0], list | tuple)
            and self._holds(args[0])
        ):
            raise RecordingError(
                f"torch.{name} of a list of random values can't be recorded: it would copy their numbers",
                where=user_mark(),
                expected="a tensor built of tensors",
                found="a list with values of the program",
                edit="torch.stack([a, b]), with torch.tensor(1.0) for plain numbers",
            )
        if name == "__setitem__" and self._holds(args):
            raise RecordingError(
                "writing into a tensor can't be recorded",
                where=user_mark(),
                expected="values are never changed once made",
                found="x[…] = … with a value that is random or belongs to one element",
                edit="build it whole: torch.stack([a, b]), torch.cat((x[:1], a)), torch.where(mask, a, x)",
            )
        return func(*args, **kwargs)

    def _holds(self, values: Any) -> bool:
        return any(self.tracer.is_traced(v) for v in pytree.tree_leaves(values))


def getitem(tracer: Tracer, x: torch.Tensor, index: Any, default: Callable[..., Any]) -> Any:
    """`x[index]` where the index may hold traced integers, one axis at a time; other parts go to torch."""
    parts = tuple(
        torch.tensor(p) if isinstance(p, list) else p
        for p in (index if isinstance(index, tuple) else (index,))
    )
    if not any(tracer.is_traced(p) for p in parts) and not tracer.is_traced(x):
        return default(x, index)
    if any(isinstance(p, torch.Tensor) and p.dtype in (torch.bool, torch.uint8) for p in parts):
        masks = [p for p in parts if isinstance(p, torch.Tensor) and p.dtype in (torch.bool, torch.uint8)]
        if any(tracer.is_traced(m) for m in masks):
            raise RecordingError(
                "indexing by a random boolean mask can't be recorded: the size of the result is not known",
                where=user_mark(),
                expected="an index whose result has one size",
                found="x[mask], mask computed from a value of the program",
                edit="torch.where(mask, x, 0.0)",
            )
        parts = tuple(
            q
            for p in parts
            for q in (
                p.nonzero(as_tuple=True) if isinstance(p, torch.Tensor) and p.dtype is torch.bool else (p,)
            )
        )
    _check_indices(tracer, x, parts)
    scalars = [isinstance(p, torch.Tensor) and p.dim() == 0 for p in parts]
    vectors = [isinstance(p, torch.Tensor) and p.dim() > 0 for p in parts]
    if not any(scalars) or any(vectors):
        # beside index vectors a single index broadcasts, but torch would read it out
        parts = tuple(p.reshape(1) if s else p for s, p in zip(scalars, parts, strict=True))
        return default(x, parts if len(parts) != 1 or isinstance(index, tuple) else parts[0])
    consumed = sum(1 for p in parts if p is not None and p is not Ellipsis)
    if Ellipsis in [p for p in parts if not isinstance(p, torch.Tensor)]:
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        parts = (*parts[:at], *(slice(None),) * (x.dim() - consumed), *parts[at + 1 :])
    if consumed > x.dim():
        raise IndexError(f"too many indices ({consumed}) for a tensor of {x.dim()} dimensions")
    axis = 0
    for p in parts:  # each traced or 0-d integer removes one axis
        if isinstance(p, torch.Tensor):
            x = tracer.lift(tracer_take(tracer, x, axis, p))
        elif isinstance(p, int):
            x = torch.select(x, axis, p)
        elif p is None:
            x = x.unsqueeze(axis)
            axis += 1
        else:
            x = torch.ops.aten.slice.Tensor(x, axis, p.start, p.stop, p.step or 1)
            axis += 1
    return x


def _check_indices(tracer: Tracer, x: torch.Tensor, parts: Sequence[Any]) -> None:
    """Refuse index tensors that are not whole numbers, or whose known numbers are out of bounds."""
    axis = 0
    for i, p in enumerate(parts):
        if p is Ellipsis:
            axis = x.dim() - sum(1 for q in parts[i + 1 :] if q is not None)
            continue
        if isinstance(p, torch.Tensor) and p.is_floating_point():
            raise RecordingError(
                "an index must be a whole number",
                where=user_mark(),
                expected="an integer tensor",
                found=f"dtype {str(p.dtype).removeprefix('torch.')}",
                edit="index.long(), or data of whole numbers",
            )
        if isinstance(p, torch.Tensor) and p.dim() and p.dtype is not torch.bool and axis < x.dim():
            tracer.check_index(p, x.shape, axis)
        axis += p is not None


def tracer_take(tracer: Tracer, x: torch.Tensor, axis: int, index: torch.Tensor) -> Node:
    node, at = tracer.node(x), tracer.node(index)
    taken = getattr(tracer, "take", None)
    out = taken(node, axis, at) if taken is not None else make("take", node, at, dim=axis - len(node.shape))
    if out.mark is None:
        out.mark = user_mark(3)
    return out


def trace(function: Callable[..., Any], inputs: Sequence[Node]) -> Graph:
    """Record `function` on stand-ins for `inputs`: a graph of its (one or more) tensor results."""
    tracer = Tracer()
    with torch.no_grad(), tracer, GuardMode(tracer):
        out = function(*[tracer.lift(n) for n in inputs])
        outs = out if isinstance(out, tuple | list) else (out,)
        nodes = tuple(tracer.node(o if isinstance(o, torch.Tensor) else torch.tensor(o)) for o in outs)
    return Graph(tuple(inputs), nodes)


__all__ = ["Entry", "GuardMode", "Mark", "Tracer", "getitem", "intern_node", "make_input", "trace"]
