"""tree → text → tree is the identity, and text is a fixed point, for random programs."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from syntax.trees import FILES

from ppl.syntax import tree
from ppl.syntax.format import format_file, format_text
from ppl.syntax.parse import parse

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def bare(file: tree.File) -> list[tree.Item]:
    """The items without parentheses: where a tree needs them to be text, the parser notes them as nodes."""

    def rule(node: tree.Node) -> tree.Node:
        return node.inner if isinstance(node, tree.Parenthesised) else node

    return [tree.rewritten(item, rule) for item in file.items]


def round_trip(file: tree.File) -> None:
    text = format_file(file)
    parsed = parse(text)
    assert not parsed.problems, f"{parsed.problems[0]}\n{text}"
    assert bare(parsed.file) == bare(file), text
    assert format_text(text) == text


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(FILES)
def test_random_programs(file: tree.File):
    round_trip(file)


@pytest.mark.slow
@settings(max_examples=2500, deadline=None, suppress_health_check=QUIET)
@given(FILES)
def test_many_random_programs(file: tree.File):
    round_trip(file)
