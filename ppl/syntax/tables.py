"""The parser's tables, computed from `grammar.lark` by Lark once and kept beside it as JSON: checking a file needs the tables
alone.

`python -m ppl.syntax.tables` writes them anew after the grammar was changed; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppl.syntax.lalr import Callback, Parser, Rule

_GRAMMAR = Path(__file__).parent / "grammar.lark"
_TABLES = Path(__file__).parent / "grammar.json"


def parser(callbacks: Mapping[str, Callback]) -> Parser:
    """The parser of items, with a callback for every rule whose name doesn't begin with `_`."""
    return from_tables(json.loads(_TABLES.read_text(encoding="utf-8")), callbacks)


def from_tables(kept: dict[str, Any], callbacks: Mapping[str, Callback]) -> Parser:
    rules = [
        Rule(name, size, tuple(inlined), alone, callbacks[called] if called else None)
        for name, size, inlined, alone, called in kept["rules"]
    ]
    ignored = frozenset(kept["ignored"])
    return Parser(kept["patterns"], kept["words"], ignored, rules, kept["states"], kept["start"], kept["end"])


def computed() -> dict[str, Any]:
    """The tables of the grammar as it is."""
    from lark import Lark
    from lark.grammar import Terminal
    from lark.indenter import PythonIndenter

    layout = type("Layout", (PythonIndenter,), {"INDENT_type": "_INDENT", "DEDENT_type": "_DEDENT"})
    grammar = _GRAMMAR.read_text(encoding="utf-8")
    lark: Any = Lark(
        grammar,
        start="item",
        parser="lalr",
        postlex=layout(),
        keep_all_tokens=True,
        maybe_placeholders=False,
    )
    tables = lark.parser.parser._parse_table
    lexer = lark.parser.lexer.lexer.root_lexer
    names = lexer.scanner.allowed_types
    rows = sorted(lark.rules, key=lambda r: (r.origin.name, r.order, str(r)))
    rules = [_rule(r, Terminal) for r in rows]
    number = {rule: at for at, rule in enumerate(rows)}
    order = _numbered(tables)
    states = [
        {
            k: -1 - number[to] if action.name == "Reduce" else order[to]
            for k, (action, to) in sorted(row.items())
        }
        for row in (tables.states[old] for old in order)
    ]
    return {
        "patterns": {t.name: t.pattern.to_regexp() for t in lexer.terminals},
        "words": {t.pattern.value: t.name for t in lexer.terminals if t.name not in names},
        "ignored": sorted(lexer.ignore_types),
        "rules": rules,
        "states": states,
        "start": order[tables.start_states["item"]],
        "end": order[tables.end_states["item"]],
    }  # fmt: skip


def _rule(rule: Any, terminal: type) -> tuple[str, int, list[int], bool, str]:
    inlined = [
        at for at, s in enumerate(rule.expansion) if not isinstance(s, terminal) and s.name.startswith("_")
    ]
    name, size = rule.origin.name, len(rule.expansion)
    alone = bool(rule.options.expand1 and not rule.alias)
    silent = name.startswith("_") or (alone and size == 1 and not inlined)
    return name, size, inlined, alone, "" if silent else rule.alias or name


def _numbered(tables: Any) -> dict[int, int]:
    """The states from the start on, in an order that the grammar alone decides."""
    order: dict[int, int] = {tables.start_states["item"]: 0}
    waiting = list(order)
    for old in waiting:  # which grows
        for _, (action, to) in sorted(tables.states[old].items()):
            if action.name == "Shift" and to not in order:
                order[to] = len(order)
                waiting.append(to)
    return order


def text() -> str:
    """The tables as they are kept."""
    return json.dumps(computed(), separators=(",", ":")) + "\n"


if __name__ == "__main__":
    _TABLES.write_text(text(), encoding="utf-8")
