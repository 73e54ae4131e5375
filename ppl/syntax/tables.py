"""The parser's tables, computed from `grammar.lark` once and kept beside it as JSON: building them takes longer than checking
a file.

`python -m ppl.syntax.tables` writes them anew after the grammar was changed; a test compares. Where they don't suit (another
version of Lark, another grammar), the grammar is read.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lark
from lark import Lark

_GRAMMAR = Path(__file__).parent / "grammar.lark"
_TABLES = Path(__file__).parent / "grammar.json"


def parser(postlex: Any, transformer: Any) -> Lark:
    """The parser of items, from the tables if they are those of this grammar and this Lark."""
    grammar = _GRAMMAR.read_text(encoding="utf-8")
    try:
        kept = json.loads(_TABLES.read_text(encoding="utf-8"), object_hook=_whole_keys)
        if kept["of"] == _of(grammar):
            return Lark._load_from_dict(  # type: ignore[no-any-return]
                kept["data"], kept["memo"], postlex=postlex, transformer=transformer
            )
    except (OSError, ValueError, KeyError):
        pass  # no tables, or not these: the grammar itself is at hand
    return from_grammar(grammar, postlex, transformer)


def from_grammar(grammar: str, postlex: Any, transformer: Any) -> Lark:
    return Lark(
        grammar,
        start="item",
        parser="lalr",
        postlex=postlex,
        transformer=transformer,
        keep_all_tokens=True,
        maybe_placeholders=False,
    )


def text() -> str:
    """The tables of the grammar as it is, as JSON."""
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

    from ppl.syntax.build import Build
    from ppl.syntax.parse import Layout

    grammar = _GRAMMAR.read_text(encoding="utf-8")
    data, memo = from_grammar(grammar, Layout(), Build()).memo_serialize([TerminalDef, Rule])
    options = data["options"] | {"postlex": None, "transformer": None}
    kept = {"of": _of(grammar), "data": data | {"options": options}, "memo": memo}
    return json.dumps(kept, separators=(",", ":"), default=_listed, sort_keys=False) + "\n"


def _of(grammar: str) -> str:
    return f"{lark.__version__} {blake2b(grammar.encode(), digest_size=8).hexdigest()}"


def _whole_keys(found: dict[str, Any]) -> dict[Any, Any]:
    """JSON has no whole numbers for keys."""
    return {int(k) if k.isdigit() else k: v for k, v in found.items()}


def _listed(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


if __name__ == "__main__":
    _TABLES.write_text(text(), encoding="utf-8")
