"""Source text → tree. All the syntax errors of a file are found, one an item, each with its place.

A file is cut at the left margin into items (`pieces`), and each is parsed on its own: an error in one hides nothing in
the next, and an editor reads again only what was edited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from ppl.syntax import tree
from ppl.syntax.build import CALLBACKS
from ppl.syntax.lalr import Parser, Unreadable
from ppl.syntax.limits import ITEMS, PROBLEMS, limits, too_deep, too_many
from ppl.syntax.mistakes import explain
from ppl.syntax.problems import Problem, Rejected
from ppl.syntax.tables import parser

_ITEM = re.compile(r'(import|from|def|model|guide|objective|data|infer)\b|"""')
_NAMED = re.compile(r"(?:def|model|guide|objective)\s+(\w+)")
_QUOTED = re.compile(r'"""[\s\S]*?(?:"""|\Z)|"[^"\n]*"?|\'[^\'\n]*\'?|(#[^\n]*)')


@cache
def _parser() -> Parser:
    return parser(CALLBACKS)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file as far as it could be read, and what is wrong with the rest."""

    file: tree.File
    problems: tuple[Problem, ...]
    lost: tuple[str, ...] = ()
    """The names of definitions that could not be read."""


def parse(text: str, path: str = "<text>") -> Parsed:
    """The tree of a `.ppl` file, and its syntax errors.

    >>> parsed = parse("model m():\\n    x ~ Normal(0, 1)\\n")
    >>> parsed.file.items[0].name.id, parsed.problems
    ('m', ())
    """
    text = text.replace("\r\n", "\n")
    problems = list(limits(text))
    if problems:
        return Parsed(tree.File(path), tuple(problems))
    items: list[tree.Item] = []
    lost: list[str] = []
    for count, (line, piece) in enumerate(pieces(text)):
        if count == ITEMS:
            problems.append(too_many(line))
            break
        item = _item(piece, line)
        if isinstance(item, tree.Item):
            items.append(item)
            continue
        if len(problems) < PROBLEMS:
            problems.append(item if isinstance(item, Problem) else explain(item, piece, line - 1))
        if named := _NAMED.match(piece):
            lost.append(named[1])
    return Parsed(tree.File(path, tuple(items), tuple(comments(text))), tuple(problems), tuple(lost))


@lru_cache(maxsize=1024)
def parse_expression(text: str) -> tree.Expression:
    """One expression, as the formatter writes it."""
    (item,) = parse(f"def f():\n    return {text}\n").file.items
    assert isinstance(item, tree.Function) and isinstance(item.body[0], tree.Return)
    assert item.body[0].value is not None
    return item.body[0].value


@lru_cache(maxsize=1024)
def _item(piece: str, line: int) -> tree.Item | Problem | Unreadable:
    """An item, or why it is none."""
    try:
        item: tree.Item = _parser().parse(piece, line)
    except Rejected as rejected:
        return rejected.problem
    except Unreadable as error:
        return error
    return too_deep(item) or item


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """The items of a file with their first lines: each begins at the left margin with a word that begins items."""
    quoted = _quoted_lines(text)
    begun, held = 0, list[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        if number not in quoted and (_ITEM.match(line) or (not begun and line.strip() and line[0] != "#")):
            if begun:
                yield begun, "\n".join(held) + "\n"
            begun, held = number, []
        if begun:
            held.append(line)
    if begun:
        yield begun, "\n".join(held) + "\n"


def _quoted_lines(text: str) -> set[int]:
    """The lines on which a text in quotes goes on from the line before."""
    found: set[int] = set()
    line, counted = 1, 0
    for match in _QUOTED.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        found.update(range(line + 1, line + 1 + match[0].count("\n")))
    return found


def comments(text: str) -> Iterator[tree.Comment]:
    """The comments of a file, in order."""
    line, start, counted = 1, 0, 0
    for found in _QUOTED.finditer(text):
        line += text.count("\n", counted, found.start())
        start = text.rfind("\n", 0, found.start()) + 1
        counted = found.start()
        if found[1] is not None:
            own = not text[start : found.start()].strip()
            yield tree.Comment(line, found.start() - start + 1, found[1].rstrip(), own)
