"""Syntax errors in the words of someone who wants to get on: what stands there, what could, and the edit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import replace

from ppl.syntax.habits import habit
from ppl.syntax.lalr import Token, Unreadable
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
_STATEMENTS = {"FOR", "IF", "OBSERVE", "PASS", "RETURN", "SET", "KEEP", "DECLARE"}
_ITEMS = "import, from, def, model, guide, objective, data: or infer:"
_OPENING, _CLOSING = "([", {"(": ")", "[": "]"}
_LONGEST = 500
"""Characters of a line that is looked at for habits: their patterns may take time that grows with the square."""
_TEXTS = re.compile(r'"""[\s\S]*?"""|"[^"\n]*"|\'[^\'\n]*\'|#[^\n]*')


def explain(error: Unreadable, piece: str, above: int = 0) -> Problem:
    """The problem behind the parser's exception; `piece` is the text that it read, with so many lines above it."""
    place = _moved(error.span, -above) if error.span.line else error.span
    problem = _explained(Unreadable(place, error.token, error.accepted), piece, above)
    return replace(problem, span=_moved(problem.span, above))


def _moved(span: Span, lines: int) -> Span:
    return Span(span.line + lines, span.column, span.end_line + lines, span.end_column)


def _explained(error: Unreadable, piece: str, above: int) -> Problem:
    span = _place(error, piece)
    code = _TEXTS.sub(_blank, piece)
    line = piece.split("\n")[span.line - 1] if 0 < span.line <= piece.count("\n") + 1 else ""
    plain = code.split("\n")[span.line - 1] if 0 < span.line <= code.count("\n") + 1 else ""
    for problem in (
        _margin(span, line, piece),
        _tab(span, line, piece),
        habit(plain, line, span.line) if len(line) <= _LONGEST else None,
        _unclosed_text(code),
        _unclosed(error, span, code, piece, above),
        _nested_definition(span, plain),
        _habitual(span, plain),
    ):
        if problem is not None:
            return problem
    if error.token is not None:
        return _token(error.token, error.accepted, span, line)
    if error.span.line:
        sign = line[span.column - 1 : span.column]
        return Problem("syntax", span, f"`{sign}` has no meaning here", None, f"`{sign}`", "leave it out")
    return Problem(
        "syntax",
        span,
        "this line is indented unlike every line before it",
        expected="the indentation of the block it belongs to",
        found=f"{len(line) - len(line.lstrip())} spaces",
        edit="move it under the first letter of the block's other lines",
    )


def _blank(found: re.Match[str]) -> str:
    """A text or comment as blanks, so that nothing in it is taken for code; a text keeps its quotes."""
    if found[0].startswith("#"):
        return " " * len(found[0])
    inside = re.sub(r"[^\n]", " ", found[0][1:-1])
    return f"{found[0][0]}{inside}{found[0][-1]}" if "\n" not in found[0] else re.sub(r"[^\n]", " ", found[0])


def _margin(span: Span, line: str, piece: str) -> Problem | None:
    """A statement at the left margin, in no model."""
    body_missing = piece[: piece.find(line)].rstrip().endswith(":") if line else False
    if span.column != 1 or not re.match(r"[^\W\d]\w*\s*(\[.*?\]\s*)?(=|~|:|\+=)(?!=)", line) or body_missing:
        return None
    return _outside(span, line)


def _outside(span: Span, line: str) -> Problem:
    return Problem(
        "syntax",
        span,
        "at the left margin stand definitions only, and this is a statement",
        _ITEMS,
        f"`{line.strip()}`",
        "model m(): above it, and four spaces before it",
    )


def _tab(span: Span, line: str, piece: str) -> Problem | None:
    indents = {row[: len(row) - len(row.lstrip())] for row in piece.split("\n") if row.strip()} - {""}
    tabs = any("\t" in i for i in indents)
    if not tabs or not any(" " in i for i in indents) or span.column > len(line) - len(line.lstrip()) + 1:
        return None
    return Problem(
        "syntax",
        Span(span.line, 1, span.line, len(line) - len(line.lstrip()) + 1),
        "some lines of this block are indented by tabs, others by spaces",
        "four spaces for each level",
        "a tab" if "\t" in line[: len(line) - len(line.lstrip())] else "spaces",
        "four spaces instead of each tab",
    )


def _unclosed_text(code: str) -> Problem | None:
    """A quote that has no other; whole texts are blank in `code`."""
    whole = re.search(r'"""', code)
    if whole is not None:
        number, column = _position(code, whole.start())
        place = Span(number, column, number, column + 3)
        edit = 'close it with """'
        return Problem("syntax", place, 'a text that begins with """ doesn\'t end', '"""', "no end", edit)
    for number, line in enumerate(code.split("\n"), start=1):
        for quote in "\"'":
            if line.count(quote) % 2:
                at = line.rindex(quote) if quote == "'" else line.index(quote)
                place = Span(number, at + 1, number, len(line) + 1)
                return Problem(
                    "syntax",
                    place,
                    "a text in quotes ends on its line",
                    quote,
                    line[at:].strip(),
                    f"a {quote} where the text ends",
                )
    return None


def _position(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _unclosed(error: Unreadable, span: Span, code: str, piece: str, above: int) -> Problem | None:
    """A bracket that is not closed, closed by the other kind, or closed twice."""
    token = error.token
    rows = code.split("\n")
    until = sum(len(row) + 1 for row in rows[: span.line - 1]) + span.column
    open_: list[int] = []
    for at, sign in enumerate(code[:until]):
        if sign in _OPENING:
            open_.append(at)
        elif sign in ")]":
            if not open_:
                return _closing(code, piece, at)
            if _CLOSING[code[open_[-1]]] != sign:
                return _other(code, piece, open_[-1], at, above)
            open_.pop()
    if not open_ or (token is None and error.span.line):
        return None
    number, column = _position(code, open_[-1])
    ended = token is None or token.type.startswith(("_", "$"))
    if not ended and (span.line == number or code[:until].rstrip()[-1:] in "([,"):
        return None
    if not ended and rows[span.line - 1][: span.column - 1].strip():
        return None  # not at the beginning of a line: something else is wrong in the brackets
    sign = code[open_[-1]]
    close = "".join(_CLOSING[code[at]] for at in reversed(open_) if _position(code, at)[0] == number)
    line = piece.split("\n")[number - 1]
    colon = ":" if line.rstrip().endswith(":") else ""
    mended = f"{line.rstrip().removesuffix(':').rstrip(',')}{close}{colon}".strip()
    long = len(mended) > 90
    return Problem(
        "syntax",
        Span(number, column, number, column + 1),
        f"this `{sign}` is not closed",
        f"`{_CLOSING[sign]}`",
        "the end of the block" if ended else f"`{token}` on line {span.line + above}",
        f"`{_CLOSING[sign]}` where it ends" if long else mended,
    )


def _closing(code: str, piece: str, at: int) -> Problem:
    number, column = _position(code, at)
    line = piece.split("\n")[number - 1]
    mended = (line[: column - 1] + line[column:]).strip()
    place = Span(number, column, number, column + 1)
    return Problem("syntax", place, f"this `{code[at]}` closes nothing", None, f"`{code[at]}`", mended)


def _other(code: str, piece: str, opened: int, at: int, above: int) -> Problem:
    number, column = _position(code, at)
    line = piece.split("\n")[number - 1]
    right = _CLOSING[code[opened]]
    first, begun = _position(code, opened)
    return Problem(
        "syntax",
        Span(number, column, number, column + 1),
        f"`{code[at]}` can't close the `{code[opened]}` of "
        + (f"column {begun}" if first == number else f"line {first + above}"),
        f"`{right}`",
        f"`{code[at]}`",
        f"{line[: column - 1]}{right}{line[column:]}".strip(),
    )


def _nested_definition(span: Span, line: str) -> Problem | None:
    found = re.match(r"(\s+)(def|model|guide|objective|import|from|data|infer)\b\s*(\w+.*|:)", line)
    if found is None or found[3].startswith(("in ", "is ")):
        return None
    start = len(found[1]) + 1
    return Problem(
        "syntax",
        Span(span.line, start, span.line, start + len(found[2])),
        f"`{found[2]}` stands at the left margin, not inside of anything",
        _ITEMS + " at the left margin",
        f"{len(found[1])} spaces before it",
        f"move it to the left margin: {line.strip()}",
    )


def _habitual(span: Span, line: str) -> Problem | None:
    """Slips that are about the word at the beginning of a line."""
    start = len(line) - len(line.lstrip()) + 1
    whole = Span(span.line, start, span.line, len(line.rstrip()) + 1)
    if found := re.match(r"\s*(if|elif)\b(.*?[^=!<>])=(?!=)(.*)", line):
        at = found.start(3)
        place = Span(span.line, at, span.line, at + 1)
        mended = f"{found[1]}{found[2]}=={found[3]}".strip()
        return Problem("syntax", place, "`=` gives a value; a comparison is `==`", "`==`", "`=`", mended)
    if found := re.match(r"\s*(else|elif)\b", line):
        word = Span(span.line, start, span.line, start + 4)
        if span.column == start:
            edit = "an `if …:` above it in the same column; `else` is the last of its branches"
            return Problem("syntax", word, f"this `{found[1]}` belongs to no `if`", "if, elif, else in this order",
                           f"`{line.strip()}`", edit)  # fmt: skip
    if found := re.match(r"\s*(guide|model|objective)\s+for\s+(\w+)\s*:", line):
        mended = f"{found[1]} my_{found[1]} for {found[2]}:"
        return Problem(
            "syntax", whole, f"a {found[1]} has a name", f"{found[1]} name …", line.strip(), mended
        )
    if found := re.match(r"    (\w+)\s*:\s*(?!.*[~=])(.+)", line):
        at = span.column
        if span.column == line.index(":") + 1:
            place = Span(span.line, at, span.line, at + 1)
            return Problem(
                "syntax", place, "a setting is given with `=`", "`=`", "`:`", f"{found[1]} = {found[2]}"
            )
    if found := re.match(r"\s*(param|state|factor|deterministic|observe|set)\s*(?=[~=:,])", line):
        word = Span(span.line, start, span.line, start + len(found[1]))
        mended = line.replace(found[1], found[1] + "_", 1).strip()
        return Problem(
            "syntax", word, f"`{found[1]}` is a word of the language", "a name", f"`{found[1]}`", mended
        )
    return None


def _token(wrong: Token, accepted: Set[str], span: Span, line: str) -> Problem:
    token, kind = wrong.text, wrong.type
    if kind == "_INDENT":
        return Problem(
            "syntax",
            Span(span.line, 1, span.line, len(line) - len(line.lstrip()) + 1),
            "this line is indented, but no block begins above it",
            "the indentation of the line above",
            f"{len(line) - len(line.lstrip())} spaces",
            "move it under the line above, or end that line with `:` if it begins a block",
        )
    if span.column == 1 and accepted <= {"$END", "_NEWLINE"}:
        return _outside(span, line)
    if "_INDENT" in accepted and kind != "_NEWLINE":
        gone = kind.startswith(("_", "$")) or not line.strip()
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        edit = "pass, indented, for an empty block" if gone else f"{indent}{line.strip()}"
        found = _WORDS.get(kind, "nothing") if gone else "a line that is not indented"
        return Problem("syntax", span, "a block has to begin here", "an indented line", found, edit)
    short = token.strip().split("\n")[0]
    found = _WORDS.get(kind, f"`{short}`") if kind.startswith(("_", "$")) else f"`{short}`"
    ended = kind.startswith(("_", "$"))
    return Problem(
        "syntax",
        span,
        "the line ends too early" if ended else f"{found} can't stand here",
        expected=_listed(accepted),
        found=found,
        edit=_edit(accepted, kind, line, span, short),
    )


def _edit(accepted: Set[str], kind: str, line: str, span: Span, token: str) -> str | None:
    if kind == "_NEWLINE" and "COLON" in accepted and re.match(
        r"\s*(for|if|elif|else|model|guide|objective|def|data|infer)\b", line
    ):  # fmt: skip
        return f"{_code(line)}:"
    before, after = line[: span.column - 1].rstrip(), line[span.column - 1 :]
    if kind == "TILDE" and not before:
        return f"x {after.strip()}"
    if kind in ("NAME", "NUMBER", "LPAR", "STRING") and {"TIMES", "SIGN"} <= accepted:
        sign = ", " if ("COMMA" in accepted and not re.search(r"\d$", before)) or kind != "NAME" else " * "
        if accepted & {"RPAR", "RSQB"} or sign == " * ":
            return f"{before}{sign}{after.lstrip()}".strip()
    if kind == "_NEWLINE" and "ELSE" in accepted:
        return f"{_code(line)} else …"
    if kind == "EQUALS" and "=" in before:
        return "one name for a value; a line for each"
    if "TILDE" in accepted and "EQUALS" in accepted:
        return "x ~ … for a random quantity, x = … for one that is computed"
    if kind == "COLON" and accepted & {"RSQB"}:
        return f"{before}]".strip() if before.count("[") > before.count("]") else "leave it out"
    if "NAME" in accepted and "NUMBER" in accepted:
        return f"{before or line.strip()} …".strip()
    if not kind.startswith(("_", "$")):
        return f"leave `{token}` out"
    return None


def _code(line: str) -> str:
    return _TEXTS.sub(lambda m: "" if m[0].startswith("#") else m[0], line).strip()


def _listed(accepted: Iterable[str]) -> str | None:
    names = set(accepted)
    words = []
    if len(names & _STATEMENTS) > 4:
        return "a statement: x ~ …, x = …, for …, if …, return …"
    if names >= {"DEF", "IMPORT"}:
        return _ITEMS
    if names >= _EXPRESSION:
        words.append("an expression")
        names -= _EXPRESSION | {"SIGN", "NOT", "STRING"}
    elif len(names & _OPERATORS) > 3:
        words.append("an operator")
        names -= _OPERATORS
    words += sorted({_WORDS.get(n, f"`{n.lower()}`") for n in names})
    return " or ".join(words[:5]) if words else None


def _place(error: Unreadable, piece: str) -> Span:
    token, line, column = error.token, error.span.line, error.span.column
    if not line:
        return _misplaced(piece)
    if token is not None and token.type == "_INDENT":
        line, column = line + 1, 1
    width = 1 if token is None or token.type.startswith(("_", "$")) else len(token.text.split("\n")[0])
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
