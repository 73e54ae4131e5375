"""Writing source text: nested scopes, values that know how deep they live, whole numbers as parameters.

A value is written in the outermost scope in which all that it depends on is known, so what does not change
in a loop leaves the loop by itself.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ppl.compiler.engines.native.index import Index, render, split
from ppl.compiler.native.function import FEW_ROUNDS, MANY_LOOPS

LITERAL = 64
"""Numbers up to this one stand in the text, so that LLVM can unroll and vectorise for them; greater ones are
parameters, so that data of another length need no new code."""


FEW = 8
"""Loops of fewer steps, not inside others, are not worth a vector's special functions: they are long to compile."""


VECTORS = 1 / 16
"""A function of many short loops is vectorised if long inner loops do at least this share of its work."""

DEAR = 20
"""The work of a special function, in statements."""

CALLED = "_called"
"""Ends the names of special functions that are not inlined."""


@dataclass(frozen=True, slots=True)
class Value:
    """A scalar in the text. `kind` is "f" (f64), "i" (i64) or "b" (bool); `level` the scope it lives in."""

    text: str
    kind: str
    level: int = 0
    const: float | int | bool | None = None


@dataclass
class Scope:
    """A block of text: the body of a loop or branch, or the function itself (level 0). In a `sequential` one
    there is one number at a time: a step waits for the one before, it is a branch, or there are few steps.

    work: statements of one round, those of inner loops as often as they run; long: of these, in long inner loops.
    """

    header: str
    lines: list[str] = field(default_factory=list)
    memo: dict[object, Value] = field(default_factory=dict)
    atoms: list[str] = field(default_factory=list)
    sequential: bool = False
    work: float = 0.0
    long: float = 0.0
    has_loops: bool = False


class Writer:
    """The text of one function as it grows."""

    def __init__(self) -> None:
        self.scopes = [Scope("", sequential=True)]
        self.sizes: dict[str, int] = {}  # atom → size of its range
        self.levels: dict[str, int] = {}  # atom → level
        self.numbers: dict[int, str] = {}  # greater numbers → parameter
        self.uses: set[str] = set()  # functions called
        self.short_loops = 0  # loops of few steps
        self._count = 0

    # ------------------------------------------------------------ names and numbers

    @property
    def level(self) -> int:
        return len(self.scopes) - 1

    def fresh(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count}"

    def number(self, n: int) -> str:
        return str(n) if abs(n) <= LITERAL else self.parameter(n)

    def parameter(self, n: int) -> str:
        """A number that never stands in the text."""
        if n not in self.numbers:
            self.numbers[n] = f"n{len(self.numbers)}"
        return self.numbers[n]

    def index_text(self, index: Index) -> str:
        return render(index, self.number)

    def index_level(self, index: Index) -> int:
        return max((self.levels[name] for name, _ in index.terms), default=0)

    def use(self, function: str, level: int) -> str:
        """The name of a special function: in a loop one that is inlined, and vectorised with the loop; outside,
        and where steps wait for each other, one that is fast for one number.
        """
        name = function + CALLED if self.scopes[level].sequential else function
        self.uses.add(name)
        self.scopes[level].work += DEAR
        return name

    def routine(self, name: str, sizes: Sequence[int]) -> None:
        """A routine is called, for arrays of these sizes; unless they are short, it is to be vectorised."""
        self.uses.add(name)
        if any(size > FEW_ROUNDS for size in sizes):
            self.scopes[-1].long = math.inf

    @property
    def vectorise(self) -> bool:
        """Is there something to be won by vectors? Not if it consists of many short loops."""
        whole = self.scopes[0]
        return self.short_loops <= MANY_LOOPS or whole.long > VECTORS * whole.work

    # ------------------------------------------------------------ lines and scopes

    def line(self, text: str, level: int | None = None) -> None:
        scope = self.scopes[self.level if level is None else level]
        scope.lines.append(text)
        scope.work += 1

    def let(self, text: str, kind: str, level: int) -> Value:
        """A new name for an expression, written at `level`."""
        name = self.fresh("t")
        self.line(f"{name} = {text}", level)
        return Value(name, kind, level)

    def remember(self, key: object, value: Value) -> Value:
        self.scopes[value.level].memo[key] = value
        return value

    def recall(self, key: object) -> Value | None:
        for scope in reversed(self.scopes):
            value = scope.memo.get(key)
            if value is not None:
                return value
        return None

    @contextlib.contextmanager
    def block(self, header: str, sequential: bool = False, steps: int = 0) -> Iterator[None]:
        """An indented block, put after what the scope around it holds by then; `steps` of a loop, 0 of a branch."""
        self.scopes.append(Scope(header, sequential=sequential))
        try:
            yield
        finally:
            scope = self.scopes.pop()
            for atom in scope.atoms:
                del self.levels[atom]  # its size stays known: indices remembered further out may name it
            around = self.scopes[-1]
            around.lines += [scope.header, *("    " + text for text in scope.lines or ["pass"])]
            innermost = steps > FEW_ROUNDS and not scope.has_loops and not scope.sequential
            around.work += max(steps, 1) * scope.work
            around.long += max(steps, 1) * (scope.work if innermost else scope.long)
            around.has_loops |= steps > 0 or scope.has_loops
            self.short_loops += 0 < steps <= FEW_ROUNDS

    @contextlib.contextmanager
    def loop(
        self,
        size: int,
        reverse: bool = False,
        count: str | None = None,
        sequential: bool = False,
        short: bool = False,
    ) -> Iterator[Index]:
        """A loop over range(size), or over the first `count` of it; yields its variable. One step only: no
        loop at all. `short` asks for vectors also where there are few steps.
        """
        if size == 1:
            yield Index()
            return
        name = self.fresh("j")
        n = count or self.number(size)
        steps = f"range({n} - 1, -1, -1)" if reverse else f"{'short_range' if short else 'range'}({n})"
        few = size < FEW and self.scopes[-1].sequential
        with self.block(f"for {name} in {steps}:", sequential or few, size):
            self.declare(name, size)
            yield Index.atom(name)

    def declare(self, name: str, size: int) -> None:
        """`name` is a whole number in [0, size) of the present scope."""
        self.sizes[name], self.levels[name] = size, self.level
        self.scopes[self.level].atoms.append(name)

    def atom(self, value: Value, size: int) -> Index:
        """A computed whole number in [0, size) as an index."""
        if value.const is not None:
            return Index.of(int(value.const))
        self.sizes[value.text], self.levels[value.text] = size, value.level
        if value.text not in self.scopes[value.level].atoms:
            self.scopes[value.level].atoms.append(value.text)
        return Index.atom(value.text)

    def divide(self, position: Index, step: int, size: int) -> tuple[Index, Index]:
        """(position // step, position % step), position in [0, step·size)."""
        if step == 1:
            return position, Index()
        plain = split(position, step, self.sizes)
        if plain is not None:
            return plain
        level = self.index_level(position)
        key = ("divide", position, step)
        whole = self.recall(key)
        if whole is None:
            text = f"({self.index_text(position)}) // {self.number(step)}"
            whole = self.remember(key, self.let(text, "i", level))
        quotient = self.atom(whole, size)
        rest = self.recall((key, "rest"))
        if rest is None:
            text = f"{self.index_text(position.plus(quotient.scaled(-step)))}"
            rest = self.remember((key, "rest"), self.let(text, "i", level))
        return quotient, self.atom(rest, step)

    def text(self, indent: str = "    ") -> str:
        return "\n".join(indent + line for line in self.scopes[0].lines)
