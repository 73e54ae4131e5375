"""A language server for `.ppl` files: diagnostics, hover, go to definition, formatting. `python -m ppl.syntax.editor.server`.

It needs pygls (`pip install 'ppl[editor]'`) and loads no torch. What it answers is computed by plain functions of a text,
which the tests call too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from ppl.syntax import tree
from ppl.syntax.blocks import statements, targets
from ppl.syntax.check import Checked, check
from ppl.syntax.families import families
from ppl.syntax.format import format_text, parameter_text, statement_text
from ppl.syntax.functions import ALIASES, FUNCTIONS
from ppl.syntax.problems import SourceError
from ppl.syntax.tree import Span

Definition = tree.Function | tree.Program


@dataclass(frozen=True, slots=True)
class Found:
    """The name under a cursor, and the definition around it."""

    name: tree.Name
    inside: Definition | None


def at(file: tree.File, line: int, column: int) -> Found | None:
    """The name at a place (both from 1)."""
    for item in file.items:
        for node in tree.walk(item):
            s = node.span
            if isinstance(node, tree.Name) and s.line == line and s.column <= column <= s.end_column:
                return Found(node, item if isinstance(item, Definition) else None)
    return None


def hover(checked: Checked, line: int, column: int) -> str | None:
    """What a name is: type, support and shape of a quantity, signature of a function or distribution (Markdown)."""
    found = at(checked.file, line, column)
    if found is None:
        return None
    name = found.name.id
    body = checked.bodies.get(found.inside.name.id) if found.inside is not None else None
    if body is not None:
        if name in body.sites:
            site = body.sites[name]
            role = "observed" if site.observed else "random"
            return f"`{name}`: {_with_loops(site.value, site.sizes)} ({role})"
        if name in body.scope.names:
            binding = body.scope.names[name]
            return f"`{name}`: {binding.whole} ({binding.kind})"
    if name in families():
        family = families()[name]
        return f"`{family.signature()}`  \nsupport: {family.support or 'that of its parameters'}"
    function = FUNCTIONS.get(ALIASES.get(name, name))
    if function is not None:
        return f"`{name}({function.arguments})`"
    for item in checked.file.items:
        if isinstance(item, Definition) and item.name.id == name:
            kind = "def" if isinstance(item, tree.Function) else item.kind
            parameters = ", ".join(parameter_text(p) for p in checked.info.parameters(item))
            return f"`{kind} {name}({parameters})`{_docstring(item)}"
    return None


def _with_loops(value: Any, sizes: tuple[Any, ...]) -> str:
    from dataclasses import replace

    shape = (*sizes, *value.shape) if value.shape is not None else None
    return str(replace(value, shape=shape)) if value.is_number else str(value)


def _docstring(item: Definition) -> str:
    first = item.body[0] if item.body else None
    return f"  \n{first.text}" if isinstance(first, tree.Docstring) else ""


def definition(checked: Checked, line: int, column: int) -> Span | None:
    """Where the name at a place got its value."""
    found = at(checked.file, line, column)
    if found is None:
        return None
    if found.inside is not None:
        for statement in statements(found.inside.body):
            if isinstance(statement, tree.For) and statement.index.id == found.name.id:
                return statement.index.span
            for target in targets(statement):
                if target.name.id == found.name.id:
                    return target.name.span
        for parameter in checked.info.parameters(found.inside):
            if parameter.name.id == found.name.id:
                return parameter.name.span
    for item in checked.file.items:
        if isinstance(item, Definition) and item.name.id == found.name.id:
            return item.name.span
    return None


def symbols(file: tree.File) -> list[tuple[str, str, Span]]:
    """The outline: (name, kind, place) of every definition and site."""
    rows = []
    for item in file.items:
        if isinstance(item, Definition):
            rows.append((item.name.id, "def" if isinstance(item, tree.Function) else item.kind, item.span))
            for statement in statements(item.body):
                if isinstance(statement, tree.Sample):
                    rows.append((statement_text(statement), "site", statement.span))
    return rows


def serve() -> None:
    """Talk the language server protocol on standard input and output."""
    make_server().start_io()


def make_server() -> Any:
    """The server, not yet started."""
    from lsprotocol import types as lsp
    from pygls.lsp.server import LanguageServer

    server = LanguageServer("ppl", "0.1")

    def checked(uri: str) -> Checked:
        document = server.workspace.get_text_document(uri)
        path = Path(unquote(urlparse(uri).path))
        return check(document.source, str(path), folder=path.parent)

    def place(span: Span) -> Any:
        start = lsp.Position(max(0, span.line - 1), max(0, span.column - 1))
        return lsp.Range(start, lsp.Position(max(0, span.end_line - 1), max(0, span.end_column - 1)))

    def publish(uri: str) -> None:
        levels = {"error": lsp.DiagnosticSeverity.Error, "warning": lsp.DiagnosticSeverity.Warning}
        rows = []
        for problem in checked(uri).problems:
            text = problem.headline
            for label, words in (("expected", problem.expected), ("edit", problem.edit)):
                text += f"\n{label}: {words}" if words else ""
            level = levels.get(problem.severity, lsp.DiagnosticSeverity.Information)
            rows.append(
                lsp.Diagnostic(place(problem.span), text, severity=level, source="ppl", code=problem.kind)
            )
        server.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, rows))

    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(params: Any) -> None:
        publish(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(params: Any) -> None:
        publish(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hovered(params: Any) -> Any:
        where = params.position
        text = hover(checked(params.text_document.uri), where.line + 1, where.character + 1)
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text)) if text else None

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def defined(params: Any) -> Any:
        uri, where = params.text_document.uri, params.position
        span = definition(checked(uri), where.line + 1, where.character + 1)
        return lsp.Location(uri, place(span)) if span is not None else None

    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: Any) -> Any:
        document = server.workspace.get_text_document(params.text_document.uri)
        try:
            text = format_text(document.source)
        except SourceError:
            return None
        whole = lsp.Range(lsp.Position(0, 0), lsp.Position(len(document.lines) + 1, 0))
        return [lsp.TextEdit(whole, text)]

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(params: Any) -> Any:
        kinds = {"site": lsp.SymbolKind.Variable, "def": lsp.SymbolKind.Function}
        rows = symbols(checked(params.text_document.uri).file)
        return [
            lsp.DocumentSymbol(name, kinds.get(kind, lsp.SymbolKind.Class), place(span), place(span))
            for name, kind, span in rows
        ]

    return server


if __name__ == "__main__":
    serve()
