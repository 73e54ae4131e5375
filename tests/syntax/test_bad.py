"""Every bad program in `bad/` is refused with the text beside it, compared in full, by `ppl check` and `ppl run`.

`REGENERATE=1 pytest tests/syntax/test_bad.py` writes the texts anew; read the difference before keeping it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ppl.cli.main import main
from ppl.syntax.check import check
from ppl.syntax.problems import remember

HERE = Path(__file__).parent / "bad"
PROGRAMS = sorted(path.relative_to(HERE).with_suffix("") for path in HERE.glob("*/*.ppl"))
NAMES = [str(p) for p in PROGRAMS]
WRONG = [name for name in NAMES if not name.startswith("warning/")]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


def problems(name: str) -> tuple[str, int]:
    """The text of all problems of a file, and how many are errors."""
    path = f"{name}.ppl"
    text = Path(path).read_text("utf-8")
    remember(path, text)
    checked = check(text, path, folder=Path(path).parent)
    return "\n\n".join(str(p.error(path)) for p in checked.problems) + "\n", len(checked.errors)


@pytest.mark.parametrize("name", NAMES)
def test_message(name: str) -> None:
    text, errors = problems(name)
    golden = HERE / f"{name}.txt"
    if os.environ.get("REGENERATE"):
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")
    assert bool(errors) == (name in WRONG)
    complete(name, text)


def complete(name: str, text: str) -> None:
    """Every problem has its place, the line, and an edit; nothing of what goes on inside."""
    for problem in text.split("\n\n"):
        assert f"{name}.ppl:" in problem.split("\n")[0]
        assert " | " in problem and "^" in problem
        assert "\n  edit:     " in problem
    for inside in ("Traceback", "_NEWLINE", "Token(", "None", "tree.", "<ppl"):
        assert inside not in text.replace("`None`", "").replace("x = None", "")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code, "".join(capsys.readouterr())


@pytest.mark.parametrize("name", WRONG)
def test_the_command_line_says_it_and_exits_with_1(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    golden = (HERE / f"{name}.txt").read_text("utf-8")
    errors = [p for p in golden.strip("\n").split("\n\n") if " error: " in p.split("\n")[0]]
    for command in (("check",), ("run", "--quiet")):
        code, text = run(capsys, *command, f"{name}.ppl")
        assert code == 1
        assert "Traceback" not in text
        assert all(error in text for error in errors)


def test_every_golden_text_has_its_program() -> None:
    texts = sorted(path.relative_to(HERE).with_suffix("") for path in HERE.glob("*/*.txt"))
    assert texts == PROGRAMS
    assert len(WRONG) >= 120
