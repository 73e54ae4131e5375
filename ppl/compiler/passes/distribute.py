"""Loop distribution: what takes no part in a scan's recurrence leaves the scan, and runs for all steps at once.

A scan c' = f(c, x), y = g(c, x) runs its steps one after the other. Most of what a step computes need not: it
doesn't depend on the carry at all, or nothing carried depends on it. Such values become values over a plate of steps,
which engines run in parallel or as vectors; a scan of the recurrence alone remains (Allen & Kennedy 2002, "Optimizing
Compilers for Modern Architectures", §6.2). Each carry is

- *held*, if no step changes it: a constant;
- *early*, if no recurrence leads to it: a latent random walk's last state, a lag of the data. What entered each step is
  then the vector of what left the step before;
- *recurrent*, if it depends on itself: it stays in the scan;
- *late*, if it follows from recurrent ones but none of them from it;
- a *total*, if each step only adds to it, and only the end is asked for: a sum over the plate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ppl.compiler.graph import Graph, Node, Plate, substitute, topological
from ppl.compiler.ops import (
    Scan,
    item,
    make,
    make_input,
    plate_slice,
    plate_stack,
    plate_sum,
    scan,
    sliced,
    stacked,
)
from ppl.compiler.ops.batching import reshape, volume
from ppl.compiler.ops.effects import EFFECTS
from ppl.compiler.ops.pointwise import add, sub

LIMIT = 1 << 17
"""Numbers that may be stored, over all steps, to take one value out of a scan."""

_DEPTH = 1000  # deeper than the plates of a program, so that steps lie next to each other
_VIEWS = ("reshape", "expand", "permute", "slice", "select", "flip", "to")
_STAYS = ("opaque", "vmapped", "switch", "draw", *EFFECTS)


def distribute(graph: Graph) -> Graph:
    """The same function, its scans reduced to their recurrences; `graph` itself if there is nothing to gain.

    >>> import torch
    >>> from ppl.compiler.ops import full, scan_outputs
    >>> x = make_input("x", (9,), torch.float64)
    >>> c, e = (make_input(n, (), torch.float64) for n in "ce")
    >>> step = Graph((c, e), (e, make("exp", make("sub", e, c))))  # carries x[t] to the next step
    >>> _, (y,), _ = scan_outputs(scan(step, [full(0.0, (), torch.float64)], [x], [], 9))
    >>> print(distribute(Graph((x,), (y,))))
    graph(%x.0: f64[9]):
      %0: f64[]@steps0:9 = plate_slice(%x.0, plate=steps0:9)
      %1: f64[] = full(value=0.0)
      %2: f64[1] = reshape(%1, shape=(1,))
      %3: f64[8] = slice(%x.0, dim=-1, start=0, step=1, stop=8)
      %4: f64[9] = cat(%2, %3, dim=-1)
      %5: f64[]@steps0:9 = plate_slice(%4, plate=steps0:9)
      %6: f64[]@steps0:9 = sub(%0, %5)
      %7: f64[]@steps0:9 = exp(%6)
      %8: f64[9] = plate_stack(%7, plate=steps0:9)
      return %8
    """
    order = graph.nodes()
    scans = [n for n in order if n.op == "scan"]
    if graph.effects or not scans:
        return graph
    used: dict[Node, set[int]] = {n: set() for n in scans}
    for node in order:
        if node.op == "item" and node.nodes[0] in used:
            used[node.nodes[0]].add(node.attr("index"))
    parts: dict[Node, dict[int, Node]] = {}

    def visit(node: Node, args: tuple[object, ...]) -> Node | None:
        if node.op == "scan":
            nodes = [a for a in args if isinstance(a, Node)]
            found = _distributed(Scan.of(node), nodes, used[node])
            if found is not None:
                parts[node] = found
                return nodes[0]  # nobody reads it: only its items are read
        elif node.op == "item" and node.nodes[0] in parts:
            return parts[node.nodes[0]][node.attr("index")]
        return None

    memo: dict[Node, Node] = {n: n for n in graph.inputs}
    outputs = tuple(substitute(graph.outputs, memo, visit))
    return Graph(graph.inputs, outputs, (), graph.names) if parts else graph


def _distributed(s: Scan, args: Sequence[Node], used: set[int]) -> dict[int, Node] | None:
    """The used outputs of a scan on other operands; None where nothing would leave it."""
    if s.length == 0 or any(n.op in _STAYS for n in s.body.nodes()):
        return None
    roles = _Roles(s, used)
    return _Distribution(s, roles, args, used).outputs()


class _Roles:
    """What each carry of a scan is, as bit sets of carry numbers; which nodes of its body depend on which carries."""

    def __init__(self, s: Scan, used: set[int]) -> None:
        self.body, self.k = s.body, len(s.init)
        self.nodes = s.body.nodes()
        self.depends: dict[Node, int] = {}
        carry = {n: i for i, n in enumerate(s.body.inputs[: self.k])}
        for node in self.nodes:
            bits = 1 << carry[node] if node in carry else 0
            for a in node.nodes:
                bits |= self.depends[a]
            self.depends[node] = bits
        self.held = [i for i in range(self.k) if s.body.outputs[i] is s.body.inputs[i]]
        self.terms = self._totals(s, used)
        self._classify()

    def _totals(self, s: Scan, used: set[int]) -> dict[int, tuple[int, Node]]:
        """Total → the sign and the term that each step adds."""
        uses: dict[Node, int] = {}
        for node in self.nodes:
            for a in node.nodes:
                uses[a] = uses.get(a, 0) + 1
        for out in s.body.outputs:
            uses[out] = uses.get(out, 0) + 1
        first_entered = len(s.body.outputs)
        found: dict[int, tuple[int, Node]] = {}
        for i in range(self.k):
            c, out = s.body.inputs[i], s.body.outputs[i]
            alone = uses.get(c) == 1 and uses[out] == 1 and first_entered + i not in used
            if not (alone and out.op in ("add", "sub") and out.is_float and c in out.nodes):
                continue
            left, right = out.args
            if out.op == "sub" and right is c:
                continue
            sign, term = (1, left) if right is c else (1 if out.op == "add" else -1, right)
            if isinstance(term, Node) and term is not c and c.shape == out.shape:
                found[i] = (sign, term)
        return found

    def _classify(self) -> None:
        ignored = sum(1 << i for i in (*self.held, *self.terms))
        self.needs = [self.depends[out] & ~ignored for out in self.body.outputs[: self.k]]
        reach = list(self.needs)
        for j in range(self.k):  # Warshall's closure, on bit sets
            for i in range(self.k):
                if reach[i] >> j & 1:
                    reach[i] |= reach[j]
        moving = [i for i in range(self.k) if not ignored >> i & 1]
        cyclic = sum(1 << i for i in moving if reach[i] >> i & 1)
        feeds = 0
        for i in moving:
            if cyclic >> i & 1:
                feeds |= reach[i]
        core = [i for i in moving if cyclic >> i & 1 or (reach[i] & cyclic and feeds >> i & 1)]
        self.core, self.core_bits = core, sum(1 << i for i in core)
        rest = [i for i in moving if i not in core]
        order = sorted(
            rest, key=lambda i: (reach[i].bit_count(), i)
        )  # a carry reaches all that those it needs reach
        self.early = [i for i in order if not reach[i] & self.core_bits]
        self.late = [i for i in order if reach[i] & self.core_bits]
        self.late_bits = sum(1 << i for i in (*self.late, *self.terms))

    def in_core(self, node: Node) -> bool:
        return bool(self.depends[node] & self.core_bits)

    def is_early(self, node: Node) -> bool:
        return not self.depends[node] & (self.core_bits | self.late_bits)


class _Distribution:
    """One scan taken apart. `memo` maps nodes of the body to nodes over the plate of steps."""

    def __init__(self, s: Scan, roles: _Roles, args: Sequence[Node], used: set[int]) -> None:
        k, m = len(s.init), len(s.xs)
        self.s, self.roles, self.used = s, roles, used
        self.init, xs, consts = args[:k], args[k : k + m], args[k + m :]
        self.around = {p for a in args for p in a.plates}
        depth = max((p.depth + 1 for p in self.around), default=0)
        level = max(0, depth - _DEPTH)
        self.plate = Plate(_DEPTH + level, f"steps{level}", s.length)
        self.carries, self.moved = s.body.inputs[:k], False
        self.memo: dict[Node, Node] = {}
        for inner, x in zip(s.body.inputs[k : k + m], xs, strict=True):
            self.memo[inner] = plate_slice(x, self.plate)
        self.memo |= dict(zip(s.body.inputs[k + m :], consts, strict=True))
        self.leaves = set(s.body.inputs)
        self.final: dict[int, Node] = {}
        self.entered: dict[int, Node] = {}
        self.left: dict[int, Node] = {}  # of early and late carries: what left each step

    def outputs(self) -> dict[int, Node] | None:
        roles, body, k = self.roles, self.s.body, len(self.init)
        for i in roles.held:
            self.memo[self.carries[i]] = self.init[i]
        for i in roles.early:
            self._shift(i)
        wanted = [body.outputs[j] for j in range(k, len(body.outputs)) if j in self.used]
        late = [*wanted, *(t for _, t in roles.terms.values()), *(body.outputs[i] for i in roles.late)]
        kept = self._core(late)
        self.moved |= bool(roles.held or roles.early or roles.late or roles.terms)
        self.moved |= any(self._is_work(n) for n in topological(late, kept) if n not in kept)
        if not self.moved:
            return None
        for i in roles.late:
            self._shift(i)
        found = {j: self._stack(body.outputs[j]) for j in range(k, len(body.outputs)) if j in self.used}
        for i in range(k):
            if i in self.used:
                found[i] = self._final(i)
            if len(body.outputs) + i in self.used:
                found[len(body.outputs) + i] = self._entered(i)
        return found

    def _is_work(self, node: Node) -> bool:
        return bool(node.nodes) and node.op not in _VIEWS and node not in self.leaves

    # ------------------------------------------------------------ over the plate

    def _value(self, node: Node) -> Node:
        return substitute([node], self.memo)[0]

    def _stack(self, node: Node) -> Node:
        return plate_stack(self._value(node), self.plate)

    def _shift(self, i: int) -> None:
        """What enters a step is what left the step before."""
        self.left[i] = self._stack(self.s.body.outputs[i])
        self.entered[i] = shifted(self.init[i], self.left[i], self.s.reverse)
        self.memo[self.carries[i]] = plate_slice(self.entered[i], self.plate)

    def _final(self, i: int) -> Node:
        if i in self.final:
            return self.final[i]
        if i in self.roles.held:
            return self.init[i]
        if i in self.roles.terms:
            sign, term = self.roles.terms[i]
            total = plate_sum(self._value(term), self.plate)
            out = add(self.init[i], total) if sign > 0 else sub(self.init[i], total)
            assert isinstance(out, Node)
            return out if out.shape == self.init[i].shape else make("expand", out, shape=self.init[i].shape)
        last = self.left[i]
        return make("select", last, dim=-len(last.shape), index=0 if self.s.reverse else self.s.length - 1)

    def _entered(self, i: int) -> Node:
        return self._copies(self.init[i]) if i in self.roles.held else self.entered[i]

    def _copies(self, x: Node) -> Node:
        return make("expand", reshape(x, (1, *x.shape)), shape=(self.s.length, *x.shape))

    # ------------------------------------------------------------ the recurrence

    def _core(self, late: Sequence[Node]) -> set[Node]:
        """Run the recurrence; returns the nodes of the body that it computes and hands out, or takes in."""
        roles, body = self.roles, self.s.body
        if not roles.core:
            return set()
        outs = [body.outputs[i] for i in roles.core]
        taken = self._taken(outs)
        inside = set(topological(outs, taken))
        given = self._given(late, inside)
        self.moved |= any(self._is_work(n) for n in taken)
        xs: list[tuple[Node, Node]] = []
        consts: list[tuple[Node, Node]] = []
        memo: dict[Node, Node] = {}
        for n in taken:
            loops = self._loops(n)
            value = stacked(self._value(n), loops)
            in_steps = self.plate in value.plates
            name = f"x{len(xs)}" if in_steps else f"k{len(consts)}"
            role = "element" if in_steps else "const"
            plates = tuple(p for p in n.plates if p in self.around)
            whole = make_input(name, value.shape, n.dtype, plates, role)
            memo[n] = sliced(whole, loops)
            (xs if in_steps else consts).append(
                (whole, plate_stack(value, self.plate) if in_steps else value)
            )
        own = [self.carries[i] for i in roles.core]
        memo |= dict(zip(own, own, strict=True))
        inputs = (*own, *(n for n, _ in xs), *(n for n, _ in consts))
        handed = [stacked(x, self._loops(n)) for n, x in zip(given, substitute(given, memo), strict=True)]
        new = Graph(inputs, (*substitute(outs, memo), *handed))
        init = [self.init[i] for i in roles.core]
        s = self.s
        node = scan(new, init, [x for _, x in xs], [c for _, c in consts], s.length, s.reverse, s.name)
        n_core, total = len(roles.core), len(new.outputs)
        for slot, i in enumerate(roles.core):
            self.final[i] = item(node, slot)
            self.entered[i] = item(node, total + slot)
            self.memo[self.carries[i]] = plate_slice(self.entered[i], self.plate)
        for slot, n in enumerate(given):
            self.memo[n] = sliced(plate_slice(item(node, n_core + slot), self.plate), self._loops(n))
        return {*taken, *given}

    def _loops(self, node: Node) -> list[Plate]:
        """The plates opened in a step that a value of it varies over."""
        return sorted(p for p in node.plates if p not in self.around)

    def _taken(self, outs: Sequence[Node]) -> list[Node]:
        """What the recurrence reads: values that depend on no recurrence. Views are taken inside, and what would be
        large to store.
        """

        def outside(node: Node) -> bool:
            return not self.roles.in_core(node) and (node in self.leaves or self._may_store(node))

        return self._nearest(outs, outside)

    def _given(self, late: Sequence[Node], inside: set[Node]) -> list[Node]:
        """Values of the recurrence that late ones read, and need not compute again."""
        return self._nearest(late, lambda node: node in inside and self._may_store(node))

    def _nearest(self, roots: Sequence[Node], wanted: Callable[[Node], bool]) -> list[Node]:
        """The wanted nodes that `roots` lead to without passing another, in the body's order."""
        stack, seen, found = list(roots), set(), set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if wanted(node):
                found.add(node)
            else:
                stack += node.nodes
        return [n for n in self.roles.nodes if n in found]

    def _may_store(self, node: Node) -> bool:
        if not node.nodes or node.op in _VIEWS or node.outs is not None:
            return False
        size = math.prod(node.shape) * volume(node.plates)
        return size <= 1 or size * self.s.length <= LIMIT


def shifted(first: Node, left: Node, reverse: bool = False) -> Node:
    """What enters each step: `first`, then what left the step before. `left` is `[steps, …]`."""
    steps, dim = left.shape[0], -len(left.shape)
    head = reshape(first, (1, *first.shape))
    if steps == 1:
        return head
    start, stop = (1, steps) if reverse else (0, steps - 1)
    rest = make("slice", left, dim=dim, start=start, stop=stop, step=1)
    return make("cat", *((rest, head) if reverse else (head, rest)), dim=dim)


__all__ = ["distribute"]
