"""The TextMate grammar for editors (VS Code, Sublime, GitHub), written from the language's own tables.

`python -m ppl.syntax.editor.textmate > ppl.tmLanguage.json`
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ppl.syntax.check.types import NAMES as TYPES
from ppl.syntax.editor.lexer import FLOW, STATEMENTS
from ppl.syntax.families import families
from ppl.syntax.functions import ALIASES, CONSTANTS, FUNCTIONS


def grammar() -> dict[str, Any]:
    """The grammar as JSON data."""
    rules = [
        ("comment.line.number-sign.ppl", r"#.*$"),
        ("string.quoted.double.ppl", r'"[^"\n]*"|\'[^\'\n]*\''),
        ("keyword.declaration.ppl", r"^(data|infer)(?=\s*:)"),
        ("keyword.control.ppl", _words((*STATEMENTS, *FLOW))),
        ("keyword.operator.word.ppl", _words(("and", "or", "not"))),
        ("constant.language.ppl", _words(("true", "false", *CONSTANTS))),
        ("support.class.ppl", _words(families())),
        ("support.function.ppl", _words((*FUNCTIONS, *ALIASES)) + r"(?=\s*\()"),
        ("constant.numeric.ppl", r"\b\d[\d_]*\.?[\d_]*([eE][+-]?\d+)?\b|\.\d+([eE][+-]?\d+)?\b"),
        ("keyword.operator.ppl", r"~|\*\*|//|->|[-+*/]=|[=!<>]=|[-+*/%@<>=]"),
    ]
    definition = {
        "match": r"^(model|guide|objective|def)\s+(\w+)",
        "captures": {"1": {"name": "keyword.declaration.ppl"}, "2": {"name": "entity.name.function.ppl"}},
    }
    typed = {"match": r":\s*(" + "|".join(TYPES) + r")\b", "captures": {"1": {"name": "storage.type.ppl"}}}
    docstring = {"name": "string.quoted.docstring.ppl", "begin": '"""', "end": '"""'}
    plain = [{"name": name, "match": match} for name, match in rules]
    return {"name": "ppl", "scopeName": "source.ppl", "fileTypes": ["ppl"],
            "patterns": [docstring, definition, plain[0], plain[1], typed, *plain[2:]]}  # fmt: skip


def _words(names: Iterable[str]) -> str:
    return r"\b(" + "|".join(sorted(names)) + r")\b"


if __name__ == "__main__":
    print(json.dumps(grammar(), indent=2))
