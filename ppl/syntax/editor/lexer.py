"""A Pygments lexer, so that notebooks, documentation and `pygmentize` highlight `.ppl` files."""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import RegexLexer, bygroups, words
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text, Whitespace

from ppl.syntax.check.types import NAMES as TYPES
from ppl.syntax.families import families
from ppl.syntax.functions import ALIASES, CONSTANTS, FUNCTIONS

ITEMS = ("model", "guide", "objective", "def", "data", "infer")
STATEMENTS = ("param", "state", "deterministic", "factor", "observe", "set", "return", "pass")
FLOW = ("for", "in", "if", "elif", "else", "with", "import", "from", "as")


class PplLexer(RegexLexer):
    """`.ppl` source → tokens.

    >>> from pygments import lex
    >>> [str(kind) for kind, _ in lex("mu ~ Normal(0, 5)", PplLexer())][:5:2]
    ['Token.Name', 'Token.Operator', 'Token.Name.Class']
    """

    name = "ppl"
    aliases: ClassVar[list[str]] = ["ppl"]
    filenames: ClassVar[list[str]] = ["*.ppl"]
    mimetypes: ClassVar[list[str]] = ["text/x-ppl"]

    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"\n", Whitespace),
            (r"[^\S\n]+", Whitespace),
            (r"\\\n", Text),
            (r"#.*$", Comment.Single),
            (r'"""[\s\S]*?"""', String.Doc),
            (r'"[^"\n]*"|\'[^\'\n]*\'', String),
            (
                r"^(model|guide|objective|def)([^\S\n]+)(\w+)",
                bygroups(Keyword.Declaration, Whitespace, Name.Function),
            ),
            (r"^(data|infer)(?=[^\S\n]*:)", Keyword.Declaration),
            (words(STATEMENTS, prefix=r"\b", suffix=r"\b"), Keyword),
            (words(FLOW, prefix=r"\b", suffix=r"\b"), Keyword),
            (words(("and", "or", "not"), prefix=r"\b", suffix=r"\b"), Operator.Word),
            (words(("true", "false"), prefix=r"\b", suffix=r"\b"), Keyword.Constant),
            (words(tuple(CONSTANTS), prefix=r"\b", suffix=r"\b"), Name.Constant),
            (
                r"(:\s*)(" + "|".join(sorted(TYPES, key=len, reverse=True)) + r")\b",
                bygroups(Punctuation, Keyword.Type),
            ),
            (words(tuple(families()), prefix=r"\b", suffix=r"\b"), Name.Class),
            (words((*FUNCTIONS, *ALIASES), prefix=r"\b", suffix=r"(?=\s*\()"), Name.Builtin),
            (r"(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)([eE][+-]?\d+)?", Number),
            (r"[^\W\d]\w*", Name),
            (r"~|\*\*|//|->|[-+*/]=|[=!<>]=|[-+*/%@<>=]", Operator),
            (r"[()\[\]:,.]", Punctuation),
        ]
    }


def to_svg(text: str, title: str = "") -> str:
    """A highlighted source as SVG text, on its own background."""
    from html import escape

    from pygments import lex

    rows: list[list[tuple[str, str]]] = [[]]
    for kind, value in lex(text, PplLexer()):
        for at, part in enumerate(value.split("\n")):
            if at:
                rows.append([])
            if part:
                rows[-1].append((_colour(kind), part))
    while rows and not rows[-1]:
        rows.pop()
    width = max(sum(len(p) for _, p in row) for row in rows) * 8.4 + 48
    height = len(rows) * 20 + 40 + (24 if title else 0)
    top = 36 + (24 if title else 0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">',
        "<style>text { font: 14px ui-monospace, Menlo, Consolas, monospace; white-space: pre; }</style>",
        f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#fbfbf9" stroke="#d9d9d2"/>',
    ]
    if title:
        lines.append(f'<text x="24" y="30" fill="#8a8f98">{escape(title)}</text>')
    for at, row in enumerate(rows):
        spans = "".join(f'<tspan fill="{c}">{escape(p)}</tspan>' for c, p in row)
        lines.append(f'<text x="24" y="{top + 20 * at}" xml:space="preserve">{spans}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


_COLOURS = (
    (Comment, "#7d8590"), (String, "#5f7a3c"), (Keyword.Type, "#8250a8"), (Keyword, "#b0402f"), (Operator.Word, "#b0402f"),
    (Operator, "#9a6700"), (Name.Function, "#1f5fa8"), (Name.Class, "#1f5fa8"), (Name.Builtin, "#2b7489"),
    (Name.Constant, "#8250a8"), (Number, "#8250a8"),
)  # fmt: skip


def _colour(kind: object) -> str:
    return next((c for token, c in _COLOURS if kind in token), "#24292f")
