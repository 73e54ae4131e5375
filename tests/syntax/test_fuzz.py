"""Mutations of programs, good and bad: whatever the text, reading, checking and formatting end, soon and in order."""

from __future__ import annotations

import random
import re
import resource
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppl.syntax.check import check
from ppl.syntax.format import format_text
from ppl.syntax.parse import parse
from ppl.syntax.problems import KINDS, remember

ROOT = Path(__file__).resolve().parents[2]
PARTS = re.compile(r"\w+|[ \t]+|\n|[^\w\s]")
WORDS = """
== // ** -> := 1e999 0x 1_000 nan inf if else elif for in not and or with observe set return pass def model guide objective
data infer import from true false None lambda __x z[t-1] x[0] real[N] index(K) simplex[3] 99999999999999999999 10**10**10
param state deterministic factor
"""
SIGNS = (
    *"()[]{}\"'\\#~=:;,.+-*/%@^!?&|<>\t\n\x00é″−",
    *WORDS.split(),
    "range(1, T)",
    "[1, 2]",
    "\r\n",
    '"""',
)
MOST_SECONDS = 2.0
MOST_MEMORY = 500_000  # KiB that a run of the fuzzer may add


@cache
def corpus() -> list[str]:
    paths = [
        *ROOT.glob("examples/**/*.ppl"),
        *ROOT.glob("stdlib/**/*.ppl"),
        *ROOT.glob("tests/syntax/**/*.ppl"),
    ]
    texts = [p.read_text("utf-8") for p in sorted(paths)]
    return [t for t in texts if len(t) < 5000]


@cache
def tokens() -> list[str]:
    found = [part for text in corpus() for part in PARTS.findall(text)]
    return [*dict.fromkeys(found), *SIGNS]


def mutated(source: random.Random) -> str:
    """A program of the corpus with a few parts replaced, left out, put in, repeated, or swapped with another program's."""
    parts = PARTS.findall(source.choice(corpus()))
    for _ in range(source.choice([1, 1, 1, 2, 3, 8])):
        at = source.randrange(len(parts) + 1)
        kind = source.random()
        if kind < 0.3 and at < len(parts):
            parts[at] = source.choice(tokens())
        elif kind < 0.5 and at < len(parts):
            del parts[at]
        elif kind < 0.75:
            parts.insert(at, source.choice(tokens() if kind < 0.6 else SIGNS))
        elif kind < 0.9:
            other = source.randrange(len(parts) + 1)
            parts[at:at] = parts[min(at, other) : min(max(at, other), min(at, other) + 20)]
        else:
            lines = "".join(parts).split("\n")
            taken = source.choice(corpus()).split("\n")
            lines.insert(source.randrange(len(lines) + 1), source.choice(taken))
            parts = PARTS.findall("\n".join(lines))
    return "".join(parts)


def examine(text: str) -> None:
    """What has to hold of every text."""
    begun = time.process_time()
    checked = check(text, pedantic=True)
    remember("<text>", text)
    for problem in checked.problems:
        assert problem.kind in KINDS
        assert problem.headline in str(problem.error("<text>"))
    parsed = parse(text)
    if not parsed.problems:
        formatted = format_text(text)
        assert format_text(formatted) == formatted
        assert parse(formatted).file == parsed.file
    assert time.process_time() - begun < MOST_SECONDS


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def seeds(count: int) -> Iterator[int]:
    yield from range(count)


def test_mutations_of_the_corpus():
    before = memory()
    for seed in seeds(120):
        examine(mutated(random.Random(seed)))
    assert memory() - before < MOST_MEMORY


@given(
    st.lists(
        st.sampled_from([*SIGNS, "model m(x: real[N]):\n    ", "\n    ", "x ", "y ~ Normal(0, 1)", "    "]),
        max_size=30,
    )
)
@settings(max_examples=60)
def test_lists_of_signs(parts: list[str]):
    examine(" ".join(parts))


@given(st.text(st.sampled_from("".join(map(chr, range(128))) + "éß中²∼“ \u200b\u2028𝑥"), max_size=200))
@settings(max_examples=60)
def test_any_text(text: str):
    examine(text)
    examine(f"model m():\n    {text}\n")


@pytest.mark.slow
def test_mutations_for_ten_minutes():
    end = time.monotonic() + 600
    seed = time.time_ns()
    while time.monotonic() < end:
        seed += 1
        text = mutated(random.Random(seed))
        try:
            examine(text)
        except Exception as error:
            raise AssertionError(f"seed {seed}:\n{text}") from error
