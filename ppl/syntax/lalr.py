"""Text → what the rules' callbacks make of it, driven by the tables of `tables.py`: LALR(1), with blocks by indentation.

What a word or sign is depends on what the parser accepts there. One pattern finds tokens of all kinds; where the kind that
it finds can't stand, one of those that can is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ppl.syntax.tree import NOWHERE, Span

Callback = Callable[[list[Any]], Any]
NEWLINE, INDENT, DEDENT, END = "_NEWLINE", "_INDENT", "_DEDENT", "$END"
_DEEPER = {"LPAR": 1, "LSQB": 1, "RPAR": -1, "RSQB": -1}
_TAB = 8


class Token:
    """A word or sign of the source; `type` is the grammar's name for its kind."""

    __slots__ = ("span", "text", "type")

    def __init__(self, type: str, text: str, span: Span) -> None:
        self.type, self.text, self.span = type, text, span

    def __str__(self) -> str:
        return self.text


class Unreadable(Exception):
    """The text is none of the grammar's: a token that is not among those `accepted` at its place, a sign that is no
    token at all (`token` is None), or a line whose indentation is no block's (`span` is `NOWHERE`).
    """

    def __init__(self, span: Span, token: Token | None = None, accepted: Iterable[str] = ()) -> None:
        self.span, self.token, self.accepted = span, token, frozenset(accepted)
        super().__init__(f"line {span.line}")


@dataclass(frozen=True, slots=True)
class Rule:
    """`size` parts become one `name`: what `callback` makes of them, or a list of them, which the parts at the places
    `inlined` are already. With `alone` a single part stays as it is.
    """

    name: str
    size: int
    inlined: tuple[int, ...]
    alone: bool
    callback: Callback | None

    def __call__(self, parts: list[Any]) -> Any:
        if self.inlined:
            given, parts = parts, []
            for at, part in enumerate(given):
                if at not in self.inlined:
                    parts.append(part)
                elif parts:
                    parts += part
                else:
                    parts = part  # the list itself: a row of n parts grows n times
        if self.alone and len(parts) == 1:
            return parts[0]
        return parts if self.callback is None else self.callback(parts)


@dataclass(frozen=True)
class Parser:
    """The tables: kinds of tokens with their patterns, the first that matches counts; `words` are the names that are
    kinds of their own; a state's actions, by kind or rule: n ≥ 0 goes on to state n, -1 - n applies rule n.
    """

    patterns: Mapping[str, str]
    words: Mapping[str, str]
    ignored: frozenset[str]
    rules: Sequence[Rule]
    states: Sequence[Mapping[str, int]]
    start: int
    end: int
    _scanners: dict[frozenset[str], re.Pattern[str]] = field(default_factory=dict, compare=False)

    def parse(self, text: str, line: int = 1) -> Any:
        """What the callbacks make of a text that begins on a line of a file.

        Raises:
            Unreadable: it is no text of the grammar.
        """
        states, values = [self.start], list[Any]()
        token = Token(END, "", Span(1, 1, 1, 1))
        for token in self._laid_out(text, line, states):
            self._feed(token, states, values)
        return self._feed(Token(END, "", token.span), states, values)

    def _feed(self, token: Token, states: list[int], values: list[Any]) -> Any:
        """Apply the rules that a token ends, and take it."""
        while True:
            action = self.states[states[-1]].get(token.type)
            if action is None:
                raise Unreadable(token.span, token, self._acceptable(states))
            if action >= 0:
                states.append(action)
                values.append(token)
                return None
            rule = self.rules[-1 - action]
            parts = []
            if rule.size:
                parts = values[-rule.size :]
                del values[-rule.size :], states[-rule.size :]
            values.append(rule(parts))
            states.append(self.states[states[-1]][rule.name])
            if states[-1] == self.end and token.type == END:
                return values[-1]

    def _acceptable(self, states: Sequence[int]) -> Iterator[str]:
        """The kinds of tokens that can stand next: those that some rules and then a step forward take."""
        for kind in self.states[states[-1]]:
            if not kind.isupper():
                continue
            trial = list(states)
            while (action := self.states[trial[-1]].get(kind)) is not None and action < 0:
                rule = self.rules[-1 - action]
                del trial[len(trial) - rule.size :]
                trial.append(self.states[trial[-1]][rule.name])
            if action is not None or (kind == END and trial[-1] == self.end):
                yield kind

    # tokens

    def _laid_out(self, text: str, line: int, states: Sequence[int]) -> Iterator[Token]:
        """Tokens, with those that begin and end blocks; in brackets the ends of lines mean nothing."""
        levels, depth, token = [0], 0, Token(END, "", NOWHERE)
        for token in self._tokens(text, line, states):
            if token.type != NEWLINE:
                yield token
                depth += _DEEPER.get(token.type, 0)
            elif not depth:
                yield token
                blank = token.text.rpartition("\n")[2]
                indent = blank.count(" ") + blank.count("\t") * _TAB
                if indent > levels[-1]:
                    levels.append(indent)
                    yield Token(INDENT, blank, token.span)
                while indent < levels[-1]:
                    levels.pop()
                    yield Token(DEDENT, blank, token.span)
                if indent != levels[-1]:
                    raise Unreadable(NOWHERE)
        for _ in levels[1:]:
            yield Token(DEDENT, "", token.span)

    def _tokens(self, text: str, line: int, states: Sequence[int]) -> Iterator[Token]:
        every = self._scanner(frozenset(self.patterns))
        at, begun = 0, 0
        while at < len(text):
            accepted = self.states[states[-1]]
            found = every.match(text, at)
            kind = self._kind(found)
            if kind not in accepted and kind != NEWLINE and kind not in self.ignored:
                among = frozenset(accepted).intersection(self.patterns)
                other = self._scanner(among | self.ignored | {NEWLINE}).match(text, at)
                if other is None:
                    place = Span(line, at - begun + 1, line, at - begun + 2)
                    token = Token(kind, found[0], _span(found, line, begun)) if found is not None else None
                    raise Unreadable(place, token, self._acceptable(states))
                found, kind = other, self._kind(other)
                if kind not in accepted:
                    kind = str(other.lastgroup)
            assert found is not None
            if kind not in self.ignored:
                yield Token(kind, found[0], _span(found, line, begun))
            at = found.end()
            if "\n" in found[0]:
                line += found[0].count("\n")
                begun = found.start() + found[0].rindex("\n") + 1

    def _kind(self, found: re.Match[str] | None) -> str:
        if found is None:
            return ""
        kind = str(found.lastgroup)
        return self.words.get(found[0], kind) if kind == "NAME" else kind

    def _scanner(self, kinds: frozenset[str]) -> re.Pattern[str]:
        """The pattern of tokens of these kinds: a word that a name can be is none of its own where names are."""
        if kinds not in self._scanners:
            hidden = set(self.words.values()) if "NAME" in kinds else set()
            rows = (f"(?P<{k}>{p})" for k, p in self.patterns.items() if k in kinds and k not in hidden)
            self._scanners[kinds] = re.compile("|".join(rows))
        return self._scanners[kinds]


def _span(found: re.Match[str], line: int, begun: int) -> Span:
    """The place of a token on a line that began at a position."""
    text, start, end = found[0], found.start(), found.end()
    if "\n" not in text:
        return Span(line, start - begun + 1, line, end - begun + 1)
    return Span(line, start - begun + 1, line + text.count("\n"), len(text) - text.rindex("\n"))
