"""Syntax errors in the words of someone who wants to get on: what stands there, what could, and the edit."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span

_WORDS = {
    "_NEWLINE": "the end of the line",
    "_INDENT": "an indented block",
    "_DEDENT": "the end of the block",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a text in quotes",
    "TRUTH": "true or false",
    "COLON": "`:`",
    "COMMA": "`,`",
    "DOT": "`.`",
    "EQUALS": "`=`",
    "EQUAL": "`=`",
    "TILDE": "`~`",
    "AUGMENT": "`+=`",
    "COMPARE": "a comparison",
    "SIGN": "`+` or `-`",
    "TIMES": "`*` or `/`",
    "POWER": "`**`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "__ANON_0": "`->`",
    "$END": "the end of the file",
    "KIND": "model, guide or objective",
    "SETTINGS": "data or infer",
    "KEEP": "deterministic or factor",
    "DECLARE": "param or state",
}
_EXPRESSION = {"NAME", "NUMBER", "TRUTH", "LPAR", "LSQB"}
_OPERATORS = {"SIGN", "TIMES", "POWER", "COMPARE", "AND", "OR", "DOT", "IF", "LPAR", "LSQB"}

# What people bring from other languages: a pattern on the line, what to say, the edit.
_HABITS: tuple[tuple[str, str, str], ...] = (
    (r"target\s*\+=", "there is no `target` to add to", "factor penalty = …"),
    (r"<-", "`<-` gives no values here", "x = … for a quantity, x ~ … for a random one"),
    (r":=", "`:=` gives no values here", "x = …"),
    (r"^\s*(while)\b", "there is no `while`: a program's size is known before it runs", "for i in n: …"),
    (r"^\s*(class|async|try|with|raise|global|lambda|yield)\b", "this is Python, not ppl", "def f(x): …"),
    (r"\blambda\b", "there are no functions without a name", "def f(x): return …"),
    (r";\s*(#.*)?$", "a line needs no `;` at its end", "leave the `;` out"),
    (r"[{}]", "blocks have no braces: they are indented, after a `:`", "model m(): and an indented block"),
    (r"&&", "`&&` is written `and`", "a and b"),
    (r"\|\|", "`||` is written `or`", "a or b"),
    (r"\^", "`^` is written `**`", "x ** 2"),
    (r"!(?!=)", "`!` is written `not`", "not a"),
    (r"'(?:[^'\n]*)$|\"(?:[^\"\n]*)$", "a text in quotes doesn't end on its line", 'close it with a quote'),
    (r"^\s*(real|int|positive|vector|matrix|array)\b[^:~=]*\w+\s*;?$", "a type stands behind the name", "x: real"),
    (r"\bTrue\b|\bFalse\b|\bNone\b", "truth values are written small", "true, false"),
)  # fmt: skip


def explain(error: Exception, piece: str) -> Problem:
    """The problem behind one of Lark's exceptions; `piece` is the text that it read."""
    span = _place(error, piece)
    line = piece.split("\n")[span.line - 1] if 0 < span.line <= piece.count("\n") + 1 else ""
    for pattern, headline, edit in _HABITS:
        if found := re.search(pattern, line):
            place = Span(span.line, found.start() + 1, span.line, found.end() + 1)
            return Problem("syntax", place, headline, edit=edit)
    if isinstance(error, UnexpectedCharacters):
        return Problem(
            "syntax",
            span,
            f"`{line[span.column - 1 : span.column]}` has no meaning here",
            edit="leave it out",
        )
    if isinstance(error, UnexpectedToken):
        return _token(error, span, line)
    return Problem(
        "syntax",
        span,
        "this line is indented unlike every line before it",
        expected="the indentation of the block it belongs to",
        found=f"{len(line) - len(line.lstrip())} spaces",
        edit="move it under the first letter of the block's other lines",
    )


def _token(error: UnexpectedToken, span: Span, line: str) -> Problem:
    accepted = set(error.accepts or error.expected or ())
    token = str(error.token)
    kind = error.token.type
    if kind == "_INDENT":
        edit = "move it under the line above, or end that line with `:` if it begins a block"
        return Problem("syntax", span, "this line is indented, but no block begins above it", edit=edit)
    if "_INDENT" in accepted and kind != "_NEWLINE":
        edit = "indent what belongs to it by four spaces; write `pass` for an empty one"
        return Problem("syntax", span, "a block has to begin here", expected="an indented line", edit=edit)
    found = _WORDS.get(kind, f"`{token.strip()}`") if kind.startswith(("_", "$")) else f"`{token}`"
    return Problem(
        "syntax",
        span,
        f"{found} can't stand here",
        expected=_listed(accepted),
        found=found,
        edit=_edit(accepted, kind, line),
    )


def _edit(accepted: set[str], kind: str, line: str) -> str | None:
    if (
        kind == "_NEWLINE"
        and "COLON" in accepted
        and re.match(r"\s*(for|if|elif|else|model|guide|def)\b", line)
    ):
        return f"{line.rstrip()}:"
    if kind in ("_NEWLINE", "$END") and accepted & {"RPAR", "RSQB"}:
        return "close the bracket"
    if "TILDE" in accepted and "EQUALS" in accepted:
        return "x ~ … for a random quantity, x = … for one that is computed"
    return None


def _listed(accepted: Iterable[str]) -> str | None:
    names = set(accepted)
    words = []
    if names >= _EXPRESSION:
        words.append("an expression")
        names -= _EXPRESSION | {"SIGN", "NOT", "STRING"}
    elif len(names & _OPERATORS) > 3:
        words.append("an operator")
        names -= _OPERATORS
    words += sorted({_WORDS.get(n, f"`{n.lower()}`") for n in names})
    return " or ".join(words[:5]) if words else None


def _place(error: Exception, piece: str) -> Span:
    line, column = getattr(error, "line", None), getattr(error, "column", None)
    token = getattr(error, "token", None)
    if not isinstance(line, int) or line < 1:
        return _misplaced(piece)
    column = column if isinstance(column, int) and column > 0 else 1
    if token is not None and token.type == "_INDENT":
        line, column = line + token.count("\n") + 1, 1
    width = 1 if token is None or token.type.startswith(("_", "$")) else len(token.split("\n")[0])
    return Span(line, column, line, column + max(1, width))


def _misplaced(piece: str) -> Span:
    """The first line whose indentation is none that is open, or whose bracket closes nothing."""
    levels, depth = [0], 0
    for number, line in enumerate(piece.split("\n"), start=1):
        body = line.lstrip()
        indent = len(line) - len(body)
        if body and not body.startswith("#") and depth == 0:
            if indent > levels[-1]:
                levels.append(indent)
            while indent < levels[-1]:
                levels.pop()
            if indent != levels[-1]:
                return Span(number, 1, number, indent + 1)
        for at, sign in enumerate(line):
            depth += (sign in "([") - (sign in ")]")
            if depth < 0:
                return Span(number, at + 1, number, at + 2)
    return Span(1, 1, 1, 2)
