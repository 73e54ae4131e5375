"""What people bring from other languages: Stan, BUGS, R, Python. A pattern on a line that can't be read, what to say of
it, and the line (or the part of it) as it is written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span

_LOOK_ALIKES = {
    "−": "-", "–": "-", "—": "-", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "×": "*", "·": "*", "÷": "/",
    "≤": "<=", "≥": ">=", "≠": "!=", "←": "=", "→": "->", "∼": "~", "˜": "~", "，": ",", "（": "(", "）": ")",
    "：": ":", "＝": "=", "\u00a0": " ", "\u2003": " ", "\u200b": "", "\ufeff": "",
}  # fmt: skip
"""Signs that word processors and web pages put in the place of others."""

Edit = str | Callable[[re.Match[str], str], str]
"""A template of the pattern's groups, or a function of the match and the whole line."""


@dataclass(frozen=True, slots=True)
class Habit:
    pattern: str
    headline: str
    edit: Edit
    expected: str | None = None

    def problem(self, plain: str, line: str, number: int) -> Problem | None:
        """The problem, if a line has the habit. `plain` is the line without comments, with blanks in its texts."""
        found = re.search(self.pattern, plain)
        if found is None:
            return None
        start, end = found.span(1) if "(?P<at>" in self.pattern else found.span()
        place = Span(number, start + 1, number, max(end, start + 1) + 1)
        edit = self.edit(found, line) if callable(self.edit) else found.expand(self.edit)
        text = line[found.start() : found.end()].strip()
        return Problem("syntax", place, found.expand(self.headline), self.expected, f"`{text}`", edit)


def _line_with(replacement: str) -> Callable[[re.Match[str], str], str]:
    """The whole line with the match replaced."""

    def edit(found: re.Match[str], line: str) -> str:
        return (line[: found.start()] + found.expand(replacement) + line[found.end() :]).strip()

    return edit


def _loop(found: re.Match[str], line: str) -> str:
    index, first, last = found["index"], found["first"], found["last"]
    return f"for {index} in {last}:" if first == "1" else f"for {index} in range({first} - 1, {last}):"


def _declaration(found: re.Match[str], line: str) -> str:
    shape = (found["shape"] or "").strip("[]")
    kind = {"vector": "real", "row_vector": "real", "matrix": "real", "array": "real"}.get(
        found["type"], found["type"]
    )
    bounds = (found["bounds"] or "").strip("<>").strip()
    if bounds:
        kind = "positive" if bounds.replace(" ", "") == "lower=0" and kind == "real" else f"{kind}({bounds})"
    return f"{found['name']}: {kind}" + (f"[{shape}]" if shape else "")


def _statement(found: re.Match[str], line: str) -> str:
    return f"{_declaration(found, line)} ~ …, where it is sampled"


def _comment(found: re.Match[str], line: str) -> str:
    return f"{line[: found.start()].rstrip()}  # {line[found.end() :].strip()}".strip()


def _hexadecimal(found: re.Match[str], line: str) -> str:
    return str(int(found[0], 0))


_TYPE = r"(?P<type>real|int|vector|row_vector|matrix|array|simplex|ordered|positive|unit_vector|cov_matrix|corr_matrix)"
_SHAPED = r"(?P<bounds>\s*<[^>]*>)?\s*(?P<shape>\[[^\]]*\])?"

_LOOPED = r"(?P<index>\w+)\s+in\s+(?P<first>\w+)\s*:\s*(?P<last>\w+)"

HABITS: tuple[Habit, ...] = (
    Habit(
        r"^(?:import|from)\s+(?P<at>[./~\"'\\].*)",
        "an import names a file in this folder or below it, and folders with dots",
        "import folder.name, for folder/name.ppl",
        "import name, from name import x",
    ),
    Habit(
        r"^from\s+([\w.]+)\s+import\s+\*",
        "names are imported one by one, or all behind the file's name",
        r"import \1",
        "from name import x, y",
    ),
    Habit(
        r"^\s*(?:transformed\s+)?(?:data|parameters|model|functions|generated\s+quantities)\s*\{",
        "this is a block of Stan: here data are a model's arguments, and a parameter is what the model samples",
        "model m(y: real[N]): and its statements below, indented",
    ),
    Habit(
        rf"\bfor\s*\(?\s*{_LOOPED}\s*\)?\s*[:{{]?",
        "indices start at 0: a loop over N elements has 0 to N-1",
        _loop,
        "for n in N:",
    ),
    Habit(r"\bfor\s*\(\s*(\w+)\s+in\s+(.*?)\)\s*[:{]?\s*$", "`for` has no parentheses", r"for \1 in \2:"),
    Habit(
        rf"^\s*{_TYPE}{_SHAPED}\s+(?P<name>\w+)\s*;?\s*$",
        "a name is not declared before it gets its value",
        _statement,
    ),
    Habit(
        rf"(?<=[(,])\s*{_TYPE}{_SHAPED}\s+(?P<name>\w+)(?=\s*[,)])",
        "a type stands behind the name, after a `:`",
        _declaration,
    ),
    Habit(
        r"\b(\w+)\s*<\s*((?:lower|upper)\s*=[^>]*)>",
        "bounds of a type stand in parentheses",
        _line_with(r"\1(\2)"),
    ),
    Habit(r"^@.*", "there are no decorators: the word `model` makes a model", "model m(y: real[N]):"),
    Habit(r"//(?=\s*[^\W\d]\w*\s+[^\W\d])", "a comment begins with `#`", _comment),
    Habit(r"/\*", "a comment begins with `#`", "# …"),
    Habit(r"<-", "`<-` gives no values here", _line_with("="), "= for a quantity, ~ for a random one"),
    Habit(r":=", "`:=` gives no values here", _line_with("="), "= for a quantity, ~ for a random one"),
    Habit(
        r"^\s*(?P<at>while\b[^:]*)",
        "there is no `while`: how often a loop runs is known before anything does",
        "for i in N:",
    ),
    Habit(
        r"^\s*(?P<at>else\s+if)\b(.*?):?\s*$",
        "`else if` is one word here",
        r"elif\2:",
    ),
    Habit(
        r"^\s*(?P<at>with\s+\S*plate\S*\(.*)",
        "a plate is a loop: its iterations are independent",
        "for n in N: and below it y[n] ~ …",
    ),
    Habit(
        r"^\s*(?P<at>class|async|try|except|finally|with|raise|global|nonlocal|yield|del|assert|match)\b(?!\s*[=~:\[(,])",
        r"there is no `\1` in this language",
        "leave it out",
        "a statement: x ~ …, x = …, for …, if …",
    ),
    Habit(r"^\s*(?P<at>class|try|finally|except)\b.*$", r"there is no `\1` in this language", "leave it out",
          "a statement: x ~ …, x = …, for …, if …"),
    Habit(r"\blambda\b", "there are no functions without a name", "def f(x): and below it return …"),
    Habit(r"^\s*print\b.*", "nothing is printed here: a quantity can be kept in the result", "deterministic x = …"),
    Habit(
        r"\[\s*(?P<item>[^\[\]]+(?:\[[^\]]*\][^\[\]]*)*?)\s+for\s+(?P<index>\w+)\s+in\s+(?P<over>[^\]]+?)\s*\]",
        "there are no comprehensions: a loop builds an array",
        r"for \g<index> in \g<over>: item[\g<index>] = \g<item>, and item in its place",
    ),
    Habit(
        r"(?P<at>[^\s?(,=][^?(,=]*?)\s*\?\s*([^:?]+?)\s*:\s*([^,:?)]+)",
        "`? :` is written `if … else`",
        r"\2 if \1 else \3",
    ),
    Habit(
        r"\)\s*T\s*[\[(]",
        "a distribution is truncated by the type of its site",
        "x: real(lower=0) ~ Normal(…)",
    ),
    Habit(r"^\s*(?P<at>\w+)\s*\+\+\s*$", "`++` is written `+= 1`", r"\1 += 1"),
    Habit(r"^\s*(?P<at>\w+)\s*--\s*$", "`--` is written `-= 1`", r"\1 -= 1"),
    Habit(r"\b(\w+)\s+(?:not\s+)?in\s+\[.*?\]", "there is no test for being in a list", r"\1 == 1 or \1 == 2",
          "comparisons, with `and` and `or`"),
    Habit(r"^\s*(?P<at>\w+)\s+is\s+([A-Z]\w*\(.*)$", "what is drawn stands before `~`", r"\1 ~ \2"),
    Habit(r"\b(\w+)\s+is\s+(?:not\s+)?", "there is no `is`", r"\1 == …", "a comparison: ==, !=, <, <=, >, >="),
    Habit(r"&&", "`&&` is written `and`", _line_with("and")),
    Habit(r"\|\|", "`||` is written `or`", _line_with("or")),
    Habit(r"\.\*", "`.*` is written `*`: it works on elements", _line_with("*")),
    Habit(r"\.\^|\^", "a power is written `**`", _line_with("**")),
    Habit(r"%\*%", "the product of matrices is written `@`", _line_with("@")),
    Habit(r"!(?!=)", "`!` is written `not`", _line_with("not ")),
    Habit(r"(?<![\w.])(\d+)\.\.(\d*)", r"`\1..\2` is no number", r"\1.\2"),
    Habit(r"\[([^\[\]:]*):([^\[\]:]*):[^\[\]:]*\]", "a slice has no step", r"[\1:\2]", "[start:stop]"),
    Habit(r"\b[fFrRbBuU](?=[\"'])", "a text stands in plain quotes", "leave the letter out"),
    Habit(r"\b0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)\b", "numbers are decimal", _hexadecimal),
    Habit(
        r"(?<![\w.])(\d[\d_.]*)(?![eE][+-]?\d)([^\W\d]\w*)",
        r"`\1\2` is neither a number nor a name",
        r"\1 * \2",
    ),
    Habit(r"\b(\w+)'(?=[\s*+\-)@\],]|$)", "a matrix is transposed by a function", r"transpose(\1)"),
    Habit(
        r"\{[^{}:]*:.*|^\s*\{.*",
        "there are no dicts: each value has a name of its own",
        "a = 1, a line for each",
    ),
    Habit(r"[{}]", "blocks have no braces: they are indented, after a `:`", "model m(): and its statements below, indented"),
    Habit(r";\s*$", "a line needs no `;` at its end", _line_with("")),
    Habit(r";", "each statement has a line of its own", "a line break in the place of `;`"),
    Habit(r"[(,]\s*\*+\s*\w+", "a program's arguments are named one by one", "model m(x: real[N], y: real[N]):"),
    Habit(r"\.\.\.", "`...` stands for nothing here", "what it stands for, or nothing"),
    Habit(
        r"(?P<at>" + "|".join(map(re.escape, _LOOK_ALIKES)) + ")",
        r"`\1` only looks like a sign of the language",
        lambda found, line: "".join(_LOOK_ALIKES.get(c, c) for c in line).strip(),
    ),
)  # fmt: skip


def habit(plain: str, line: str, number: int) -> Problem | None:
    """The first habit that a line has."""
    for each in HABITS:
        if (problem := each.problem(plain, line, number)) is not None:
            return problem
    return None
