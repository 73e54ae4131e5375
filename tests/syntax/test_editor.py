"""Highlighting, the language server (over its own protocol), and the cell magic."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pygments import lex
from pygments.token import Token

from ppl.syntax.check import check
from ppl.syntax.editor import magic, server
from ppl.syntax.editor.lexer import PplLexer, to_svg
from ppl.syntax.editor.textmate import grammar

ROOT = Path(__file__).resolve().parents[2]
CORPUS = sorted([*ROOT.glob("examples/**/*.ppl"), *ROOT.glob("stdlib/**/*.ppl")])
TEXT = (ROOT / "examples" / "eight_schools.ppl").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", CORPUS, ids=lambda p: p.stem)
def test_the_lexer_knows_every_character_of_the_corpus(path: Path):
    text = path.read_text(encoding="utf-8")
    found = list(lex(text, PplLexer()))
    assert not [value for kind, value in found if kind in Token.Error]
    assert "".join(value for _, value in found).strip() == text.strip()


def test_what_is_highlighted_as_what():
    kinds = {
        value: str(kind)
        for kind, value in lex("model m(s: positive[J]):\n    x ~ Normal(exp(1), s)  # c\n", PplLexer())
    }
    assert kinds["model"] == "Token.Keyword.Declaration"
    assert kinds["m"] == "Token.Name.Function"
    assert kinds["positive"] == "Token.Keyword.Type"
    assert kinds["Normal"] == "Token.Name.Class"
    assert kinds["exp"] == "Token.Name.Builtin"
    assert kinds["# c"] == "Token.Comment.Single"


def test_the_picture_in_the_documentation_is_this_source():
    picture = (ROOT / "docs" / "eight_schools.svg").read_text(encoding="utf-8")
    assert picture == to_svg(TEXT, "eight_schools.ppl")


def test_the_textmate_grammar_is_json_with_patterns_that_compile():
    found = json.loads(json.dumps(grammar()))
    matches = [p["match"] for p in found["patterns"] if "match" in p]
    assert len(matches) > 10
    for match in matches:
        re.compile(match)


def place(text: str, words: str, offset: int = 0) -> tuple[int, int]:
    at = text.index(words) + offset
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def test_hover_says_type_support_and_shape():
    checked = check(TEXT)
    assert server.hover(checked, *place(TEXT, "theta[j] ~")) == "`theta`: real[school] (random)"
    assert server.hover(checked, *place(TEXT, "tau ~")) == "`tau`: nonnegative (random)"
    assert server.hover(checked, *place(TEXT, "sigma: ")) == "`sigma`: positive[school] (parameter)"
    assert server.hover(checked, *place(TEXT, "HalfCauchy")) == "`HalfCauchy(scale)`  \nsupport: closed 0 inf"
    assert server.hover(checked, 1, 1) is None


def test_definitions_are_found():
    checked = check(TEXT)
    line, column = place(TEXT, "mu, tau)")
    span = server.definition(checked, line, column)
    assert span is not None
    assert (span.line, span.column) == place(TEXT, "mu ~")


class Client:
    """Speaks the protocol with a server in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "ppl.syntax.editor.server"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        self.number = 0

    def send(self, method: str, params: dict[str, Any], *, answer: bool = True) -> Any:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if answer:
            self.number += 1
            message["id"] = self.number
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()
        return (
            self.wait(lambda m: m.get("id") == self.number and "method" not in m)["result"]
            if answer
            else None
        )

    def wait(self, wanted: Any) -> dict[str, Any]:
        assert self.process.stdout is not None
        while True:
            length = 0
            while line := self.process.stdout.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            message: dict[str, Any] = json.loads(self.process.stdout.read(length))
            if wanted(message):
                return message

    def diagnostics(self) -> list[dict[str, Any]]:
        found = self.wait(lambda m: m.get("method") == "textDocument/publishDiagnostics")
        return found["params"]["diagnostics"]  # type: ignore[no-any-return]


def test_a_session_with_the_language_server(tmp_path: Path):
    pytest.importorskip("pygls")
    client, uri = Client(), (tmp_path / "m.ppl").as_uri()
    document = {"uri": uri}
    try:
        capabilities = client.send("initialize", {"processId": None, "rootUri": None, "capabilities": {}})
        assert capabilities["capabilities"]["hoverProvider"]
        client.send("initialized", {}, answer=False)
        broken = TEXT.replace("Normal(mu, tau)", "Normal(mu, -1)")
        opened = {**document, "languageId": "ppl", "version": 1, "text": broken}
        client.send("textDocument/didOpen", {"textDocument": opened}, answer=False)
        (problem,) = client.diagnostics()
        line, column = place(broken, "-1)")
        assert problem["range"]["start"] == {"line": line - 1, "character": column - 1}
        assert "`scale` of Normal has to be positive" in problem["message"]
        changed = {"textDocument": {**document, "version": 2}, "contentChanges": [{"text": TEXT}]}
        client.send("textDocument/didChange", changed, answer=False)
        assert client.diagnostics() == []
        line, column = place(TEXT, "theta[j] ~")
        where = {"textDocument": document, "position": {"line": line - 1, "character": column - 1}}
        assert (
            client.send("textDocument/hover", where)["contents"]["value"] == "`theta`: real[school] (random)"
        )
        found = client.send("textDocument/definition", where)
        assert found["range"]["start"]["line"] == line - 1
        messy = {
            "textDocument": {**document, "version": 3},
            "contentChanges": [{"text": TEXT.replace(" ~ ", "~")}],
        }
        client.send("textDocument/didChange", messy, answer=False)
        client.diagnostics()
        options = {"tabSize": 4, "insertSpaces": True}
        (edit,) = client.send("textDocument/formatting", {"textDocument": document, "options": options})
        assert edit["newText"] == TEXT
        client.send("shutdown", {})
    finally:
        client.process.kill()
        client.process.wait()


def test_the_cell_magic(capsys: pytest.CaptureFixture[str]):
    names: dict[str, Any] = {}
    magic.ppl("", "model coin():\n    p ~ Beta(1, 1)\n", names)
    assert names["coin"]().name == "coin"
    magic.ppl("mine", "model coin():\n    p ~ Beta(1, 1)\n", names)
    assert names["mine"].coin().name == "coin"
    magic.ppl("", "model coin():\n    p ~ Beta(1)\n", names)
    assert "Beta needs `concentration0`" in capsys.readouterr().err
