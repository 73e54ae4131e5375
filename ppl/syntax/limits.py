"""What a file may not exceed. A file from a stranger must not be able to exhaust memory, time or the stack: these are
looked at before anything else is, and are far beyond what a person writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ppl.syntax import tree
from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span

CHARACTERS = 400_000
TOKENS = 30_000
ITEMS = 1000
"""Definitions, imports and blocks."""
BRACKETS = 40
ELEMENTS = 100_000_000
"""Elements of an array, iterations of a loop."""
BITS = 256
"""Of a whole number that is computed."""
PROBLEMS = 100
"""That are reported: who has more has one."""
IMPORTS = 50
"""Files that import each other in a chain."""
LEVELS = 200
"""Expressions in expressions."""
BLOCKS = 40
"""Loops and branches in each other."""
AXES = 32
"""Of an array."""
FIRST = 20
"""Elements before the first of a loop that have statements of their own."""

_TOKEN = re.compile(r'"""[\s\S]*?(?:"""|\Z)|"[^"\n]*"?|\'[^\'\n]*\'?|#[^\n]*|\w+|[^\w\s]|\n')


def limits(text: str) -> Iterator[Problem]:
    """Problems of size, or none; the first is enough."""
    if len(text) > CHARACTERS:
        yield _problem(
            Span(1, 1, 1, 2), "this file is too long", f"{CHARACTERS:,} characters", f"{len(text):,}"
        )
        return
    depth, line, start = 0, 1, 0
    for count, found in enumerate(_TOKEN.finditer(text)):
        token = found[0]
        if count >= TOKENS:
            place = _place(line, found.start() - start)
            yield _problem(place, "this file says too much", f"{TOKENS:,} words and signs", "more")
            return
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(0, depth - 1)
        if depth > BRACKETS:
            place = _place(line, found.start() - start)
            yield _problem(place, "brackets are nested too deep", f"{BRACKETS} levels", "more")
            return
        if "\n" in token:
            line += token.count("\n")
            start = found.start() + token.rindex("\n") + 1


def too_deep(item: tree.Item) -> Problem | None:
    """The place where blocks are nested deeper than `BLOCKS`, or an item than `LEVELS`, if there is one."""
    blocks: list[tree.Node] = [item]
    for _ in range(BLOCKS + 1):
        blocks = [inner for block in blocks for inner in _blocks(block)]
    if blocks:
        return nested(blocks[0].span, BLOCKS)
    level: list[tree.Node] = [item]
    for _ in range(LEVELS):
        level = [child for node in level for child in tree.children(node)]
        if not level:
            return None
    return nested(level[0].span)


def _blocks(node: tree.Node) -> Iterator[tree.Node]:
    """The loops and branches directly inside of one, or of an item."""
    for child in tree.children(node):
        if isinstance(child, tree.For | tree.If):
            yield child
        elif isinstance(child, tree.Branch):
            yield from _blocks(child)


def nested(span: Span, most: int = LEVELS) -> Problem:
    """The problem of nesting too deep at a place."""
    return _problem(
        Span(span.line, span.column, span.line, span.column + 1),
        "this is nested too deep",
        f"{most} levels",
        "more",
    )


def too_large(span: Span, count: float) -> Problem:
    """The problem of an array or loop with more than `ELEMENTS`."""
    headline, edit = "this has too many elements", "fewer elements, or a loop over fewer"
    return Problem("resource", span, headline, f"at most {ELEMENTS:,}", f"{count:.3g}", edit)


def too_many_axes(span: Span, count: int) -> Problem:
    """The problem of an array with more than `AXES`."""
    edit = "fewer sizes, or several arrays"
    return Problem("resource", span, "this has too many axes", f"at most {AXES}", str(count), edit)


def too_many_first(span: Span, count: int) -> Problem:
    """The problem of a loop with more than `FIRST` elements before its first."""
    headline = "too many elements are given one by one before this loop"
    edit = "data for them, or a loop that begins at 0 with a condition"
    return Problem("resource", span, headline, f"at most {FIRST}", f"{count:.15g}", edit)


def too_many(line: int) -> Problem:
    """The problem of more items than `ITEMS`."""
    return _problem(Span(line, 1, line, 2), "this file defines too much", f"{ITEMS} definitions", "more")


def _place(line: int, column: int) -> Span:
    return Span(line, column + 1, line, column + 2)


def _problem(place: Span, headline: str, most: str, found: str) -> Problem:
    advice = "keep large data in a file of its own and give it with --data; name parts of large expressions"
    return Problem("resource", place, headline, expected=f"at most {most}", found=found, edit=advice)
