"""Words that can't be names: those of the language that the grammar can't tell from names, and some of Python's."""

from __future__ import annotations

from ppl.syntax.problems import Problem
from ppl.syntax.tree import Span

_OWN = ("import", "from", "as", "def", "for", "in", "if", "elif", "else", "with", "return", "pass", "and", "or", "not",
        "true", "false")  # fmt: skip
_LOOPS = "a condition in the loop's statements: a if test else b"
_PYTHONS = {
    "True": "true",
    "False": "false",
    "None": "nan for a missing number; a parameter that is a site too may be left out by the caller",
    "break": _LOOPS,
    "continue": _LOOPS,
}


def no_name(word: str, span: Span) -> Problem | None:
    """The problem of a word that stands where a name does, if it can't be one."""
    if word.startswith("__"):
        headline = "names that begin with two underscores are the language's own"
        edit = f"{word.strip('_') or 'x'}, or leave it out: Python can't be reached from here"
        return Problem("name", span, headline, "a letter, or one underscore, first", f"`{word}`", edit)
    if word in _OWN:
        return Problem(
            "syntax", span, f"`{word}` is a word of the language", "a name", f"`{word}`", f"{word}_"
        )
    if word in _PYTHONS:
        return Problem("syntax", span, f"there is no `{word}`", None, f"`{word}`", _PYTHONS[word])
    return None
