"""Formatting keeps the tree and the comments, and formatting again changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppl.syntax.format import format_text
from ppl.syntax.parse import parse
from ppl.syntax.problems import SourceError

ROOT = Path(__file__).resolve().parents[2]
CORPUS = sorted(
    [*ROOT.glob("examples/**/*.ppl"), *ROOT.glob("stdlib/**/*.ppl"), *ROOT.glob("tests/**/*.ppl")]
)
GOOD = [p for p in CORPUS if "bad" not in p.parts]


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_the_corpus_round_trips(path: Path):
    text = path.read_text(encoding="utf-8")
    formatted = format_text(text)
    assert format_text(formatted) == formatted
    assert parse(formatted).file == parse(text).file
    before, after = parse(text).file.comments, parse(formatted).file.comments
    assert [c.text for c in before] == [c.text for c in after]


MESSY = '''# a file
"""Title.

  more
"""
import std.objectives   as o
from   std.objectives import elbo,iwelbo as  iw
# about the model
model m(sigma:positive[J],K:int=3):   # head
  """Doc."""
  mu~Normal(0,5)     # why

  # own comment
  tau   ~ HalfCauchy( 5 )


  for j in J: theta[j]~Normal( mu,tau ) # one line
  if K>2: x = -(mu)**2
  elif K == 1:
     x = 1
  else :
     x=2 # two
  z = theta[ J - 1 ]+x
  # at the end
data:
  sigma=[1,2,
    3] # numbers
'''

CLEAN = '''# a file
"""Title.

more
"""

import std.objectives as o
from std.objectives import elbo, iwelbo as iw


# about the model
model m(sigma: positive[J], K: int = 3):  # head
    """Doc."""
    mu ~ Normal(0, 5)  # why

    # own comment
    tau ~ HalfCauchy(5)

    for j in J:
        theta[j] ~ Normal(mu, tau)  # one line
    if K > 2:
        x = -(mu) ** 2
    elif K == 1:
        x = 1
    else:
        x = 2  # two
    z = theta[J-1] + x
    # at the end


data:
    sigma = [1, 2, 3]  # numbers
'''


def test_the_canonical_style():
    assert format_text(MESSY) == CLEAN
    assert format_text(CLEAN) == CLEAN


def test_a_comment_among_parameters_stands_behind_the_head():
    names = "".join(f"    argument_number_{n}: real[N],\n" for n in range(6))
    formatted = format_text(f"model m(\n{names}    # why\n    b: real,\n):\n    x ~ Normal(b, 1)\n")
    assert "):  # why\n" in formatted
    assert format_text(formatted) == formatted


def test_a_part_of_a_number_is_not_its_decimals():
    assert format_text("model m():\n    x = 1 . y\n") == "model m():\n    x = 1 .y\n"


def test_a_file_with_syntax_errors_is_not_formatted():
    with pytest.raises(SourceError):
        format_text("model m():\n    x ~\n")


def test_long_lines_of_data_and_parameters_are_broken():
    numbers = ", ".join(str(n) for n in range(100))
    parameters = ", ".join(f"argument_number_{n}: real[N]" for n in range(8))
    text = f"model m({parameters}):\n    pass\n\n\ndata:\n    y = [{numbers}]\n"
    formatted = format_text(text)
    assert max(map(len, formatted.splitlines())) <= 100
    assert parse(formatted).file == parse(text).file
    assert format_text(formatted) == formatted


@pytest.mark.parametrize(
    "text",
    [
        '"""\nA title:\n    and an example\n"""\n',
        '"""A title\n\n    and text that is as far in as the quotes\n"""\n',
        '"""\nA title:\n\n    and an example\n  and more\n"""\n',
        "'what is called \"a\"'\n",
        '\'three: """ quotes\'\n',
    ],
)
def test_the_indentation_in_a_docstring_stays(text: str):
    for whole in (
        text,
        "def f():\n" + "".join(f"    {line}\n" for line in text.splitlines()) + "    return 1\n",
    ):
        formatted = format_text(whole)
        assert format_text(formatted) == formatted
        assert parse(formatted).file == parse(whole).file
