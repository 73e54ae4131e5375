"""`docs/language.md` says what the code says: tables of functions, distributions, types, options, exit codes, limits."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

import ppl.cli.main as cli
from ppl.syntax import limits
from ppl.syntax.check.inference import OPTIONS
from ppl.syntax.check.types import NAMES
from ppl.syntax.families import Family, families
from ppl.syntax.format import WIDTH
from ppl.syntax.functions import ALIASES, CONSTANTS, FUNCTIONS, Signature
from ppl.syntax.imports import STDLIB
from ppl.syntax.problems import KINDS
from ppl.syntax.values import REAL, Value, need

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "language.md").read_text("utf-8")


def section(title: str) -> str:
    """The text under a heading, up to the next."""
    return PAGE.split(f"\n## {title}\n")[1].partition("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the tables under a heading, without their heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0].startswith("`") or row[0].isdigit()]


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def described(name: str, function: Signature) -> list[str]:
    """What a row says of an elementwise function before its meaning."""
    needs = "real" if function.needs == REAL else str(function.needs)
    given = function.result([Value("real")] * function.least)
    return [f"`{name}({function.arguments})`", needs, str(given)]


def test_every_function_is_in_the_table_with_its_arguments():
    elementwise = [row for row in rows("Built-in functions") if len(row) == 4]
    others = [row for row in rows("Built-in functions") if len(row) == 2]
    written = [row[0] for row in elementwise + others]
    assert sorted(written) == sorted(f"`{n}({f.arguments})`" for n, f in FUNCTIONS.items())
    for row in elementwise:
        name = row[0].strip("`").partition("(")[0]
        assert row[:3] == described(name, FUNCTIONS[name])
        assert row[3]
    for alias, name in ALIASES.items():
        assert f"`{alias}` is `{name}`" in section("Built-in functions")
    assert set(CONSTANTS) <= set(code_in(section("Expressions")))


def values(family: Family) -> str:
    if family.support is None:
        return "depends on the parameters" + (", whole numbers" if family.discrete else "")
    return need(family.support).words + ("", "[K]", "[K, K]")[family.event_dim]


def test_every_distribution_is_in_the_table():
    written = rows("Distributions")
    assert written == [[f"`{f.signature()}`", values(f)] for f in families().values()]


def test_every_type_is_in_the_table():
    written = {re.split(r"\W", code)[0] for row in rows("Types and dims") for code in code_in(row[0])}
    assert written == set(NAMES)


def test_every_file_of_the_library_is_in_the_table():
    files = {file.stem for file in STDLIB.glob("*.ppl")} | {"objectives"}
    assert {row[0].strip("`") for row in rows("Imports")} == {f"std.{name}" for name in files}


def test_every_option_of_the_infer_block_is_in_the_table():
    assert {code for row in rows("The infer block") for code in code_in(row[0])} == set(OPTIONS)


def test_every_command_and_option_is_named():
    text = set(code_in(section("The command line")))
    for name, command in cli.ppl.commands.items():
        assert any(code.startswith(f"ppl {name} ") for code in text), name
        for option in command.params:
            if isinstance(option, click.Option):
                for flag in option.opts:
                    assert any(code.split()[0] == flag for code in text), f"{name} {flag}"


def test_limits_style_and_kinds_are_those_of_the_code():
    text = section("Safety and limits")
    for number in (
        limits.CHARACTERS,
        limits.TOKENS,
        limits.ITEMS,
        limits.BRACKETS,
        limits.LEVELS,
        limits.BLOCKS,
        limits.AXES,
        limits.FIRST,
        limits.ELEMENTS,
        limits.IMPORTS,
    ):
        assert f" {number:,}" in text
    assert f"lines of at most {WIDTH} columns" in section("The style of `ppl fmt`")
    assert f"Classes: {', '.join(KINDS)}." in section("Errors")


def test_the_exit_codes_are_those_of_the_command_line():
    assert cli.__doc__ is not None
    coded = [line for line in cli.__doc__.splitlines() if re.match(r"\| \d+ \|", line)]
    assert coded == [line for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [row[0] for row in rows("The command line") if row[0].isdigit()] == ["0", "1", "2", "130"]


def test_an_interrupt_exits_with_its_own_code(monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.ppl, "main", interrupted)
    with pytest.raises(SystemExit) as exited:
        cli.main(["check", "x.ppl"])
    assert exited.value.code == 130
