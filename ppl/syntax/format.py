"""Tree and comments → text in one canonical style. Formatting twice changes nothing, and the tree stays the same.

Four spaces, two empty lines between items, one around operators; columns of `~` and `=` in a block that the user lined up
are not kept, comments are, where they stood.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ppl.syntax import tree

WIDTH = 100
_INDENT = "    "
_BINDING = {"or": 1, "and": 2, "+": 5, "-": 5, "*": 6, "/": 6, "//": 6, "%": 6, "@": 6, "**": 8}
_NOT, _COMPARE, _SIGN, _PRIMARY = 3, 4, 7, 9


def format_text(text: str, path: str = "<text>") -> str:
    """A file's text in canonical style.

    Raises:
        SourceError: the file has syntax errors; nothing is formatted then.

    >>> print(format_text("model m( ):\\n  x~Normal( 0,1 ) # prior"), end="")
    model m():
        x ~ Normal(0, 1)  # prior
    """
    from ppl.syntax.parse import parse
    from ppl.syntax.problems import SourceError

    parsed = parse(text, path)
    if parsed.problems:
        raise SourceError(parsed.file.path, parsed.problems)
    return format_file(parsed.file, text)


def format_file(file: tree.File, source: str = "") -> str:
    """A file's tree as text. `source` is where empty lines between statements are looked up."""
    return _Writer(file, source).written()


def type_text(kind: tree.Type) -> str:
    """A type as it is written: `real(lower=0)[N, D]`."""
    arguments = [expression_text(a) for a in kind.arguments]
    arguments += [f"{k.name.id}={expression_text(k.value)}" for k in kind.keywords]
    bounds = f"({', '.join(arguments)})" if arguments else ""
    shape = f"[{', '.join(expression_text(s) for s in kind.shape)}]" if kind.shape else ""
    return kind.name.id + bounds + shape


def expression_text(e: tree.Expression, least: int = 0) -> str:
    """An expression as text, in parentheses if it binds less tight than `least`."""
    text, binding = _expression(e)
    return f"({text})" if binding < least else text


def _expression(e: tree.Expression) -> tuple[str, int]:
    """Text, and how tight it binds."""
    match e:
        case tree.Number():
            return e.text or repr(e.value), _PRIMARY
        case tree.Boolean():
            return ("true" if e.value else "false"), _PRIMARY
        case tree.String():
            return _quoted(e.value), _PRIMARY
        case tree.Name():
            return e.id, _PRIMARY
        case tree.Parenthesised():
            return f"({expression_text(e.inner)})", _PRIMARY
        case tree.Unary():
            if e.operator == "not":
                return f"not {expression_text(e.operand, _NOT)}", _NOT
            return f"{e.operator}{expression_text(e.operand, _SIGN)}", _SIGN
        case tree.Binary():
            return _binary(e)
        case tree.Compare():
            parts = [expression_text(e.first, _COMPARE + 1)]
            for operator, operand in zip(e.operators, e.operands, strict=True):
                parts += [operator, expression_text(operand, _COMPARE + 1)]
            return " ".join(parts), _COMPARE
        case tree.Conditional():
            value, test = expression_text(e.value, 1), expression_text(e.test, 1)
            return f"{value} if {test} else {expression_text(e.otherwise)}", 0
        case tree.Call():
            arguments = [expression_text(a) for a in e.arguments]
            arguments += [f"{k.name.id}={expression_text(k.value)}" for k in e.keywords]
            return f"{expression_text(e.function, _PRIMARY)}({', '.join(arguments)})", _PRIMARY
        case tree.Index():
            indices = ", ".join(_index_text(i) for i in e.indices)
            return f"{expression_text(e.value, _PRIMARY)}[{indices}]", _PRIMARY
        case tree.Slice():
            return ":".join(expression_text(x) if x is not None else "" for x in (e.start, e.stop)), _PRIMARY
        case tree.Attribute():
            dot = " ." if isinstance(e.value, tree.Number) else "."  # `1.x` would be read as the number `1.`
            return f"{expression_text(e.value, _PRIMARY)}{dot}{e.name.id}", _PRIMARY
        case tree.List():
            return f"[{', '.join(expression_text(x) for x in e.elements)}]", _PRIMARY
        case tree.Tuple():
            inside = ", ".join(expression_text(x) for x in e.elements)
            return f"({inside}{',' if len(e.elements) == 1 else ''})", _PRIMARY
    raise AssertionError(f"an expression without a text: {type(e).__name__}")


def _binary(e: tree.Binary) -> tuple[str, int]:
    binding = _BINDING[e.operator]
    if e.operator == "**":
        return f"{expression_text(e.left, binding + 1)} ** {expression_text(e.right, _SIGN)}", binding
    return f"{expression_text(e.left, binding)} {e.operator} {expression_text(e.right, binding + 1)}", binding


def _index_text(e: tree.Expression) -> str:
    """An index; a step from another is written tight: `z[t-1]`."""
    simple = (tree.Name, tree.Number)
    if (
        isinstance(e, tree.Binary)
        and e.operator in "+-"
        and isinstance(e.left, simple)
        and isinstance(e.right, simple)
    ):
        return f"{expression_text(e.left)}{e.operator}{expression_text(e.right)}"
    return expression_text(e)


def _quoted(text: str) -> str:
    if "\n" in text:
        return f'"""{text}"""'
    return f'"{text}"' if '"' not in text else f"'{text}'"


def _documentation(text: str) -> str:
    """A docstring. Where all lines but the first are indented it begins on a line of its own: the indentation that
    the lines after the quotes share is not part of the text.
    """
    if '"""' in text:
        return f"'{text}'"
    _, newline, rest = text.partition("\n")
    begin = "\n" if textwrap.dedent(rest) != rest else ""
    end = "\n" if newline or text.endswith('"') else ""
    return f'"""{begin}{text}{end}"""'


@dataclass
class _Writer:
    file: tree.File
    source: str
    lines: list[str] = field(default_factory=list)
    depth: int = 0
    waiting: list[tree.Comment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting = list(self.file.comments)
        parts = (tree.Statement, tree.Item, tree.Branch, tree.Keyword)
        self.begins = {n.span.line for i in self.file.items for n in tree.walk(i) if isinstance(n, parts)}
        self.blank = {n for n, line in enumerate(self.source.splitlines(), start=1) if not line.strip()}

    def written(self) -> str:
        for at, item in enumerate(self.file.items):
            gap = 2 if not isinstance(item, tree.Import) else 1
            together = (
                at and isinstance(item, tree.Import) and isinstance(self.file.items[at - 1], tree.Import)
            )
            self._comments_before(item.span.line, 0 if at == 0 or together else gap)
            self._item(item)
        self._comments_before(None, 1 if self.lines else 0)
        return "\n".join(self.lines) + "\n" if self.lines else ""

    # comments

    def _comments_before(self, line: int | None, gap: int = 0) -> None:
        """The comments that stand on lines of their own before a line (all, for None); `gap` empty lines first."""
        own = [c for c in self.waiting if line is None or c.line < line]
        self.waiting = [c for c in self.waiting if line is not None and c.line >= line]
        if self.lines and (own or line is not None):
            self.lines += [""] * gap
        last = None
        for comment in own:
            if last is not None and any(n in self.blank for n in range(last + 1, comment.line)):
                self.lines.append("")
            self.lines.append(_INDENT * self.depth + comment.text)
            last = comment.line
        if last is not None and line is not None and any(n in self.blank for n in range(last + 1, line)):
            self.lines.append("")

    def _comments_behind(self, end: int) -> str:
        """The comments on the lines of a statement that is being written, to stand behind it."""
        behind = [c.text for c in self.waiting if c.line <= end]
        self.waiting = [c for c in self.waiting if c.line > end]
        return "  " + "  ".join(behind) if behind else ""

    def _line(self, text: str, span: tree.Span, end: int | None = None) -> None:
        comment = self._comments_behind(end if end is not None else span.end_line)
        rows = [_INDENT * self.depth + text] if "\n" not in text else self._long(text)
        rows[-1] += comment
        self.lines += rows

    def _long(self, text: str) -> list[str]:
        first, *rest = text.split("\n")
        return [_INDENT * self.depth + first, *(_INDENT * self.depth + r if r.strip() else "" for r in rest)]

    # items

    def _item(self, item: tree.Item) -> None:
        match item:
            case tree.Heading():
                self._line(_documentation(item.text), item.span)
            case tree.Import():
                self._line(self._import(item), item.span)
            case tree.Function():
                returns = f" -> {type_text(item.returns)}" if item.returns is not None else ""
                self._head(f"def {item.name.id}", item.parameters, returns, item, item.body)
            case tree.Program():
                owner = f" for {item.model.id}" if item.model is not None else ""
                self._head(f"{item.kind} {item.name.id}", item.parameters, owner, item, item.body)
            case tree.Settings():
                self._line(f"{item.kind}:", item.span, item.span.line)
                self.depth += 1
                self._entries(item.entries)
                self.depth -= 1

    def _import(self, item: tree.Import) -> str:
        path = ".".join(name.id for name in item.path)
        if item.names:
            names = [n.name.id + (f" as {n.alias.id}" if n.alias else "") for n in item.names]
            return f"from {path} import {', '.join(names)}"
        return f"import {path}" + (f" as {item.alias.id}" if item.alias else "")

    def _head(
        self,
        start: str,
        parameters: Sequence[tree.Parameter] | None,
        end: str,
        item: tree.Function | tree.Program,
        body: Sequence[tree.Statement],
    ) -> None:
        last = max([item.name.span.line, *(p.span.end_line for p in parameters or ())])
        if body:  # `):` may have a line of its own, and a comment behind it
            last = max([last, *(c.line for c in self.waiting if not c.own and c.line < body[0].span.line)])
        shown = [parameter_text(p) for p in parameters or ()]
        text = start + (f"({', '.join(shown)})" if parameters is not None else "") + end + ":"
        if len(text) > WIDTH:
            inside = "".join(f"{_INDENT}{p},\n" for p in shown)
            text = f"{start}(\n{inside}){end}:"
        self._line(text, item.span, last)
        self._block(body)

    def _entries(self, entries: Sequence[tree.Keyword]) -> None:
        for at, entry in enumerate(entries):
            self._between(entry.span.line, at == 0)
            self._line(f"{entry.name.id} = {self._wide(entry)}", entry.span)

    def _wide(self, entry: tree.Keyword) -> str:
        """A value of a data block; long lists of numbers go on over several lines."""
        text = expression_text(entry.value)
        room = WIDTH - len(_INDENT) * self.depth - len(entry.name.id) - 3
        if len(text) <= room or not isinstance(entry.value, tree.List):
            return text
        return _wrapped([expression_text(x) for x in entry.value.elements])

    # statements

    def _block(self, body: Sequence[tree.Statement]) -> None:
        self.depth += 1
        for at, statement in enumerate(body):
            self._between(statement.span.line, at == 0)
            self._statement(statement)
        if body:
            self._closing(body[-1].span.end_line, body[0].span.column)
        self.depth -= 1

    def _closing(self, last: int, column: int) -> None:
        """The comments behind a block's last statement that are indented like the block."""
        following = min((line for line in self.begins if line > last), default=len(self.source) + 1)
        closing = [c for c in self.waiting if c.own and last < c.line < following and c.column >= column]
        for comment in closing:
            if comment.line - 1 in self.blank:
                self.lines.append("")
            self.lines.append(_INDENT * self.depth + comment.text)
        self.waiting = [c for c in self.waiting if c not in closing]

    def _between(self, line: int, first: bool) -> None:
        """One empty line stays where the user left any; then the comments above the statement."""
        above = min([line, *(c.line for c in self.waiting if c.line < line)])
        if not first and above - 1 in self.blank:
            self.lines.append("")
        self._comments_before(line)

    def _statement(self, s: tree.Statement) -> None:
        match s:
            case tree.For():
                head = f"for {s.index.id} in {expression_text(s.domain)}:"
                self._line(head, s.span, _head_ends(s.domain, s.body))
                self._block(s.body)
            case tree.If():
                for word, branch in zip(["if"] + ["elif"] * len(s.branches), s.branches, strict=False):
                    if word == "elif":
                        self._comments_before(branch.test.span.line)
                    head = f"{word} {expression_text(branch.test)}:"
                    self._line(head, branch.test.span, _head_ends(branch.test, branch.body))
                    self._block(branch.body)
                if s.otherwise:
                    self._line("else:", s.otherwise[0].span, s.otherwise[0].span.line - 1)
                    self._block(s.otherwise)
            case tree.Docstring():
                self._line(_documentation(s.text), s.span)
            case _:
                self._line(statement_text(s), s.span)


def _head_ends(last: tree.Expression, body: Sequence[tree.Statement]) -> int:
    """The last line whose comments belong to a head: none of a line that its body is on too."""
    end = last.span.end_line
    return end - 1 if body and body[0].span.line == end else end


def parameter_text(p: tree.Parameter) -> str:
    kind = f": {type_text(p.type)}" if p.type is not None else ""
    if p.default is None:
        return p.name.id + kind
    equals = " = " if kind else "="
    return f"{p.name.id}{kind}{equals}{expression_text(p.default)}"


def target_text(t: tree.Target) -> str:
    return t.name.id + (f"[{', '.join(expression_text(i) for i in t.indices)}]" if t.indices else "")


def statement_text(s: tree.Statement) -> str:
    """A statement of one line."""
    match s:
        case tree.Sample():
            kind = f": {type_text(s.type)}" if s.type is not None else ""
            options = ", ".join(f"{o.name.id} = {expression_text(o.value)}" for o in s.options)
            behind = f" with {options}" if options else ""
            return f"{target_text(s.target)}{kind} ~ {expression_text(s.distribution)}{behind}"
        case tree.Observe():
            value, law = expression_text(s.value), expression_text(s.distribution)
            return f"observe {target_text(s.target)} = {value} ~ {law}"
        case tree.Assign():
            kind = f": {type_text(s.type)}" if s.type is not None else ""
            targets = ", ".join(map(target_text, s.targets))
            return f"{targets}{kind} {s.operator}= {_values(s.value)}"
        case tree.Keep():
            return f"{s.keyword} {target_text(s.target)} = {expression_text(s.value)}"
        case tree.Declare():
            kind = f": {type_text(s.type)}" if s.type is not None else ""
            start = f" = {expression_text(s.value)}" if s.value is not None else ""
            return f"{s.keyword} {target_text(s.target)}{kind}{start}"
        case tree.SetState():
            return f"set {target_text(s.target)} = {expression_text(s.value)}"
        case tree.Return():
            return "return" + (f" {_values(s.value)}" if s.value is not None else "")
        case tree.Pass():
            return "pass"
        case tree.Evaluate():
            return expression_text(s.value)
    raise AssertionError(f"a statement without a text: {type(s).__name__}")


def _values(e: tree.Expression) -> str:
    """`a, b` without parentheses behind `return` and `=`."""
    if isinstance(e, tree.Tuple) and len(e.elements) > 1:
        return ", ".join(expression_text(x) for x in e.elements)
    return expression_text(e)


def _wrapped(parts: Sequence[str]) -> str:
    rows, row = list[str](), ""
    for part in parts:
        if row and len(row) + len(part) + 2 > WIDTH - 12:
            rows.append(row.rstrip())
            row = ""
        row += part + ", "
    rows.append(row.rstrip())
    return "[\n" + "\n".join(_INDENT + r for r in rows) + "\n]"


def differences(before: str, after: str) -> Iterator[str]:
    """A unified diff, for `ppl fmt --diff`."""
    from difflib import unified_diff

    yield from unified_diff(before.splitlines(True), after.splitlines(True), "before", "after")
