"""The engines compute what the interpreter computes, over the whole corpus; and native runs nearly all of it.

The fast suite takes every program with all passes, and with one other choice of passes in turn; the slow suite
takes every choice, in machine code, and the programs whose interpretation takes seconds.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from programs import oracle

import ppl
from corpus.families import FAMILIES
from corpus.programs import CORPUS
from ppl.compiler.engines.native import NativeProgram
from ppl.compiler.passes import PASSES
from ppl.errors import PplError
from ppl.language.compiled import Compiled

pytestmark = pytest.mark.filterwarnings("ignore::ppl.compiler.engines.EngineNotice")

POINTS = 3
TOLERANCE = 1e-9
CHOICES = {"none": (), **{f"without {off}": tuple(p for p in PASSES if p != off) for off in PASSES}}
"""Passes that run, where not all do."""

Pair = tuple[torch.Tensor, torch.Tensor]


def named(*, long: bool) -> list[Any]:
    """The programs as parameters of a test, those that can't be compiled yet marked."""
    found = []
    for name, entry in CORPUS.items():
        if entry.long == long:
            lacking = pytest.mark.xfail(raises=PplError, strict=True, reason=entry.fails)
            found.append(pytest.param(name, marks=[lacking] if entry.fails else []))
    return found


@functools.lru_cache(maxsize=1)
def compiled(name: str) -> Compiled:
    """A program on the engine that is chosen for it, all passes run."""
    return ppl.compile(CORPUS[name].bind())


def points(name: str, program: Compiled) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return CORPUS[name].spread * torch.randn(POINTS, program.dim, generator=generator, dtype=torch.float64)


def interpreted(program: Compiled, x: torch.Tensor) -> Pair:
    """The meaning of a program at a point: value and gradient."""
    leaf = x.clone().requires_grad_(True)
    value = oracle.log_density(program, leaf)
    (grad,) = torch.autograd.grad(value, leaf)
    assert torch.isfinite(value), "a corpus program has a finite density at its points"
    assert torch.isfinite(grad).all(), "a corpus program has a finite gradient at its points"
    return value.detach(), grad


def same(found: Pair, expected: Pair, what: str) -> None:
    for kind, a, b in zip(("log density", "gradient"), found, expected, strict=True):
        assert a.shape == b.shape, f"{kind} {what} has shape {list(a.shape)}"
        scale = 1.0 + float(b.abs().max())
        error = float((a - b).abs().max()) / scale
        assert error <= TOLERANCE, f"{kind} {what}: off by {error:.1e} of {scale:.3g}"


def on_torch(program: Compiled, passes: tuple[str, ...] = PASSES) -> Compiled:
    return Compiled(program.bound, "torch", passes, recorded=program.recorded)


# ---------------------------------------------------------------- agreement


@pytest.mark.parametrize("name", named(long=False))
def test_engines_agree_with_the_interpreter(name: str) -> None:
    program = compiled(name)
    engine_of(name)
    x = points(name, program)
    meanings = [interpreted(program, q) for q in x]
    choice = list(CHOICES)[list(CORPUS).index(name) % len(CHOICES)]
    other = on_torch(program, CHOICES[choice])
    reference = on_torch(program)
    for q, expected in zip(x, meanings, strict=True):
        same(program.value_and_grad(q), expected, f"by {program.engine.name}")
        same(reference.value_and_grad(q), expected, "by torch")
        same(other.value_and_grad(q), expected, f"by torch, passes: {choice}")
    if program.engine.name == "native" and program.dim < 20:
        graph, data = other._ready("gradient_graph", None)
        text = NativeProgram(graph)
        same(text.plain(x[0], *data), meanings[0], f"by native's text as Python, passes: {choice}")


@pytest.mark.parametrize("name", named(long=True))
def test_native_agrees_with_torch_on_long_programs(name: str) -> None:
    program = compiled(name)
    engine_of(name)
    x = points(name, program)[0]
    same(program.value_and_grad(x), on_torch(program).value_and_grad(x), "by native")


@pytest.mark.slow
@pytest.mark.parametrize("name", named(long=False) + named(long=True))
def test_no_pass_changes_a_result(name: str) -> None:
    program = compiled(name)
    x = points(name, program)
    meanings = [interpreted(program, q) for q in (x[:1] if CORPUS[name].long else x)]
    for choice, passes in {"all": PASSES, **CHOICES}.items():
        engines = [on_torch(program, passes)]
        if program.engine.name == "native":
            engines.append(Compiled(program.bound, "native", passes, recorded=program.recorded))
        for engine in engines:
            for q, expected in zip(x, meanings, strict=False):
                what = f"by {engine.engine.name}, passes: {choice}"
                same(engine.value_and_grad(q), expected, what)


def test_the_comparison_can_fail() -> None:
    value, grad = torch.tensor(-3.0, dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    same((value, grad), (value * (1.0 + 1e-10), grad), "")
    with pytest.raises(AssertionError, match="gradient"):
        same((value, grad + torch.tensor([0.0, 1e-8])), (value, grad), "")
    with pytest.raises(AssertionError, match="log density"):
        same((value * torch.nan, grad), (value, grad), "")


# ---------------------------------------------------------------- coverage


@functools.cache
def engine_of(name: str) -> tuple[str, str]:
    """The engine that runs a program, and why not native. What a process knows already it doesn't compile again."""
    try:
        program = compiled(name)
        chosen = program.engine.name
    except PplError as error:
        return "none", error.headline
    return chosen, "" if chosen == "native" else program.engine_reason


def table(rows: dict[str, tuple[str, str]]) -> str:
    width = max(map(len, rows))
    return "\n".join(
        f"{name:<{width}}  {engine:<6}  {reason}".rstrip() for name, (engine, reason) in rows.items()
    )


def test_native_runs_nearly_the_whole_corpus() -> None:
    rows = {name: engine_of(name) for name in CORPUS}
    others = {name: row for name, row in rows.items() if row[0] != "native"}
    share = 1.0 - len(others) / len(rows)
    print(f"{table(rows)}\n{len(rows)} programs, {100 * share:.1f}% native; the others:\n{table(others)}")
    assert not [name for name in others if CORPUS[name].reference]
    assert share >= 0.95, table(others)


def test_every_family_is_in_the_corpus() -> None:
    known = {f.name for f in ppl.distributions.families() if f.cls.__module__.startswith(("ppl.", "torch."))}
    assert known == {*FAMILIES, "Placed"}  # a point of a guide, which no data can hit


def test_the_corpus_is_large() -> None:
    assert len([name for name in CORPUS if " " not in name]) >= 60


@pytest.mark.slow
def test_times_to_compile() -> None:
    """Seconds of the processor from a bound program to its first gradient: with an empty cache on disk, and with a full one."""
    script = Path(__file__).with_name("timing.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    seconds = json.loads(done.stdout)
    rows = sorted(seconds.items(), key=lambda row: -row[1]["cold"])
    for name, s in rows:
        print(f"{name:<48} cold {s['cold']:6.3f}  warm {s['warm']:6.3f}  {s['engine']}")
    assert set(seconds) == {name for name, entry in CORPUS.items() if not entry.fails}
