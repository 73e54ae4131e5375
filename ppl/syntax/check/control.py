"""Loops and branches: what they run over, which names leave them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ppl.syntax import tree
from ppl.syntax.blocks import given_names, statements, targets
from ppl.syntax.check.intervals import least
from ppl.syntax.check.near import near
from ppl.syntax.check.scope import Binding
from ppl.syntax.check.state import State
from ppl.syntax.families import families
from ppl.syntax.format import expression_text, target_text
from ppl.syntax.limits import ELEMENTS, too_large
from ppl.syntax.loops import Loop
from ppl.syntax.values import ANY, Interval, Mismatch, Value, broadcast, size_of


class Control(State):
    """The part of `Body` that is about statements with statements inside."""

    @abstractmethod
    def block(self, body: Sequence[tree.Statement]) -> None: ...

    def _for(self, s: tree.For) -> None:
        loop = self.structure.of(s)
        self._domain(loop)
        index = s.index
        if any(o.statement.index.id == index.id for o in self.scope.open):
            self._problem(
                "name",
                index.span,
                f"`{index.id}` is the index of a loop around this one",
                edit=f"{index.id}2",
            )
        elif index.id in self.scope.names:
            self._problem("name", index.span, f"`{index.id}` has a value above, and would be an index from here on",
                          edit="another name for the index")  # fmt: skip
        before = self._bound((*given_names(s.body), index.id))
        guards = self.scope.guards
        if loop.begins_later:
            self._from(loop)
        self.scope.guards = {**guards, index.id: loop.begin or 0}
        for name in loop.elements:
            self.scope.names.pop(name, None)
        self.scope.names[index.id] = Binding("index", Value("int", Interval(0.0)), index.span, used=True)
        self.scope.open.append(loop)
        self.block(s.body)
        self.scope.open.pop()
        self.scope.guards = guards
        self._carried(loop)
        for name, binding in before.items():
            kept = binding is not None or name in loop.elements
            if not kept:
                self.scope.left[name] = index.id
            if name == index.id or not kept or name not in self.scope.names:
                self._restore(name, binding)

    def _bound(self, names: Iterable[str]) -> dict[str, Binding | None]:
        """What names are bound to, for a block that may bind them anew."""
        return {name: self.scope.names.get(name) for name in names}

    def _restore(self, name: str, binding: Binding | None) -> None:
        if binding is not None:
            self.scope.names[name] = binding
        else:
            self.scope.names.pop(name, None)

    def _carried(self, loop: Loop) -> None:
        """A chain of vectors: what stands before the first element has their size, which has to be known."""
        for s in loop.statement.body:
            if not isinstance(s, tree.Sample) or s.type is not None or s.target.name.id not in loop.lags:
                continue
            name, law = s.target.name.id, s.distribution
            family = families().get(expression_text(law.function)) if isinstance(law, tree.Call) else None
            found = self.scope.names.get(name)
            shape = found.value.shape if found is not None else None
            vectors = family is not None and family.event_dim > 0
            if vectors and (shape is None or None in shape) and (name, 1) not in loop.before:
                self._problem("shape", s.target.span, f"the loop carries `{name}` on, and the size of an element is not known",
                              "a type, or a value before the first",
                              edit=f"{target_text(s.target)}: real[K] ~ …, or above the loop: {name}[-1] = zeros(K)")  # fmt: skip

    def _domain(self, loop: Loop) -> None:
        domain = loop.statement.domain
        if (
            isinstance(domain, tree.Call)
            and isinstance(domain.function, tree.Name)
            and domain.function.id == "range"
        ):
            parts = domain.arguments
            if not 1 <= len(parts) <= 2 or domain.keywords:
                self._problem(
                    "type",
                    domain.span,
                    "range takes one or two whole numbers",
                    "range(n) or range(start, stop)",
                    expression_text(domain),
                    f"range({', '.join(expression_text(p) for p in parts[:2]) or 'N'})",
                )
            for part in parts:
                self._whole(part)
            return
        if self._unbound(domain):
            return
        value = self.expressions.of(domain)
        self._not_too_long(loop, value)
        if not value.is_number or not value.shape:
            self._must_be_whole(domain, value)
        else:
            sizes = value.shape[0]
            size = str(sizes) if sizes is not None else f"size({expression_text(domain)})"
            self._problem("type", domain.span, f"a loop runs over a size, and this is {value}", "a dim, or a whole number",
                          str(value), f"for {loop.statement.index.id} in {size}:")  # fmt: skip

    def _not_too_long(self, loop: Loop, value: Value) -> None:
        """Refuse loops whose written-out sizes are beyond what memory holds."""
        if value.kind != "int" or value.interval.low != value.interval.high:
            return
        total = value.interval.low
        for outer in self.scope.open:
            size = size_of(outer.stop)
            total *= size if isinstance(size, int) else 1
        if total > ELEMENTS:
            self.report(too_large(loop.statement.domain.span, total))

    def _unbound(self, domain: tree.Expression) -> bool:
        """A loop over a size that nothing gives; said once."""
        scope = self.scope
        if not isinstance(domain, tree.Name) or domain.id in scope.names or domain.id in scope.outside:
            return False
        name = domain.id
        if name in scope.given or name in scope.left or near(name, scope.names):
            return False
        if name not in scope.reported:
            scope.reported.add(name)
            headline = f"nothing says what the size `{name}` is"
            edit = f"{name}: int, or an array of that size, among the arguments: x: real[{name}]"
            self._problem("name", domain.span, headline, "a dim, or a whole number", f"`{name}`", edit)
        return True

    def _whole(self, e: tree.Expression) -> None:
        self._must_be_whole(e, self.expressions.of(e))

    def _must_be_whole(self, e: tree.Expression, value: Value) -> None:
        if value.is_number and value.kind != "int":
            self._problem(
                "type", e.span, f"a loop runs over a whole number, and this is {value}", "int", str(value),
                f"{e.id}: int" if isinstance(e, tree.Name) else "a dim, or a whole number",
            )  # fmt: skip
        elif not value.is_number and value.kind != "any":
            self._problem(
                "type", e.span, f"a loop runs over a size, and this is {value}", "a dim, or a whole number",
                str(value), "for i in N:",
            )  # fmt: skip

    def _from(self, loop: Loop) -> None:
        """Elements of a loop that doesn't begin at 0: those before it have to be somewhere, or `z[1]` below the
        loop, or in the result, would be what the loop calls z[2].
        """
        made = {t.name.id: s for s in statements(loop.statement.body) for t in targets(s)}
        index = loop.statement.index
        start = expression_text(loop.start) if loop.start is not None else str(loop.begin)
        domain = f"range({start}, {expression_text(loop.stop)})"
        for name in loop.elements:
            if name in loop.statement.firsts:
                continue
            by = made[name]
            shown = isinstance(by, tree.Sample) or (
                isinstance(by, tree.Keep) and by.keyword == "deterministic"
            )
            if not shown and name not in loop.lags and not self.structure.reads_outside(name, loop):
                continue
            if isinstance(by, tree.Sample) and name in self.parameters:
                edit = f"observe seen[{index.id}] = {name}[{index.id}] ~ …, which leaves those before {start} out"
            elif loop.begin is not None:
                word = "deterministic " if isinstance(by, tree.Keep) else ""
                edit = f"{word}{name}[0] {'~' if isinstance(by, tree.Sample) else '='} … above `for {index.id} in …`"
            else:
                edit = (
                    f"for {index.id} in {expression_text(loop.stop)}:, and in it what there is before {start}"
                )
            self._problem("structure", index.span, f"the loop begins at {start}, and `{name}[0]` has no value",
                          f"a statement for {name}[0] above the loop", f"`for {index.id} in {domain}`",
                          edit=edit)  # fmt: skip

    def _if(self, s: tree.If) -> None:
        outcomes: list[dict[str, Binding]] = []
        self.in_branch += 1
        guards = self.scope.guards
        negated = guards
        for branch in s.branches:
            self.expressions.truth(branch.test)
            self.scope.guards = least(branch.test, True, negated)
            negated = least(branch.test, False, negated)
            outcomes.append(self._outcome(branch.body))
        self.scope.guards = negated
        outcomes.append(self._outcome(s.otherwise))
        self.scope.guards = guards
        self.in_branch -= 1
        self.scope.names |= self._together(outcomes)

    def _outcome(self, body: Sequence[tree.Statement]) -> dict[str, Binding]:
        """The names that a branch gives values to; they are as before it again."""
        before = self._bound(given_names(body))
        self.block(body)
        result = {name: self.scope.names[name] for name in before if name in self.scope.names}
        for name, binding in before.items():
            self._restore(name, binding)
        return result

    def _together(self, outcomes: Sequence[dict[str, Binding]]) -> dict[str, Binding]:
        """The names that branches give and that all of them leave with a value, with one that covers each."""
        result = {}
        given: dict[str, list[Binding]] = {}
        for name, binding in (pair for outcome in outcomes for pair in outcome.items()):
            given.setdefault(name, []).append(binding)
        for name, found in given.items():
            if len(found) < len(outcomes):
                if name not in self.scope.names:
                    self.scope.partial.add(name)
                    continue
                found.insert(len(found) if name in outcomes[0] else 0, self.scope.names[name])
            first = found[0]
            for other in found[1:]:
                a, b = first.value, other.value
                if a.is_number and b.is_number:
                    shape = broadcast([a.shape, b.shape])
                    wide = None if isinstance(shape, Mismatch) else shape
                    kind = a.kind if a.kind == b.kind else "real"
                    first = replace(
                        first,
                        value=Value(
                            kind,
                            a.interval.hull(b.interval),
                            wide,
                            a.structure if a.structure == b.structure else "",
                        ),
                    )
                elif a != b:
                    first = replace(first, value=ANY)
            first.used = any(b.used for b in found)
            result[name] = first
        return result
